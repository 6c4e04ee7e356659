package smtpclient

import (
	"strconv"
	"strings"

	"mtad/internal/smtp"
)

// Extensions are what the next hop's EHLO reply offers.
type Extensions struct {
	Pipelining bool  // RFC 2920
	Size       bool  // RFC 1870
	MaxSize    int64 // octets; 0: no limit was said
	EightBit   bool  // RFC 6152
	SMTPUTF8   bool  // RFC 6531
	DSN        bool  // RFC 3461
	StartTLS   bool  // RFC 3207
	RequireTLS bool  // RFC 8689
	// Forward are the attributes of XFORWARD that are offered (Postfix's
	// XFORWARD_README), in upper case.
	Forward map[string]bool
	// MaxRecipients and MaxMessages are LIMITS RCPTMAX and MAILMAX (RFC 9422); 0:
	// not said.
	MaxRecipients int
	MaxMessages   int
}

// parseExtensions reads the lines after the first. Unknown ones are passed over.
func parseExtensions(r smtp.Reply) Extensions {
	var x Extensions
	_, lines, _ := strings.Cut(r.Text, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		keyword, arg, _ := strings.Cut(line, " ")
		x.add(strings.ToUpper(keyword), strings.TrimSpace(arg))
	}
	return x
}

func (x *Extensions) add(keyword, arg string) {
	switch keyword {
	case "PIPELINING":
		x.Pipelining = true
	case "SIZE":
		x.Size = true
		if n, err := strconv.ParseInt(arg, 10, 64); err == nil && n > 0 {
			x.MaxSize = n
		}
	case "8BITMIME":
		x.EightBit = true
	case "SMTPUTF8":
		x.SMTPUTF8 = true
	case "DSN":
		x.DSN = true
	case "STARTTLS":
		x.StartTLS = true
	case "REQUIRETLS":
		x.RequireTLS = true
	case "XFORWARD":
		x.forward(arg)
	case "LIMITS":
		x.limits(arg)
	}
}

func (x *Extensions) forward(arg string) {
	if x.Forward == nil {
		x.Forward = map[string]bool{}
	}
	for name := range strings.FieldsSeq(arg) {
		x.Forward[strings.ToUpper(name)] = true
	}
}

func (x *Extensions) limits(arg string) {
	for word := range strings.FieldsSeq(arg) {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			continue
		}
		switch strings.ToUpper(name) {
		case "RCPTMAX":
			x.MaxRecipients = n
		case "MAILMAX":
			x.MaxMessages = n
		}
	}
}
