package smtp

import (
	"strings"
	"unicode/utf8"
)

// Path is a reverse-path or forward-path without its brackets and without a
// source route (RFC 5321 §4.1.2). The zero Path is the null reverse-path.
type Path struct {
	// Local is the local-part's value: quotes and backslashes are taken away.
	Local string
	// Domain is the domain or address literal as it was written; "" for the null
	// reverse-path and for a mailbox without a domain.
	Domain string
	// Routed: a source route stood in front and was dropped, as RFC 5321 §4.1.1.3
	// recommends.
	Routed bool
}

// Bounds of a path in octets. RFC 5321 §4.5.3.1 has 64, 255 and 256 as what
// everybody has to support; longer local parts are in use (VERP).
const (
	MaxLocal  = 255
	MaxDomain = 255
	MaxPath   = 1000 // with brackets and source route
)

// Null says that this is the null reverse-path.
func (p Path) Null() bool { return p.Local == "" && p.Domain == "" }

// String is the canonical mailbox: the local-part is quoted only where it has
// to be, so that one mailbox has one spelling.
func (p Path) String() string {
	if p.Null() {
		return ""
	}
	local := p.Local
	if !isDotString(local) {
		local = quoteLocal(local)
	}
	if p.Domain == "" {
		return local
	}
	return local + "@" + p.Domain
}

func quoteLocal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// pathError is why a path was refused, in words that a peer may read.
type pathError string

func (e pathError) Error() string { return string(e) }

const (
	errBrackets  pathError = "write the address between < and >"
	errPathLong  pathError = "address too long"
	errRoute     pathError = "bad source route"
	errLocal     pathError = "bad local part in address"
	errLocalLong pathError = "local part of address too long"
	errDomain    pathError = "bad domain in address"
	errLiteral   pathError = "bad address literal"
	errNotASCII  pathError = "address not US-ASCII: use SMTPUTF8"
	errUTF8      pathError = "address is not valid UTF-8"
)

// ParsePath reads a path in brackets from the front of s and returns what
// follows it. Non-ASCII is refused unless utf8ok (RFC 6531 §3.3). The null path
// and a mailbox without a domain are read; whether they may stand here is the
// caller's to say. The error's text is fit for a peer.
func ParsePath(s string, utf8ok bool) (p Path, rest string, err error) {
	if s == "" || s[0] != '<' {
		return Path{}, "", errBrackets
	}
	if len(s) > 1 && s[1] == '>' {
		return Path{}, s[2:], nil
	}
	r := pathReader{s: s, i: 1, utf8: utf8ok}
	if err := r.route(); err != nil {
		return Path{}, "", err
	}
	p.Routed = r.i > 1
	if p.Local, err = r.local(); err != nil {
		return Path{}, "", err
	}
	if r.peek() == '@' {
		r.i++
		if p.Domain, err = r.domain(); err != nil {
			return Path{}, "", err
		}
	}
	switch {
	case r.peek() != '>' && p.Domain == "":
		return Path{}, "", errLocal
	case r.peek() != '>':
		return Path{}, "", errDomain
	case r.i+1 > MaxPath:
		return Path{}, "", errPathLong
	}
	return p, s[r.i+1:], nil
}

// ParseMailbox reads a mailbox without brackets, as it is kept in an envelope.
func ParseMailbox(s string) (Path, error) {
	p, rest, err := ParsePath("<"+s+">", true)
	if err == nil && rest != "" {
		err = errDomain
	}
	return p, err
}

type pathReader struct {
	s    string
	i    int
	utf8 bool
}

func (r *pathReader) peek() byte {
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

// route passes over an A-d-l: "@a,@b:".
func (r *pathReader) route() error {
	for r.peek() == '@' {
		r.i++
		if _, err := r.domain(); err != nil {
			return errRoute
		}
		switch r.peek() {
		case ',':
			if r.i++; r.peek() != '@' {
				return errRoute
			}
		case ':':
			if r.i++; r.peek() == '@' {
				return errRoute
			}
		default:
			return errRoute
		}
	}
	return nil
}

func (r *pathReader) local() (string, error) {
	var local string
	var err error
	if r.peek() == '"' {
		local, err = r.quoted()
	} else {
		start := r.i
		for isAtext(r.peek()) || r.peek() == '.' {
			r.i++
		}
		if local = r.s[start:r.i]; !isDotString(local) {
			err = errLocal
		}
	}
	switch {
	case err != nil:
		return "", err
	case len(local) > MaxLocal:
		return "", errLocalLong
	}
	return local, r.checkText(local)
}

func (r *pathReader) quoted() (string, error) {
	var b []byte
	for r.i++; r.i < len(r.s); r.i++ {
		c := r.s[r.i]
		if c == '"' {
			r.i++
			return string(b), nil
		}
		if c == '\\' {
			r.i++
			if c = r.peek(); c >= utf8.RuneSelf {
				return "", errLocal
			}
		}
		if c < ' ' || c == 0x7f {
			return "", errLocal
		}
		b = append(b, c)
	}
	return "", errLocal
}

func (r *pathReader) domain() (string, error) {
	start := r.i
	if r.peek() == '[' {
		n := strings.IndexByte(r.s[r.i:], ']')
		if n < 0 {
			return "", errLiteral
		}
		r.i += n + 1
		d := r.s[start:r.i]
		if _, ok := ParseLiteral(d); !ok {
			return "", errLiteral
		}
		return d, nil
	}
	for c := r.peek(); isLabelByte(c) || c == '.'; c = r.peek() {
		r.i++
	}
	d := r.s[start:r.i]
	if !ValidDomain(d) {
		return "", errDomain
	}
	return d, r.checkText(d)
}

func (r *pathReader) checkText(s string) error {
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			continue
		}
		if !r.utf8 {
			return errNotASCII
		}
		if !utf8.ValidString(s) {
			return errUTF8
		}
		return nil
	}
	return nil
}

// isDotString is RFC 5321's Dot-string, with RFC 6531's octets.
func isDotString(s string) bool {
	atom := false
	for i := range len(s) {
		switch {
		case isAtext(s[i]):
			atom = true
		case s[i] == '.' && atom:
			atom = false
		default:
			return false
		}
	}
	return atom
}

func isAtext(c byte) bool {
	return isAlnum(c) || c >= utf8.RuneSelf || c != 0 && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
