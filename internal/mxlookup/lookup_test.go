package mxlookup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const world = `
one.test. 300 IN MX 10 mx1.one.test.
one.test. 300 IN MX 5 mx2.one.test.
one.test. 300 IN MX 10 mx3.one.test.
mx1.one.test. 300 IN A 192.0.2.1
mx2.one.test. 300 IN A 192.0.2.2
mx2.one.test. 300 IN AAAA 2001:db8::2
mx3.one.test. 300 IN A 192.0.2.3
plain.test. 300 IN A 192.0.2.9
plain.test. 300 IN TXT "no mx"
null.test. 300 IN MX 0 .
empty.test. 300 IN TXT "nothing"
alias.test. 300 IN CNAME one.test.
mxalias.test. 300 IN MX 1 a1.test.
a1.test. 300 IN CNAME a2.test.
a2.test. 300 IN CNAME mx1.one.test.
loop1.test. 300 IN CNAME loop2.test.
loop2.test. 300 IN CNAME loop1.test.
dead.test. 300 IN MX 1 gone.test.
half.test. 300 IN MX 1 gone.test.
half.test. 300 IN MX 2 mx1.one.test.
odd.test. 300 IN MX 1 bad\032name.test.
odd.test. 300 IN MX 2 .
odd.test. 300 IN MX 3 mx1.one.test.
nohost.test. 300 IN A 0.0.0.0
nohost.test. 300 IN A 255.255.255.255
nohost.test. 300 IN A 224.0.0.1
nohost.test. 300 IN AAAA ::
nohost.test. 300 IN AAAA ::ffff:127.0.0.1
nohost.test. 300 IN AAAA ff02::1
onlyodd.test. 300 IN MX 1 a\010b.test.
`

func TestExchangersComeByPreference(t *testing.T) {
	r := resolver(serve(t, world))
	want(t, r, "one.test", "mx2.one.test=192.0.2.2:25 mx2.one.test=[2001:db8::2]:25 mx1.one.test=192.0.2.1:25 mx3.one.test=192.0.2.3:25")
	want(t, r, "ONE.test.", "mx2.one.test=192.0.2.2:25 mx2.one.test=[2001:db8::2]:25 mx1.one.test=192.0.2.1:25 mx3.one.test=192.0.2.3:25")
	want(t, r, "one.test:2525", "mx2.one.test=192.0.2.2:2525 mx2.one.test=[2001:db8::2]:2525 mx1.one.test=192.0.2.1:2525 mx3.one.test=192.0.2.3:2525")
	want(t, r, "alias.test", "mx2.one.test=192.0.2.2:25 mx2.one.test=[2001:db8::2]:25 mx1.one.test=192.0.2.1:25 mx3.one.test=192.0.2.3:25")
	want(t, r, "mxalias.test", "a1.test=192.0.2.1:25")
	want(t, r, "half.test", "mx1.one.test=192.0.2.1:25")
	want(t, r, "odd.test", "mx1.one.test=192.0.2.1:25")
}

func TestEqualPreferencesAreShuffled(t *testing.T) {
	z := serve(t, world)
	reverse := func(n int, swap func(i, j int)) {
		for i := range n / 2 {
			swap(i, n-1-i)
		}
	}
	r := resolver(z, func(o *Options) { o.Shuffle = reverse; o.Family = IPv4Only })
	want(t, r, "one.test", "mx2.one.test=192.0.2.2:25 mx3.one.test=192.0.2.3:25 mx1.one.test=192.0.2.1:25")
}

func TestFamilyDecidesAddressesAndOrder(t *testing.T) {
	z := serve(t, world)
	for f, hosts := range map[Family]string{
		IPv4First: "mx2.one.test=192.0.2.2:25 mx2.one.test=[2001:db8::2]:25",
		IPv6First: "mx2.one.test=[2001:db8::2]:25 mx2.one.test=192.0.2.2:25",
		IPv4Only:  "mx2.one.test=192.0.2.2:25",
		IPv6Only:  "mx2.one.test=[2001:db8::2]:25",
	} {
		want(t, resolver(z, func(o *Options) { o.Family = f }), "[mx2.one.test]", hosts)
	}
	want(t, resolver(z, func(o *Options) { o.Family = IPv6Only }), "plain.test", "550 5.4.4 no mail host of plain.test has an address")
	want(t, resolver(z, func(o *Options) { o.Family = IPv6First }), "[localhost]:2", "localhost=[::1]:2 localhost=127.0.0.1:2")
}

