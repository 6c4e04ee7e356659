package mxlookup

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mtad/internal/msgauth/dnstest"
)

// zone is a DNS server on loopback. Its records are in zone file form; a name
// without any is NXDOMAIN; hooks come first.
type zone struct {
	addr string

	mu      sync.Mutex
	records []dns.RR
	hook    func(w dns.ResponseWriter, q *dns.Msg) bool
	asked   map[string]int // "udp MX name."
}

func serve(t testing.TB, records string) *zone {
	t.Helper()
	z := &zone{records: dnstest.Records(t, records), asked: map[string]int{}}
	z.addr = dnstest.ServeHandler(t, z)
	return z
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	question := q.Question[0]
	z.asked[w.LocalAddr().Network()+" "+dns.TypeToString[question.Qtype]+" "+question.Name]++
	hook := z.hook
	z.mu.Unlock()
	if hook != nil && hook(w, q) {
		return
	}
	_ = w.WriteMsg(z.answer(q))
}

func (z *zone) answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	name, exists := strings.ToLower(q.Question[0].Name), false
	for i := 0; i < len(z.records); i++ {
		rr := z.records[i]
		if rr.Header().Name != name {
			continue
		}
		exists = true
		if c, ok := rr.(*dns.CNAME); ok && q.Question[0].Qtype != dns.TypeCNAME && len(m.Answer) < 30 {
			m.Answer = append(m.Answer, rr)
			name, i = c.Target, -1
			continue
		}
		if rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	if !exists || len(m.Answer) == 0 {
		soa, _ := dns.NewRR("test. 60 IN SOA ns.test. root.test. 1 1 1 1 30")
		m.Ns = append(m.Ns, soa)
	}
	return m
}

func (z *zone) on(hook func(w dns.ResponseWriter, q *dns.Msg) bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hook = hook
}

func (z *zone) count(what string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[what]
}

func resolver(z *zone, change ...func(*Options)) *Resolver {
	o := Options{Servers: []string{z.addr}, Rounds: 1, Timeout: 5 * time.Second, Shuffle: func(int, func(i, j int)) {}}
	for _, c := range change {
		c(&o)
	}
	return New(o)
}

// lookup prints the targets as "host=address:port ...", or the error's reply.
func lookup(t testing.TB, r *Resolver, nextHop string) string {
	t.Helper()
	targets, err := r.Lookup(context.Background(), nextHop)
	if err != nil {
		if len(targets) > 0 {
			t.Fatalf("%s: targets beside error %v", nextHop, err)
		}
		return err.(*Error).Reply.String()
	}
	var words []string
	for _, x := range targets {
		words = append(words, x.Host+"="+x.Addr.String())
	}
	return strings.Join(words, " ")
}

func want(t testing.TB, r *Resolver, nextHop, want string) {
	t.Helper()
	if got := lookup(t, r, nextHop); got != want {
		t.Errorf("%s:\n got %s\nwant %s", nextHop, got, want)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
