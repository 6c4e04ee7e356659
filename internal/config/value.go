package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Size is a number of octets. In the file it may have one of the suffixes K, M,
// G, T, which stand for powers of 1024.
type Size int64

// String writes the shortest form that ParseSize reads back.
func (s Size) String() string {
	n, unit := int64(s), ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	digits := strings.TrimRight(s, "KMGT")
	shift := 0
	if unit := s[len(digits):]; unit != "" {
		shift = 10 * (1 + strings.Index("KMGT", unit))
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || len(s)-len(digits) > 1 || n > math.MaxInt64>>shift {
		return 0, hinted{"%q is not a size", "write a whole number of octets with K, M, G or T behind it, as in 50M", s}
	}
	return Size(n << shift), nil
}

var durationUnits = []struct {
	name string
	d    time.Duration
}{
	{"ms", time.Millisecond}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour},
	{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
}

// ParseDuration reads a duration: whole numbers with the units w, d, h, m, s and
// ms, biggest unit first ("1h30m"), or 0.
func ParseDuration(s string) (time.Duration, error) {
	bad := hinted{"%q is not a duration", "write a number with a unit, as in 30s, 5m, 12h or 5d", s}
	if s == "0" {
		return 0, nil
	}
	var total time.Duration
	last := time.Duration(math.MaxInt64)
	for rest := s; rest != "" || s == ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, bad
		}
		n, err := strconv.ParseInt(rest[:i], 10, 63)
		unit, name := unitOf(rest[i:])
		if err != nil || unit == 0 || unit >= last || n > int64((math.MaxInt64-total)/unit) {
			return 0, bad
		}
		total, last, rest = total+time.Duration(n)*unit, unit, rest[i+len(name):]
	}
	return total, nil
}

func unitOf(s string) (time.Duration, string) {
	for _, u := range durationUnits {
		if strings.HasPrefix(s, u.name) {
			return u.d, u.name
		}
	}
	return 0, ""
}

// FormatDuration writes what ParseDuration reads: "1h30m", "5d".
func FormatDuration(d time.Duration) string {
	if d < time.Millisecond {
		return "0"
	}
	var b strings.Builder
	for _, name := range []string{"d", "h", "m", "s", "ms"} {
		unit, _ := unitOf(name)
		if n := d / unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, name)
			d -= n * unit
		}
	}
	return b.String()
}

// Networks is a list of address ranges. In the file it is a list of CIDR
// prefixes, single addresses, and the word "loopback".
type Networks []netip.Prefix

// Contains says whether a is in one of the ranges; an IPv4-mapped IPv6 address
// counts as the IPv4 address.
func (n Networks) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range n {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func parseNetwork(s string) (Networks, error) {
	if s == "loopback" {
		return Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return Networks{netip.PrefixFrom(a, a.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, hinted{"%q is not a network", "write a CIDR prefix, as in 192.0.2.0/24 or 2001:db8::/32, an address, or loopback", s}
	}
	if p.Addr().Is4In6() {
		return nil, hinted{"%q is an IPv4 network in IPv6 clothes", "write it as an IPv4 prefix", s}
	}
	if m := p.Masked(); m != p {
		return nil, hinted{"%q has bits set behind the prefix length", "did you mean " + m.String() + "?", s}
	}
	return Networks{p}, nil
}

// ParseDomain checks a domain name in ASCII (A-labels) and returns it in lower
// case without a final dot. RFC 1035 §2.3.4, RFC 5321 §4.1.2.
func ParseDomain(s string) (string, error) {
	d := strings.ToLower(strings.TrimSuffix(s, "."))
	bad := hinted{"%q is not a domain name", "write it in ASCII letters, digits, hyphens and dots, as in mail.example.org", s}
	if d == "" || len(d) > 253 {
		return "", bad
	}
	for _, label := range strings.Split(d, ".") {
		if !validLabel(label) {
			return "", bad
		}
	}
	return d, nil
}

func validLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := range len(l) {
		if c := l[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// hinted is an error with a hint: message format, hint, argument.
type hinted struct{ format, hint, arg string }

func (h hinted) Error() string { return fmt.Sprintf(h.format, clip(h.arg)) }

func hintOf(err error) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	return ""
}

// clip keeps a value that is quoted in a message short.
func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