func TestWithoutMXTheDomainItselfTakesMail(t *testing.T) {
	want(t, resolver(serve(t, world)), "plain.test", "plain.test=192.0.2.9:25")
}

func TestBracketsSkipMX(t *testing.T) {
	z := serve(t, world)
	r := resolver(z, func(o *Options) { o.Hosts = map[string][]netip.Addr{"hub": {addr("192.0.2.8")}} })
	want(t, r, "[mx1.one.test]", "mx1.one.test=192.0.2.1:25")
	want(t, r, "[mx1.one.test]:26", "mx1.one.test=192.0.2.1:26")
	want(t, r, "[192.0.2.5]:2525", "192.0.2.5=192.0.2.5:2525")
	want(t, r, "[2001:db8::5]:2525", "2001:db8::5=[2001:db8::5]:2525")
	want(t, r, "[IPv6:2001:db8::5]", "2001:db8::5=[2001:db8::5]:25")
	want(t, r, "[hub]", "hub=192.0.2.8:25")
	want(t, r, "[one.test]", "550 5.4.4 no mail host of one.test has an address")
	if n := z.count("udp MX mx1.one.test."); n != 0 {
		t.Errorf("MX was asked for %d times", n)
	}
}

func TestProvenDeadEndsArePermanent(t *testing.T) {
	r := resolver(serve(t, world))
	want(t, r, "nowhere.test", "550 5.1.2 domain nowhere.test does not exist")
	want(t, r, "null.test", "556 5.1.10 domain null.test does not accept mail (null MX)")
	want(t, r, "empty.test", "550 5.4.4 no mail host of empty.test has an address")
	want(t, r, "dead.test", "550 5.4.4 no mail host of dead.test has an address")
	want(t, r, "nohost.test", "550 5.4.4 no mail host of nohost.test has an address")
	want(t, r, "onlyodd.test", "550 5.4.4 no mail host of onlyodd.test has an address")
}

func TestTroubleIsTransient(t *testing.T) {
	z := serve(t, world)
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented, 3841} {
		z.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
			m := new(dns.Msg).SetRcode(q, rcode)
			if rcode > 15 {
				m.SetEdns0(udpSize, false)
			}
			_ = w.WriteMsg(m)
			return true
		})
		want(t, resolver(z), "one.test", "451 4.4.3 name service error for one.test")
	}
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool { // only addresses fail
		if q.Question[0].Qtype == dns.TypeMX {
			return false
		}
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		return true
	})
	want(t, resolver(z), "one.test", "451 4.4.3 name service error for one.test")
	want(t, resolver(z), "[plain.test]", "451 4.4.3 name service error for plain.test")
	want(t, resolver(z), "loop1.test", "451 4.4.3 name service error for loop1.test")
}

func TestEndlessAliasesAreTransient(t *testing.T) {
	z := serve(t, world)
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool { // each name is an alias of a longer one
		m := new(dns.Msg).SetReply(q)
		rr, _ := dns.NewRR(q.Question[0].Name + " 300 IN CNAME x" + q.Question[0].Name)
		m.Answer = []dns.RR{rr}
		_ = w.WriteMsg(m)
		return true
	})
	want(t, resolver(z), "one.test", "451 4.4.3 name service error for one.test")
}

