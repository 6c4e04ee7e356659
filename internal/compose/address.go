package compose

import (
	"errors"
	"net/mail"
	"strings"
	"unicode/utf8"

	"mtad/internal/route"
	"mtad/internal/submission"
)

// Address is a mailbox with a display name.
type Address struct {
	Name string // UTF-8; may be empty
	Path string // canonical, with a domain in A-labels; never empty in a message
}

// maxAddress bounds what ParseAddress looks at, in octets.
const maxAddress = 1000

var (
	errAddress = errors.New("want an address, or a name with an address in angle brackets")
	errNull    = errors.New("an address cannot be empty here")
	errDomain  = errors.New("want an address with a domain")
	errName    = errors.New("the name has a control character, or is longer than 255 octets")
)

// ParseAddress reads "a@b" or "Name <a@b>" (RFC 5322 mailbox). The error's text is
// for the caller and repeats nothing.
func ParseAddress(s string) (Address, error) {
	if len(s) > maxAddress || !printable(s) {
		return Address{}, errAddress
	}
	if !strings.ContainsAny(s, "<(") {
		return NewAddress("", s)
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return Address{}, errAddress
	}
	// Parsed, a quoted local part has lost its quotes.
	bare := mail.Address{Address: a.Address}
	return NewAddress(a.Name, bare.String())
}

// NewAddress checks an address, with or without angle brackets.
func NewAddress(name, address string) (Address, error) {
	if len(name) > 255 || !printable(name) {
		return Address{}, errName
	}
	path, err := submission.ParseAddress(address)
	if err != nil {
		return Address{}, errAddress
	}
	if path == "" {
		return Address{}, errNull
	}
	at := strings.LastIndexByte(path, '@')
	if at < 0 || strings.HasSuffix(path, `"`) {
		return Address{}, errDomain
	}
	if !isASCII(path[at+1:]) {
		domain, err := route.Domain(path[at+1:])
		if err != nil {
			return Address{}, errAddress
		}
		path = path[:at+1] + domain
	}
	return Address{Name: name, Path: path}, nil
}

// printable says that s is UTF-8 that can stand in one line: no control characters
// and no line separators.
func printable(s string) bool {
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			if s[i] < ' ' || s[i] == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 || r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
		i += n
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
