package route

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"mtad/internal/smtp"
)

const (
	// maxDomain bounds a domain before any conversion, in octets. An A-label form
	// has at most 253 (RFC 1035 §2.3.4); as U-label it can be longer.
	maxDomain = 1000
	maxName   = 253
	maxLabel  = 63
)

var errDomain = errors.New("not a domain name")

// Domain returns d in lower case as A-label, without a final dot. Address
// literals are returned with the address in its canonical form. It refuses what
// cannot be a domain name; an underscore is allowed, for it is in use.
func Domain(d string) (string, error) {
	if len(d) == 0 || len(d) > maxDomain {
		return "", errDomain
	}
	if d[0] == '[' {
		return literal(d)
	}
	d = strings.TrimSuffix(d, ".")
	if !smtp.IsASCII(d) {
		a, err := idna.Lookup.ToASCII(d)
		if err != nil {
			return "", errDomain
		}
		d = a
	}
	d = lower(d)
	if !validName(d) {
		return "", errDomain
	}
	return d, nil
}

// literal reads an address literal of RFC 5321 §4.1.3. Zones and general
// literals (a tag other than IPv6) are refused.
func literal(d string) (string, error) {
	inner, closed := strings.CutSuffix(d[1:], "]")
	if !closed {
		return "", errDomain
	}
	const tag = "ipv6:"
	tagged := len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if tagged {
		inner = inner[len(tag):]
	}
	a, err := netip.ParseAddr(inner)
	if err != nil || a.Zone() != "" || tagged && !a.Is6() {
		return "", errDomain
	}
	return "[" + a.Unmap().String() + "]", nil
}

func validName(d string) bool {
	if len(d) == 0 || len(d) > maxName {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(l string) bool {
	if len(l) == 0 || len(l) > maxLabel || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := range len(l) {
		c := l[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// lower changes ASCII letters only: other octets mean what they mean.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return lowerCopy(s)
		}
	}
	return s
}

func lowerCopy(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
