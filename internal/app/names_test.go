package app_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"mtad/queue"
)

// nameServer answers from records, and counts the questions.
func nameServer(t *testing.T, records ...string) (addr string, asked *atomic.Int32) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	ready, done := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(ready) }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Add(1)
		m := new(dns.Msg).SetReply(q)
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err == nil && rr.Header().Name == strings.ToLower(q.Question[0].Name) && rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { _ = s.Shutdown(); <-done })
	return pc.LocalAddr().String(), asked
}

func TestClientsNameIsConfirmedAndInTheTrace(t *testing.T) {
	server, asked := nameServer(t,
		"1.2.0.192.in-addr.arpa. 60 IN PTR mail.client.test.", "mail.client.test. 60 IN A 192.0.2.1",
		"2.2.0.192.in-addr.arpa. 60 IN PTR mail.client.test.")
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0", xclient: [127.0.0.0/8]}
api: {listen: []}
local_domains: [mx.test]
delivery: {dns_servers: ["%s"]}
`, server)))
	for _, c := range []struct{ addr, name string }{
		{"192.0.2.1", "mail.client.test"},
		{"192.0.2.2", "unknown"}, // a name that belongs to another
		{"192.0.2.3", "unknown"},
		{"127.0.0.1", "unknown"},
	} {
		before := asked.Load()
		x := dial(t, a.Addr("smtp").String())
		x.do(220, "XCLIENT ADDR=%s", c.addr)
		x.do(250, "EHLO says.test")
		_, id := x.send(250, "", "postmaster@mx.test", message)
		it, err := a.Queue().Get(context.Background(), queue.ID(id))
		if err != nil {
			it = finished(t, a.Queue(), queue.ID(id))
		}
		if got := it.Envelope.Client.Name; got != c.name {
			t.Errorf("%s: name %q, want %q", c.addr, got, c.name)
		}
		if want := "from says.test (" + c.name + " [" + c.addr + "])"; !strings.Contains(string(it.Trace), want) {
			t.Errorf("%s: no %q in %q", c.addr, want, it.Trace)
		}
		if c.addr == "127.0.0.1" && asked.Load() != before {
			t.Error("the DNS was asked for a client of this machine")
		}
	}
}
