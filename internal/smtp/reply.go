package smtp

import (
	"strconv"
	"strings"
)

// Reply is a server's answer to a command: three digits, an enhanced status
// code and text. The zero Reply is none.
type Reply struct {
	Code int
	// Enhanced is an enhanced status code such as "5.7.1" (RFC 3463), or "" where
	// there is none: greeting, EHLO, 354.
	Enhanced string
	// Text has its lines separated by \n. It may hold anything: Append makes it
	// safe for the wire.
	Text string
}

// Bounds of a reply on the wire. RFC 5321 §4.5.3.1.5 gives a line 512 octets
// with its code and CRLF.
const (
	MaxReplyText  = 480 // octets of text in one line
	MaxReplyLines = 50
)

// IsZero says that there is no reply.
func (r Reply) IsZero() bool { return r.Code == 0 }

// Positive says that the code is 2yz or 3yz.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Transient says that the code is 4yz: the same may succeed later.
func (r Reply) Transient() bool { return r.Code >= 400 && r.Code < 500 }

// Permanent says that the code is 5yz.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

// String is the reply in one line, as it is kept in the queue and in logs:
// "550 5.7.1 no". Parse reads it back.
func (r Reply) String() string {
	if r.Code == 0 {
		return ""
	}
	b := strconv.AppendInt(nil, int64(r.Code), 10)
	if r.Enhanced != "" {
		b = append(append(b, ' '), r.Enhanced...)
	}
	if r.Text != "" {
		b = appendText(append(b, ' '), strings.ReplaceAll(r.Text, "\n", " "))
	}
	return string(b)
}

// Error makes a Reply usable as an error inside one package; it reads as String.
func (r Reply) Error() string { return r.String() }

// Append appends the reply as it goes on the wire, CRLF included. Whatever
// Text holds, exactly one reply results: control characters and octets outside
// US-ASCII are replaced, lines and their number are cut at the bounds above.
func (r Reply) Append(dst []byte) []byte {
	rest, more := r.Text, true
	for n := 1; more; n++ {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		more = more && n < MaxReplyLines
		dst = strconv.AppendInt(dst, int64(r.Code), 10)
		dst = append(dst, separator(more))
		if r.Enhanced != "" {
			dst = append(append(dst, r.Enhanced...), ' ')
		}
		dst = append(appendText(dst, line), '\r', '\n')
	}
	return dst
}

func separator(more bool) byte {
	if more {
		return '-'
	}
	return ' '
}

func appendText(dst []byte, line string) []byte {
	if len(line) > MaxReplyText {
		line = line[:MaxReplyText]
	}
	for i := range len(line) {
		switch c := line[i]; {
		case c < ' ':
			dst = append(dst, ' ')
		case c > '~':
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Parse reads a reply in one line as String prints it. An enhanced status code
// counts only when its class is the code's (RFC 2034 §4); otherwise it is text.
func Parse(s string) (Reply, bool) {
	if len(s) < 3 || len(s) > 3 && s[3] != ' ' {
		return Reply{}, false
	}
	code, err := strconv.ParseUint(s[:3], 10, 16)
	if err != nil || code < 200 || code > 599 {
		return Reply{}, false
	}
	r := Reply{Code: int(code)}
	if len(s) > 4 {
		r.Enhanced, r.Text = CutEnhanced(s[4:])
		if r.Enhanced != "" && r.Enhanced[0] != s[0] {
			r.Enhanced, r.Text = "", s[4:]
		}
	}
	return r, true
}

// CutEnhanced takes an enhanced status code off the front of text.
func CutEnhanced(text string) (enhanced, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	if !ValidEnhanced(word) {
		return "", text
	}
	return word, rest
}

// ValidEnhanced says whether s is a status code of RFC 3463 §2: class 2, 4 or
// 5, then two numbers of one to three digits.
func ValidEnhanced(s string) bool {
	class, rest, ok := strings.Cut(s, ".")
	subject, detail, ok2 := strings.Cut(rest, ".")
	return ok && ok2 && (class == "2" || class == "4" || class == "5") && isNumber(subject) && isNumber(detail)
}

func isNumber(s string) bool {
	if len(s) == 0 || len(s) > 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
