package mxlookup

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// maxNames bounds how many names of an address are confirmed.
const maxNames = 8

// Name returns the host name that an address has by its PTR record and that
// leads back to the address; of several the first in the answer. It is "" where
// there is none, and where the DNS did not say in time. The name is in lower
// case, without a final dot. Anybody may write any name into a PTR record: only
// the way back makes it worth something.
func (r *Resolver) Name(ctx context.Context, addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	reverse, err := dns.ReverseAddr(addr.String())
	if err != nil {
		return ""
	}
	a, err := r.query(ctx, reverse, dns.TypePTR)
	if err != nil {
		return ""
	}
	confirmed := make([]bool, len(a.names))
	var wg sync.WaitGroup
	for i, name := range a.names {
		wg.Go(func() { confirmed[i] = r.leadsTo(ctx, name, addr) })
	}
	wg.Wait()
	if i := slices.Index(confirmed, true); i >= 0 {
		return a.names[i]
	}
	return ""
}

// leadsTo asks for the family of addr, whichever delivery prefers.
func (r *Resolver) leadsTo(ctx context.Context, name string, addr netip.Addr) bool {
	if list, ok := r.known(name); ok {
		return slices.Contains(list, addr)
	}
	qtype := dns.TypeAAAA
	if addr.Is4() {
		qtype = dns.TypeA
	}
	a, err := r.query(ctx, name, qtype)
	return err == nil && slices.Contains(a.addrs, addr)
}
