package mxlookup

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// exchanger is one MX record.
type exchanger struct {
	host string
	pref uint16
}

// answer is what an answer says, once names are checked and numbers bounded.
type answer struct {
	exists bool // false: NXDOMAIN
	mx     []exchanger
	nullMX bool // RFC 7505
	// badMX: there were MX records, none with a usable name.
	badMX bool
	addrs []netip.Addr
	names []string // of PTR records
	texts []string // of TXT records
	// octets are those of all TXT records; tooLong: more than are kept.
	octets  int
	tooLong bool
	// alias, when set, is where a chain of CNAMEs went on without saying more.
	alias string
	ttl   time.Duration
}

func (a *answer) empty() bool {
	return len(a.mx) == 0 && len(a.addrs) == 0 && len(a.names) == 0 && a.octets == 0
}

// reading collects the records of one answer.
type reading struct {
	answer
	ttl    uint32
	hasTTL bool
	nulls  int
}

// read takes from m what answers the question (name, qtype). CNAMEs within m are
// followed; records of other names are ignored.
func read(m *dns.Msg, name string, qtype uint16) answer {
	records := m.Answer[:min(len(m.Answer), maxRecords)]
	r := &reading{}
	owner := dns.CanonicalName(name)
	last, hops := r.follow(records, owner)
	r.exists = m.Rcode != dns.RcodeNameError
	for _, rr := range records {
		if h := rr.Header(); h.Class == dns.ClassINET && h.Rrtype == qtype && dns.CanonicalName(h.Name) == last {
			r.take(rr)
		}
	}
	r.finish(m, last, hops)
	return r.answer
}

// follow walks the CNAMEs from owner and returns the name at their end.
func (r *reading) follow(records []dns.RR, owner string) (last string, hops int) {
	for hops = 0; hops < maxCNAMEs; hops++ {
		target := ""
		for _, rr := range records {
			if c, ok := rr.(*dns.CNAME); ok && dns.CanonicalName(c.Hdr.Name) == owner {
				target = dns.CanonicalName(c.Target)
				r.seen(c.Hdr.Ttl)
				break
			}
		}
		if target == "" {
			break
		}
		owner = target
	}
	return owner, hops
}

func (r *reading) seen(ttl uint32) {
	if !r.hasTTL || ttl < r.ttl {
		r.ttl, r.hasTTL = ttl, true
	}
}

func (r *reading) take(rr dns.RR) {
	r.seen(rr.Header().Ttl)
	switch rr := rr.(type) {
	case *dns.MX:
		if rr.Mx == "." {
			r.nulls++
		} else if host, ok := hostName(rr.Mx); ok {
			r.mx = append(r.mx, exchanger{host, rr.Preference})
		} else {
			r.badMX = true
		}
	case *dns.A:
		if a, ok := netip.AddrFromSlice(rr.A.To4()); ok && usable(a) {
			r.addrs = append(r.addrs, a)
		}
	case *dns.AAAA:
		if a, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok && usable(a) {
			r.addrs = append(r.addrs, a)
		}
	case *dns.TXT:
		r.takeText(rr)
	case *dns.PTR:
		if name, ok := hostName(rr.Ptr); ok {
			r.names = append(r.names, name)
		}
	}
}

// usable leaves out what is no address of a host: "0.0.0.0" would be ourselves.
func usable(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func (r *reading) finish(m *dns.Msg, last string, hops int) {
	// A "." beside real exchangers breaks RFC 7505 §3 and is ignored.
	r.nullMX = r.nulls > 0 && len(r.mx) == 0 && !r.badMX
	r.badMX = r.badMX && len(r.mx) == 0
	slices.SortStableFunc(r.mx, func(a, b exchanger) int { return cmp.Compare(a.pref, b.pref) })
	r.mx = slices.Clip(r.mx[:min(len(r.mx), maxHosts)])
	r.addrs = slices.Clip(r.addrs[:min(len(r.addrs), maxKnown)])
	r.names = slices.Clip(r.names[:min(len(r.names), maxNames)])
	soa := r.negativeTTL(m)
	if r.empty() && !r.nullMX && !r.badMX && r.exists && hops > 0 && !soa {
		r.alias = last
	}
	r.answer.ttl = time.Duration(r.ttl) * time.Second
}

// negativeTTL reads how long "no" is good for (RFC 2308 §5), and reports whether
// the answer has an SOA at all.
func (r *reading) negativeTTL(m *dns.Msg) bool {
	for _, rr := range m.Ns[:min(len(m.Ns), maxRecords)] {
		if soa, ok := rr.(*dns.SOA); ok {
			if r.empty() {
				r.seen(min(soa.Hdr.Ttl, soa.Minttl))
			}
			return true
		}
	}
	return false
}

// answers reports whether m is an answer to q at all.
func answers(m, q *dns.Msg) bool {
	if m == nil || !m.Response || m.Opcode != dns.OpcodeQuery || m.Id != q.Id || len(m.Question) != 1 {
		return false
	}
	got, want := m.Question[0], q.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}
