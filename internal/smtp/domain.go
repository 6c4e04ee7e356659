package smtp

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// ValidDomain says whether s can be a domain on the wire: labels of 1 to 63
// octets of letters, digits, hyphens inside, underscores (not RFC 5321, but in
// use) and non-ASCII octets (RFC 6531), with no trailing dot. A name of digits
// alone is taken: DNS will tell.
func ValidDomain(s string) bool {
	if s == "" || len(s) > MaxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isLabelByte(s[i]) {
			return false
		}
	}
	return true
}

func isLabelByte(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c >= utf8.RuneSelf }

// ParseLiteral reads an address literal of RFC 5321 §4.1.3 with its brackets:
// "[192.0.2.1]", "[IPv6:2001:db8::1]". Zones and other tags are refused.
func ParseLiteral(s string) (netip.Addr, bool) {
	if len(s) < 3 || s[0] != '[' || s[len(s)-1] != ']' {
		return netip.Addr{}, false
	}
	s = s[1 : len(s)-1]
	const tag = "IPv6:"
	v6 := len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag)
	if v6 {
		s = s[len(tag):]
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4() == v6 {
		return netip.Addr{}, false
	}
	return a, true
}
