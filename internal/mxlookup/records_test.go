package mxlookup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// kind of an error of the Lookup methods.
func kindOf(t *testing.T, err error) string {
	t.Helper()
	var e *net.DNSError
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &e):
		t.Fatalf("not a *net.DNSError: %v", err)
	case e.IsNotFound:
		return "not found"
	case e.IsTemporary:
		return "temporary"
	}
	return "permanent"
}

func TestTextRecordsAreJoinedAndExact(t *testing.T) {
	z := serve(t, `
		two.test. 60 IN TXT "v=spf1 ip4:192.0.2.1" " -all"
		odd.test. 60 IN TXT "a\"b\\c\009d\200"
		odd.test. 60 IN TXT "second"
		alias.test. 60 IN CNAME two.test.
		host.test. 60 IN A 192.0.2.1
	`)
	r := resolver(z)
	for name, want := range map[string]string{
		"two.test":                           "ok [v=spf1 ip4:192.0.2.1 -all]",
		"TWO.test.":                          "ok [v=spf1 ip4:192.0.2.1 -all]",
		"alias.test":                         "ok [v=spf1 ip4:192.0.2.1 -all]",
		"odd.test":                           "ok [a\"b\\c\td\xc8 second]",
		"host.test":                          "not found []",
		"missing.test":                       "not found []",
		"":                                   "not found []",
		"a b.test":                           "not found []",
		"a..test":                            "not found []",
		"ü.test":                             "not found []",
		`a\046test.test`:                     "not found []",
		strings.Repeat("a", 64) + ".test":    "not found []",
		strings.Repeat("a.", 130) + "a.test": "not found []",
	} {
		list, err := r.LookupTXT(t.Context(), name)
		if got := fmt.Sprint(kindOf(t, err), " ", list); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestTextRecordsAreBounded(t *testing.T) {
	long := strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 20) // 5000 octets
	z := serve(t, "fits.test. 60 IN TXT "+long+"\nhuge.test. 60 IN TXT "+long+long+long+long)
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
		if w.LocalAddr().Network() != "udp" {
			return false
		}
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		_ = w.WriteMsg(m)
		return true
	})
	r := resolver(z)
	for range 2 {
		if list, err := r.LookupTXT(t.Context(), "fits.test"); err != nil || len(list) != 1 || len(list[0]) != 5000 {
			t.Errorf("got %d records, %v", len(list), err)
		}
	}
	if n := z.count("tcp TXT fits.test."); n != 2 {
		t.Errorf("asked %d times, want twice: a long answer is not to fill the cache", n)
	}
	if list, err := r.LookupTXT(t.Context(), "huge.test"); kindOf(t, err) != "permanent" || list != nil {
		t.Errorf("got %d records, %v", len(list), err)
	}
	if r.cache.len() > 1 {
		t.Errorf("%d answers in the cache", r.cache.len())
	}
}

func TestRecordsOfSendersTellAbsenceFromTrouble(t *testing.T) {
	z := serve(t, `
		both.test. 60 IN A 192.0.2.1
		both.test. 60 IN AAAA 2001:db8::1
		mx.test. 60 IN MX 20 b.test.
		mx.test. 60 IN MX 10 a.test.
		null.test. 60 IN MX 0 .
		1.2.0.192.in-addr.arpa. 60 IN PTR both.test.
	`)
	r := resolver(z, func(o *Options) { o.Family = IPv4Only })
	ips, err := r.LookupIPAddr(t.Context(), "both.test")
	if fmt.Sprint(ips) != "[{192.0.2.1 } {2001:db8::1 }]" {
		t.Errorf("addresses %v, %v", ips, err)
	}
	mx, err := r.LookupMX(t.Context(), "mx.test")
	if err != nil || len(mx) != 2 || *mx[0] != (net.MX{Host: "a.test.", Pref: 10}) {
		t.Errorf("exchangers %v, %v", mx, err)
	}
	names, err := r.LookupAddr(t.Context(), "192.0.2.1")
	if fmt.Sprint(names) != "[both.test.]" {
		t.Errorf("names %v, %v", names, err)
	}
	_, err = r.LookupMX(t.Context(), "null.test")
	if got := kindOf(t, err); got != "not found" {
		t.Errorf("null MX: %s", got)
	}
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
		if q.Question[0].Qtype != dns.TypeAAAA && q.Question[0].Name != "broken.test." {
			return false
		}
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		return true
	})
	_, err = r.LookupTXT(t.Context(), "broken.test")
	if got := kindOf(t, err); got != "temporary" {
		t.Errorf("SERVFAIL: %s", got)
	}
	if _, err = r.LookupIPAddr(t.Context(), "missing.test"); kindOf(t, err) != "temporary" {
		t.Errorf("no IPv4 address, IPv6 unknown: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = r.LookupTXT(ctx, "late.test"); kindOf(t, err) != "temporary" {
		t.Errorf("out of time: %v", err)
	}
}

func TestAllAddressesOfAHostAreKnown(t *testing.T) {
	var records strings.Builder
	for i := range 20 {
		fmt.Fprintf(&records, "many.test. 60 IN A 192.0.2.%d\n", i+1)
	}
	r := resolver(serve(t, records.String()))
	ips, err := r.LookupIPAddr(t.Context(), "many.test")
	if err != nil || len(ips) != 20 {
		t.Errorf("%d addresses, %v: a sender may use any of 20", len(ips), err)
	}
	targets, err := r.Lookup(t.Context(), "many.test")
	if err != nil || len(targets) != maxAddrs {
		t.Errorf("%d targets, %v: want no more than %d", len(targets), err, maxAddrs)
	}
}
