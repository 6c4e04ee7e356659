package submission

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"mtad/internal/smtp"
)

// Bounds of values, in octets.
const (
	maxText    = 255
	maxSubject = 512
	maxWord    = 64
)

// setText is a setter for text of at most n octets.
func setText(n int, field func(*Envelope) *string) func(*Envelope, string) error {
	return func(e *Envelope, v string) error {
		if len(v) > n {
			return bad("longer than " + strconv.Itoa(n) + " octets")
		}
		*field(e) = v
		return nil
	}
}

// setWord is a setter for what stands in a trace field as one word.
func setWord(field func(*Envelope) *string) func(*Envelope, string) error {
	return func(e *Envelope, v string) error {
		if len(v) > maxWord || strings.ContainsFunc(v, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-_.", r)
		}) {
			return bad("want up to 64 letters, digits, hyphens, dots and underscores")
		}
		*field(e) = v
		return nil
	}
}

func getText(field func(*Envelope) *string) func(*Envelope) string {
	return func(e *Envelope) string { return *field(e) }
}

func setName(e *Envelope, v string) error {
	if !smtp.ValidDomain(v) || !utf8.ValidString(v) {
		return bad("not a host name")
	}
	e.Client.Name = v
	return nil
}

func setAddress(e *Envelope, v string) error {
	a, ok := smtp.ParseLiteral(v)
	if !ok {
		return bad("want [ipv4] or [ipv6:address]")
	}
	e.Client.Address = a.String()
	return nil
}

func addressText(e *Envelope) string {
	switch a := e.Client.Address; {
	case a == "":
		return ""
	case strings.IndexByte(a, ':') >= 0:
		return "[ipv6:" + a + "]"
	default:
		return "[" + a + "]"
	}
}

func setPort(e *Envelope, v string) error {
	n, ok := number(v, 1<<16-1)
	if !ok || n == 0 {
		return bad("want a port from 1 to 65535")
	}
	e.Client.Port = uint16(n)
	return nil
}

func setSize(e *Envelope, v string) error {
	n, ok := number(v, 1<<62)
	if !ok {
		return bad("want a number of octets")
	}
	e.Client.SizeHint = n
	return nil
}

func setKeySize(e *Envelope, v string) error {
	n, ok := number(v, 1<<16-1)
	if !ok || n == 0 {
		return bad("want a number of bits from 1 to 65535")
	}
	e.Client.TLSKeySize = int(n)
	return nil
}

// number reads decimal digits alone, up to a bound.
func number(v string, most int64) (int64, bool) {
	if v == "" || len(v) > 19 || strings.ContainsFunc(v, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil && n <= most
}

func numberText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// ParseAddress reads a mailbox, with or without angle brackets; "<>" is "". A
// source route is dropped (RFC 5321 §4.1.1.3). The result is canonical.
func ParseAddress(v string) (string, error) {
	switch {
	case v == "":
		return "", errEmpty
	case len(v) > smtp.MaxPath:
		return "", bad("address too long")
	case !clean([]byte(v)):
		return "", bad("control characters, or not UTF-8")
	case v == "<>":
		return "", nil
	case v[0] != '<':
		v = "<" + v + ">"
	}
	p, rest, err := smtp.ParsePath(v, true)
	switch {
	case err != nil:
		return "", err
	case rest != "":
		return "", bad("something stands behind the address")
	}
	return p.String(), nil
}

func setEnvID(e *Envelope, v string) error {
	// A space would begin another parameter.
	_, p, r := smtp.ParseMail("<> ENVID=" + v)
	if strings.IndexByte(v, ' ') >= 0 || r != nil {
		return bad("want at most 100 octets of xtext (RFC 3461)")
	}
	e.EnvID = p.EnvID
	return nil
}

func envIDText(e *Envelope) string { return smtp.Xtext(e.EnvID) }

func setReturn(e *Envelope, v string) error {
	switch v {
	case "full":
		e.Return = "FULL"
	case "headers":
		e.Return = "HDRS"
	default:
		return bad("want full or headers")
	}
	return nil
}

func returnText(e *Envelope) string {
	return map[string]string{"FULL": "full", "HDRS": "headers"}[e.Return]
}

var notifyWords = []struct {
	word string
	bit  smtp.Notify
}{
	{"never", smtp.NotifyNever}, {"fail", smtp.NotifyFailure}, {"delay", smtp.NotifyDelay}, {"success", smtp.NotifySuccess},
}

// ParseNotify reads "never", or a list of "fail", "delay" and "success".
func ParseNotify(v string) (smtp.Notify, error) {
	var n smtp.Notify
	for word := range strings.SplitSeq(v, ",") {
		bit := notifyBit(strings.Trim(word, " \t"))
		if bit == 0 || n&bit != 0 {
			return 0, bad("want never, or a list of fail,delay,success")
		}
		n |= bit
	}
	if n&smtp.NotifyNever != 0 && n != smtp.NotifyNever {
		return 0, bad("never stands alone")
	}
	return n, nil
}

func notifyBit(word string) smtp.Notify {
	for _, w := range notifyWords {
		if w.word == word {
			return w.bit
		}
	}
	return 0
}

func notifyText(n smtp.Notify) string {
	var words []string
	for _, w := range notifyWords {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// ParseORCPT reads "type;address" in xtext, as in RCPT (RFC 3461 §4.2).
func ParseORCPT(v string) (string, error) {
	_, p, r := smtp.ParseRcpt("<a@b> ORCPT="+v, true)
	if strings.IndexByte(v, ' ') >= 0 || r != nil {
		return "", bad("want type;address in at most 500 octets of xtext (RFC 3461)")
	}
	return p.ORCPT, nil
}

func orcptText(s string) string {
	kind, addr, ok := strings.Cut(s, ";")
	if !ok || strings.EqualFold(kind, "utf-8") && !smtp.IsASCII(addr) {
		return s
	}
	return kind + ";" + smtp.Xtext(addr)
}

// clean says that v is UTF-8 without control characters and line separators: it
// can stand in one line of anything.
func clean(v []byte) bool {
	for i := 0; i < len(v); {
		if v[i] < utf8.RuneSelf {
			if v[i] < ' ' || v[i] == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(v[i:])
		if r == utf8.RuneError && n <= 1 || r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
		i += n
	}
	return true
}

// SetDSN sets the parameters of MAIL that RFC 3461 has, "" for none: envid in
// xtext, ret as "full" or "headers". An error is an *Error.
func (e *Envelope) SetDSN(envid, ret string) error {
	for _, p := range []struct {
		name, value string
		set         func(*Envelope, string) error
	}{{"dsn-envelope-id", envid, setEnvID}, {"dsn-return-option", ret, setReturn}} {
		if p.value == "" {
			continue
		}
		if err := p.set(e, p.value); err != nil {
			return &Error{Attribute: p.name, Reason: err.Error()}
		}
	}
	return nil
}
