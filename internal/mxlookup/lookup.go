package mxlookup

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/miekg/dns"
)

// Target is one address to try.
type Target struct {
	// Host is the mail exchanger's name, or the address where there is none. It is
	// what a TLS certificate is checked against.
	Host string
	Addr netip.AddrPort
	// Preference of its MX record; 0 without one.
	Preference uint16
}

// host is a mail exchanger with its addresses, or why it has none.
type host struct {
	exchanger
	addrs []netip.Addr
	err   error // transient; nil with no addrs: proven that there are none
}

// Lookup returns the addresses for a next hop, at least one and at most 40, in
// the order to try them; or an *Error. nextHop is "domain" or "domain:port",
// looked up by MX, or "[host]" or "[host]:port", taken as it is.
func (r *Resolver) Lookup(ctx context.Context, nextHop string) ([]Target, error) {
	h, err := parseHop(nextHop)
	if err != nil {
		h.host = nextHop
		return nil, h.fail(451, "4.3.5", "next hop cannot be used", err)
	}
	if h.port == 0 {
		h.port = r.o.Port
	}
	if h.direct {
		return r.direct(ctx, h)
	}
	a, err := r.query(ctx, h.host, dns.TypeMX)
	switch {
	case err != nil:
		return nil, h.trouble(err)
	case !a.exists:
		return nil, h.noDomain()
	case a.nullMX:
		return nil, h.nullMX()
	case a.badMX:
		return nil, h.noAddress()
	case len(a.mx) == 0: // RFC 5321 §5.1: the domain itself, preference 0
		return r.direct(ctx, h)
	}
	return r.exchangers(ctx, h, a.mx)
}

// direct is for a host that is named, or is its domain's implicit MX.
func (r *Resolver) direct(ctx context.Context, h hop) ([]Target, error) {
	one := host{exchanger: exchanger{host: h.host}}
	if h.addr.IsValid() {
		one.addrs = []netip.Addr{h.addr}
	} else {
		one.addrs, one.err = r.addresses(ctx, h.host)
	}
	if one.err != nil {
		return nil, h.trouble(one.err)
	}
	if len(one.addrs) == 0 {
		return nil, h.noAddress()
	}
	targets := r.targets(h, []host{one}, func(a netip.AddrPort) bool { return !r.o.Self(a) })
	if len(targets) == 0 {
		return nil, h.loop()
	}
	return targets, nil
}

// exchangers resolves the hosts of MX records, which come sorted.
func (r *Resolver) exchangers(ctx context.Context, h hop, mx []exchanger) ([]Target, error) {
	hosts := r.resolveAll(ctx, mx)
	hosts, cut := r.cutSelf(hosts, h.port)
	if len(hosts) == 0 && cut {
		return nil, h.loop()
	}
	r.shuffleEquals(hosts)
	targets := r.targets(h, hosts, func(netip.AddrPort) bool { return true })
	if len(targets) > 0 {
		return targets, nil
	}
	var errs []error
	for _, x := range hosts {
		errs = append(errs, x.err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, h.trouble(err)
	}
	return nil, h.noAddress()
}

func (r *Resolver) resolveAll(ctx context.Context, mx []exchanger) []host {
	hosts := make([]host, len(mx))
	var wg sync.WaitGroup
	for i, x := range mx {
		wg.Go(func() {
			addrs, err := r.addresses(ctx, x.host)
			hosts[i] = host{exchanger: x, addrs: addrs, err: err}
		})
	}
	wg.Wait()
	return hosts
}

// cutSelf drops every host whose preference is not better than our own
// (RFC 5321 §5.1), and reports whether we were among them.
func (r *Resolver) cutSelf(hosts []host, port uint16) ([]host, bool) {
	for _, x := range hosts {
		if !r.isSelf(x, port) {
			continue
		}
		n := 0
		for n < len(hosts) && hosts[n].pref < x.pref {
			n++
		}
		return hosts[:n], true
	}
	return hosts, false
}

func (r *Resolver) isSelf(x host, port uint16) bool {
	if own, ok := hostName(r.o.Hostname); ok && own == x.host {
		return true
	}
	for _, a := range x.addrs {
		if r.o.Self(netip.AddrPortFrom(a, port)) {
			return true
		}
	}
	return false
}

// shuffleEquals puts hosts of one preference in random order.
func (r *Resolver) shuffleEquals(hosts []host) {
	for i := 0; i < len(hosts); {
		j := i
		for j < len(hosts) && hosts[j].pref == hosts[i].pref {
			j++
		}
		same := hosts[i:j]
		r.o.Shuffle(len(same), func(a, b int) { same[a], same[b] = same[b], same[a] })
		i = j
	}
}

// targets lists the addresses of hosts that keep lets through, each once.
func (r *Resolver) targets(h hop, hosts []host, keep func(netip.AddrPort) bool) []Target {
	var list []Target
	seen := map[netip.Addr]bool{}
	for _, x := range hosts {
		for _, a := range r.ordered(x.addrs) {
			ap := netip.AddrPortFrom(a, h.port)
			if !seen[a] && keep(ap) && len(list) < maxTargets {
				seen[a] = true
				list = append(list, Target{Host: x.host, Addr: ap, Preference: x.pref})
			}
		}
	}
	return list
}
