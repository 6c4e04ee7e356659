package webhook

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrAddress is the error of a connection to an address that is not public.
var ErrAddress = errors.New("webhook: not a public address")

// special are networks within the unicast space that are not the public
// Internet's (RFC 6890 and its successors), or hold a cloud's metadata service.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // a cloud's metadata, from a public range
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4  = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// public returns nil for an address of the public Internet. Addresses that carry
// an IPv4 address are what that one is.
func public(a netip.Addr) error {
	if a.Zone() != "" {
		return fmt.Errorf("%w: %s", ErrAddress, a)
	}
	in := embedded(a.Unmap())
	if in.Is6() && !global6.Contains(in) {
		return fmt.Errorf("%w: %s", ErrAddress, a)
	}
	for _, p := range special {
		if p.Contains(in) {
			return fmt.Errorf("%w: %s", ErrAddress, a)
		}
	}
	return nil
}

// embedded is the IPv4 address that a translated or tunnelled one leads to.
func embedded(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixTo4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
