package mxlookup

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Whatever octets a server sends: what is taken from them is bounded, sorted,
// and made of names that can be written in SMTP.
func FuzzAnswer(f *testing.F) {
	seed := func(qtype uint16, rcode int, records ...string) {
		m := new(dns.Msg).SetQuestion("one.test.", qtype)
		m.Response, m.Rcode, m.Compress = true, rcode, true
		for _, s := range records {
			rr, err := dns.NewRR(s)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(dns.TypeMX, 0, "one.test. 1 IN MX 10 mx.one.test.", "one.test. 1 IN MX 5 a\\032b.test.", "one.test. 1 IN MX 0 .")
	seed(dns.TypeMX, 0, "one.test. 1 IN CNAME two.test.", "two.test. 1 IN CNAME one.test.")
	seed(dns.TypeA, 0, "one.test. 1 IN A 192.0.2.1", "one.test. 1 IN AAAA ::1")
	seed(dns.TypeAAAA, dns.RcodeNameError)
	f.Add([]byte{0, 0, 0x80, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c})
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		for _, qtype := range []uint16{dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeTXT} {
			checkAnswer(t, read(m, "one.test.", qtype))
		}
		q := new(dns.Msg).SetQuestion("one.test.", dns.TypeMX)
		answers(m, q)
	})
}

func checkAnswer(t *testing.T, a answer) {
	t.Helper()
	if len(a.mx) > maxHosts || len(a.addrs) > maxKnown || len(a.texts) > maxRecords || a.octets > maxText && !a.tooLong || a.ttl < 0 {
		t.Fatalf("out of bounds: %+v", a)
	}
	for i, x := range a.mx {
		name, ok := hostName(x.host)
		if !ok || name != x.host || strings.ContainsAny(x.host, " \\\r\n\x00@") {
			t.Fatalf("bad host %q", x.host)
		}
		if i > 0 && a.mx[i-1].pref > x.pref {
			t.Fatalf("not sorted: %+v", a.mx)
		}
	}
}

// A next hop that is read prints and reads the same again.
func FuzzNextHop(f *testing.F) {
	for _, s := range []string{"a.test", "a.test:25", "[a.test]:25", "[::1]", "[IPv6:::1]:25", "[1.2.3.4]", "a:b:c", "[fe80::1%lo]", "0.0.0.0."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHop(s)
		if err != nil {
			return
		}
		if h.host == "" || strings.ContainsAny(h.host, " \r\n\x00[]@") {
			t.Fatalf("%q gives host %q", s, h.host)
		}
		again, err := parseHop("[" + h.host + "]")
		if err != nil || again.host != h.host || again.addr != h.addr {
			t.Fatalf("%q: host %q reads as %+v, %v", s, h.host, again, err)
		}
	})
}
