package smtpclient

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"mtad/internal/smtp"
)

// Transaction is one envelope with the size of its content.
type Transaction struct {
	ReversePath string // "" is the null reverse-path
	Recipients  []Recipient
	// Size of the content in octets. Content of another size is not sent to its
	// end. -1: not known.
	Size int64
	// Body is the BODY parameter: "", "7BIT", "8BITMIME" or "BINARYMIME".
	Body string
	// SMTPUTF8: the message needs the extension; without it it is refused.
	SMTPUTF8 bool
	// RequireTLS is RFC 8689: TLS with a verified certificate, and a next hop that
	// says the same.
	RequireTLS bool
	// Return and EnvID are RET and ENVID of RFC 3461, sent where DSN is offered.
	Return, EnvID string
}

// Recipient is one forward-path with its parameters of RFC 3461.
type Recipient struct {
	Path   string
	Notify smtp.Notify
	ORCPT  string // "type;address", xtext decoded
}

// Result is what became of one recipient.
type Result struct {
	// Reply decided; zero if the connection ended before one came.
	Reply smtp.Reply
	// Stage is what Reply answers, or where the connection ended.
	Stage Stage
	// Local: the reply is this package's, no peer gave it.
	Local bool
}

// Outcome is the end of one transaction.
type Outcome struct {
	// Results has one entry for each recipient, in order.
	Results []Result
	// Err is why the connection is of no use any more, nil if it is.
	Err *Error
	// Sent: the final dot went out, or may have. Recipients without a reply may
	// have been delivered to.
	Sent bool
}

// Refuses reports what the next hop cannot be given, with the permanent reply
// to report.
func (c *Conn) Refuses(t *Transaction) (smtp.Reply, bool) {
	switch {
	case c.ext.MaxSize > 0 && t.Size > c.ext.MaxSize:
		text := fmt.Sprintf("message of %d octets exceeds the next hop's limit of %d", t.Size, c.ext.MaxSize)
		return smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: text}, true
	case t.SMTPUTF8 && !c.ext.SMTPUTF8:
		return noUTF8, true
	case t.Body == "8BITMIME" && !c.ext.EightBit && c.o.Strict8Bit:
		return smtp.Reply{Code: 554, Enhanced: "5.6.3", Text: "next hop does not offer 8BITMIME"}, true
	case t.Body == "BINARYMIME": // wants BDAT (RFC 3030 §3), which is not spoken here
		return smtp.Reply{Code: 554, Enhanced: "5.6.3", Text: "BINARYMIME cannot be sent on"}, true
	case t.RequireTLS && !(c.ext.RequireTLS && c.tls != nil && len(c.tls.VerifiedChains) > 0):
		return smtp.Reply{Code: 550, Enhanced: "5.7.30", Text: "REQUIRETLS support required"}, true
	}
	return smtp.Reply{}, false
}

var (
	noUTF8    = smtp.Reply{Code: 553, Enhanced: "5.6.7", Text: "next hop does not offer SMTPUTF8"}
	badPath   = smtp.Reply{Code: 553, Enhanced: "5.1.3", Text: "bad recipient address"}
	badSender = smtp.Reply{Code: 553, Enhanced: "5.1.7", Text: "bad reverse-path"}
)

// sendable reports whether path can stand between brackets: it cannot end the
// line or the brackets.
func sendable(path string) bool {
	if path == "" {
		return false
	}
	if _, err := smtp.ParseMailbox(path); err == nil {
		return true
	}
	return len(path) <= smtp.MaxPath && utf8.ValidString(path) && !strings.ContainsFunc(path, unfit)
}

func unfit(r rune) bool { return r <= ' ' || r == '<' || r == '>' || r >= 0x7f && r < 0xa0 }

// mailLine and rcptLine append a command with the parameters that the next hop
// knows.
func (c *Conn) mailLine(b []byte, t *Transaction) []byte {
	b = append(append(append(b, "MAIL FROM:<"...), t.ReversePath...), '>')
	if c.ext.Size && t.Size > 0 {
		b = fmt.Appendf(b, " SIZE=%d", t.Size)
	}
	if t.Body == "8BITMIME" && c.ext.EightBit {
		b = append(b, " BODY=8BITMIME"...)
	}
	if t.SMTPUTF8 {
		b = append(b, " SMTPUTF8"...)
	}
	if t.RequireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if c.ext.DSN && (t.Return == "FULL" || t.Return == "HDRS") {
		b = append(append(b, " RET="...), t.Return...)
	}
	if c.ext.DSN && t.EnvID != "" {
		b = smtp.AppendXtext(append(b, " ENVID="...), t.EnvID)
	}
	return append(b, "\r\n"...)
}

func (c *Conn) rcptLine(b []byte, t *Transaction, r *Recipient) []byte {
	b = append(append(append(b, "RCPT TO:<"...), r.Path...), '>')
	if c.ext.DSN {
		b = appendNotify(b, r.Notify)
		b = appendORCPT(b, r.ORCPT, t.SMTPUTF8)
	}
	return append(b, "\r\n"...)
}

func appendNotify(b []byte, n smtp.Notify) []byte {
	sep := " NOTIFY="
	for _, m := range []struct {
		bit  smtp.Notify
		name string
	}{
		{smtp.NotifyNever, "NEVER"}, {smtp.NotifySuccess, "SUCCESS"},
		{smtp.NotifyFailure, "FAILURE"}, {smtp.NotifyDelay, "DELAY"},
	} {
		if n&m.bit != 0 {
			b = append(append(b, sep...), m.name...)
			sep = ","
		}
	}
	return b
}

// appendORCPT writes ORCPT as RFC 3461 §4.2 and, for the address type utf-8,
// RFC 6533 §3 have it.
func appendORCPT(b []byte, orcpt string, utf8ok bool) []byte {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok || kind == "" || addr == "" || strings.ContainsFunc(kind, unfit) || !smtp.IsASCII(kind) {
		return b
	}
	b = append(append(append(b, " ORCPT="...), kind...), ';')
	if smtp.IsASCII(addr) || !strings.EqualFold(kind, "utf-8") {
		return smtp.AppendXtext(b, addr)
	}
	for _, r := range addr {
		switch {
		case r > ' ' && r < 0x7f && r != '+' && r != '=': // a "\" begins an escape made before
			b = append(b, byte(r))
		case utf8ok && r >= 0xa0:
			b = utf8.AppendRune(b, r)
		default:
			b = fmt.Appendf(b, "\\x{%X}", r)
		}
	}
	return b
}
