package dsn

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"mtad/internal/smtp"
)

const (
	foldAt   = 76  // columns where lines are folded at a space, if there is one
	maxWord  = 800 // octets of a run without space; 998 is what a line may have (RFC 5322 §2.1.1)
	maxValue = 4000
)

// clean makes a value safe for a header field, a field of delivery-status, or a
// line of text: control characters and line ends become spaces, runs of space
// one space, words are bounded. With utf8ok, printable Unicode stays; otherwise
// whatever is not ASCII becomes "?".
func clean(s string, utf8ok bool) string {
	if len(s) > maxValue {
		s = s[:maxValue]
	}
	var b strings.Builder
	word, space := 0, false
	for _, c := range s {
		if c <= ' ' || c == 0x7f || unicode.IsControl(c) || unicode.IsSpace(c) {
			space = b.Len() > 0
			continue
		}
		if c > unicode.MaxASCII && (!utf8ok || c == utf8.RuneError || !unicode.IsPrint(c)) {
			c = '?'
		}
		if space {
			b.WriteByte(' ')
			word, space = 0, false
		}
		if word += utf8.RuneLen(c); word <= maxWord {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// fold writes a cleaned text after prefix, broken at spaces; further lines begin
// with indent. prefix and indent are ours.
func fold(w *bytes.Buffer, prefix, indent, cleaned string) {
	w.WriteString(prefix)
	col, first := len(prefix), true
	for word := range strings.SplitSeq(cleaned, " ") {
		switch {
		case first:
		case col+1+len(word) > foldAt:
			w.WriteString("\r\n" + indent)
			col = len(indent)
		default:
			w.WriteByte(' ')
			col++
		}
		w.WriteString(word)
		col += len(word)
		first = false
	}
	w.WriteString("\r\n")
}

// field writes one field, or nothing when the value is empty.
func field(w *bytes.Buffer, utf8ok bool, name, value string) {
	if value = clean(value, utf8ok); value != "" {
		fold(w, name+": ", " ", value)
	}
}

// typedAddress is an address as RFC 3464 §2.1.2 and RFC 6533 §3 write it:
// "rfc822; " for ASCII, "utf-8; " otherwise, there with \x{HEX} for what may not
// stand in the open.
func typedAddress(path string, utf8ok bool) string {
	if smtp.IsASCII(path) {
		return "rfc822; " + path
	}
	var b strings.Builder
	b.WriteString("utf-8; ")
	for _, c := range path {
		plain := '!' <= c && c <= '~' && c != '+' && c != '=' && c != '\\'
		if plain || utf8ok && c > unicode.MaxASCII && unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\x{%02X}`, c)
		}
	}
	return b.String()
}

// originalRecipient is the ORCPT of RFC 3461 §4.2, "type;address", as a field
// value; "" when it has no such form.
func originalRecipient(orcpt string, utf8ok bool) string {
	typ, addr, ok := strings.Cut(orcpt, ";")
	if !ok || addr == "" || typ == "" || len(typ) > 40 {
		return ""
	}
	for i := range len(typ) {
		c := typ[i] | 0x20
		if !('a' <= c && c <= 'z' || '0' <= typ[i] && typ[i] <= '9' || typ[i] == '-') {
			return ""
		}
	}
	if strings.EqualFold(typ, "utf-8") || strings.EqualFold(typ, "rfc822") && !smtp.IsASCII(addr) {
		if smtp.IsASCII(addr) { // already in the form of RFC 6533 §3
			return "utf-8; " + addr
		}
		return typedAddress(addr, utf8ok)
	}
	return typ + "; " + addr
}

// mailbox is the value of a To or From field for path. One that RFC 5322 cannot
// write becomes an empty group: the envelope alone carries it then.
func mailbox(path string, utf8ok bool) string {
	if len(path) <= 500 && (utf8ok || smtp.IsASCII(path)) && path == clean(path, utf8ok) {
		if a, err := mail.ParseAddress("<" + path + ">"); err == nil && a.Name == "" {
			return "<" + path + ">"
		}
	}
	return "undisclosed-recipients:;"
}
