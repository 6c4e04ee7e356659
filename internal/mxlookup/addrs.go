package mxlookup

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// addresses returns those of a host in the families in use, none and no error
// where it is proven that there are none. An error of one family counts only if
// the other has no address.
func (r *Resolver) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	if list, ok := r.known(name); ok {
		return r.wanted(list), nil
	}
	types := map[Family][]uint16{IPv4Only: {dns.TypeA}, IPv6Only: {dns.TypeAAAA}}[r.o.Family]
	if types == nil {
		types = []uint16{dns.TypeA, dns.TypeAAAA}
	}
	found := make([]answer, len(types))
	errs := make([]error, len(types))
	var wg sync.WaitGroup
	for i, qtype := range types {
		wg.Go(func() { found[i], errs[i] = r.query(ctx, name, qtype) })
	}
	wg.Wait()
	var list []netip.Addr
	var err error
	for i := range types {
		list = append(list, found[i].addrs[:min(len(found[i].addrs), maxAddrs)]...)
		if errs[i] != nil {
			err = errs[i]
		}
	}
	if len(list) > 0 {
		err = nil
	}
	return list, err
}

// known are addresses that need no question (RFC 6761 §6.3 for localhost).
func (r *Resolver) known(name string) ([]netip.Addr, bool) {
	if list, ok := r.o.Hosts[name]; ok {
		return list, true
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true
	}
	return nil, false
}

func (r *Resolver) wanted(list []netip.Addr) []netip.Addr {
	var kept []netip.Addr
	for _, a := range list {
		if r.o.Family == IPv4Only && !a.Is4() || r.o.Family == IPv6Only && !a.Is6() {
			continue
		}
		kept = append(kept, a)
	}
	return kept
}

// ordered returns the addresses of one host, the preferred family first, at
// random within a family.
func (r *Resolver) ordered(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		if a.Is4() == (r.o.Family == IPv4First || r.o.Family == IPv4Only) {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	for _, list := range [][]netip.Addr{first, second} {
		r.o.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return append(first, second...)
}