func TestOurselvesAndWorseAreCut(t *testing.T) {
	z := serve(t, world)
	self := func(a string) func(*Options) {
		return func(o *Options) {
			o.Family = IPv4Only
			o.Self = func(ap netip.AddrPort) bool { return ap == netip.MustParseAddrPort(a) }
		}
	}
	want(t, resolver(z, self("192.0.2.1:25")), "one.test", "mx2.one.test=192.0.2.2:25")
	want(t, resolver(z, self("192.0.2.2:25")), "one.test", "554 5.4.6 mail for one.test loops back to this host")
	want(t, resolver(z, self("192.0.2.2:2525")), "one.test", "mx2.one.test=192.0.2.2:25 mx1.one.test=192.0.2.1:25 mx3.one.test=192.0.2.3:25")
	want(t, resolver(z, self("192.0.2.9:25")), "plain.test", "554 5.4.6 mail for plain.test loops back to this host")
	want(t, resolver(z, self("192.0.2.9:26")), "[192.0.2.9]:26", "554 5.4.6 mail for 192.0.2.9 loops back to this host")
	byName := resolver(z, func(o *Options) { o.Hostname = "MX1.one.test"; o.Family = IPv4Only })
	want(t, byName, "one.test", "mx2.one.test=192.0.2.2:25")
	want(t, byName, "mxalias.test", "a1.test=192.0.2.1:25")
}

func TestNonsenseNextHopIsTransient(t *testing.T) {
	r := resolver(serve(t, world))
	for _, s := range []string{"", "[", "[]", "[a", "a b", "a:0", "a:65536", "a:+1", "[a]x", "[a]:", "a..b", "[fe80::1%", "ü.test", strings.Repeat("a.", 200)} {
		if got := lookup(t, r, s); !strings.HasPrefix(got, "451 4.3.5") {
			t.Errorf("%q: %s", s, got)
		}
	}
}

func TestTruncatedAnswerIsAskedForOverTCP(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "big.test. 300 IN MX %d a-rather-long-name-of-a-mail-host-%d.big.test.\n", 100-i, i)
		fmt.Fprintf(&b, "a-rather-long-name-of-a-mail-host-%d.big.test. 300 IN A 192.0.2.%d\n", i, i)
	}
	z := serve(t, b.String())
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
		if w.LocalAddr().Network() != "udp" {
			return false
		}
		m := z.answer(q)
		m.Truncate(512)
		_ = w.WriteMsg(m)
		return true
	})
	targets, err := resolver(z).Lookup(context.Background(), "big.test")
	if err != nil || len(targets) != maxHosts || targets[0].Preference != 41 {
		t.Fatalf("%d targets, %v; want the best %d: %v", len(targets), err, maxHosts, targets)
	}
	if z.count("tcp MX big.test.") != 1 {
		t.Error("TCP was not used")
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	z := serve(t, world)
	asked := make(chan struct{}, 9)
	z.on(func(dns.ResponseWriter, *dns.Msg) bool { asked <- struct{}{}; return true }) // no answer
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	_, err := resolver(z).Lookup(ctx, "one.test")
	var e *Error
	if !errors.As(err, &e) || !e.Reply.Transient() || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestNextServerIsAskedWhenOneFails(t *testing.T) {
	bad, good := serve(t, ""), serve(t, world)
	bad.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused))
		return true
	})
	r := resolver(good, func(o *Options) { o.Servers = []string{bad.addr, good.addr} })
	want(t, r, "plain.test", "plain.test=192.0.2.9:25")
}

func TestAnswersToOtherQuestionsAreNotTaken(t *testing.T) {
	z := serve(t, world)
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
		m := z.answer(q)
		m.Question[0].Name = "other.test."
		_ = w.WriteMsg(m)
		return true
	})
	want(t, resolver(z), "plain.test", "451 4.4.3 name service error for plain.test")
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool { // records of somebody else
		m := new(dns.Msg).SetReply(q)
		for _, s := range []string{"evil.test. 300 IN MX 0 evil.test.", "evil.test. 300 IN A 192.0.2.66"} {
			rr, _ := dns.NewRR(s)
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
		return true
	})
	want(t, resolver(z), "plain.test", "550 5.4.4 no mail host of plain.test has an address")
}
