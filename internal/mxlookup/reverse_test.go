package mxlookup

import (
	"context"
	"testing"

	"github.com/miekg/dns"
)

const reverseZone = `
1.2.0.192.in-addr.arpa. 60 IN PTR Mail.Example.TEST.
mail.example.test. 60 IN A 192.0.2.1
2.2.0.192.in-addr.arpa. 60 IN PTR bank.test.
bank.test. 60 IN A 192.0.2.99
3.2.0.192.in-addr.arpa. 60 IN PTR liar.test.
3.2.0.192.in-addr.arpa. 60 IN PTR honest.test.
liar.test. 60 IN A 192.0.2.99
honest.test. 60 IN A 192.0.2.98
honest.test. 60 IN A 192.0.2.3
4.2.0.192.in-addr.arpa. 60 IN PTR gone.test.
5.2.0.192.in-addr.arpa. 60 IN PTR two\032words.test.
6.2.0.192.in-addr.arpa. 60 IN CNAME 6.0-15.2.0.192.in-addr.arpa.
6.0-15.2.0.192.in-addr.arpa. 60 IN PTR classless.test.
classless.test. 60 IN CNAME real.test.
real.test. 60 IN A 192.0.2.6
7.2.0.192.in-addr.arpa. 60 IN PTR localhost.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR six.test.
six.test. 60 IN AAAA 2001:db8::1
`

func TestNameIsConfirmedByTheWayBack(t *testing.T) {
	// Delivery's choice of a family has no say in it.
	r := resolver(serve(t, reverseZone), func(o *Options) { o.Family = IPv4Only })
	for _, c := range []struct{ addr, name, why string }{
		{"192.0.2.1", "mail.example.test", "both ways"},
		{"::ffff:192.0.2.1", "mail.example.test", "IPv4 in IPv6"},
		{"192.0.2.2", "", "a name that belongs to another"},
		{"192.0.2.3", "honest.test", "the second of two names, by its second address"},
		{"192.0.2.4", "", "a name without address"},
		{"192.0.2.5", "", "no host name"},
		{"192.0.2.6", "classless.test", "CNAMEs on both ways"},
		{"192.0.2.7", "", "localhost is not somebody else"},
		{"192.0.2.8", "", "no PTR"},
		{"2001:db8::1", "six.test", "IPv6"},
	} {
		if got := r.Name(context.Background(), addr(c.addr)); got != c.name {
			t.Errorf("%s (%s): got %q, want %q", c.addr, c.why, got, c.name)
		}
	}
}

func TestNameOfOneClientIsAskedForOnce(t *testing.T) {
	z := serve(t, reverseZone)
	r := resolver(z)
	for range 3 {
		if got := r.Name(context.Background(), addr("192.0.2.1")); got != "mail.example.test" {
			t.Fatalf("got %q", got)
		}
	}
	if n := z.count("udp PTR 1.2.0.192.in-addr.arpa."); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestNameEndsWithItsContext(t *testing.T) {
	z := serve(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	z.on(func(dns.ResponseWriter, *dns.Msg) bool { cancel(); return true })
	if got := resolver(z).Name(ctx, addr("192.0.2.1")); got != "" {
		t.Errorf("got %q of a server that does not answer", got)
	}
}
