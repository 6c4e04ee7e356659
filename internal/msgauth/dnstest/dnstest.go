// Package dnstest serves DNS records on loopback, for tests of what is checked
// by the DNS.
package dnstest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Zone is a DNS server. A name without records is NXDOMAIN. It is safe for
// concurrent use.
type Zone struct {
	Addr string // of the server, UDP and TCP

	mu      sync.Mutex
	records []dns.RR
	broken  map[string]bool
	silent  map[string]bool
	asked   int
}

// Serve starts a server with records in the form of a zone file, one in a line;
// it ends with the test.
func Serve(t testing.TB, records string) *Zone {
	t.Helper()
	z := &Zone{broken: map[string]bool{}, silent: map[string]bool{}}
	z.Add(t, records)
	z.Addr = ServeHandler(t, z)
	return z
}

// ServeHandler starts a server that asks h, and returns its address, UDP and TCP; it
// ends with the test.
func ServeHandler(t testing.TB, h dns.Handler) (addr string) {
	t.Helper()
	pc, l := listen(t)
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		started, done := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	return pc.LocalAddr().String()
}

// listen finds a port that is free for UDP and TCP.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return pc, l
		}
		_ = l.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// Records reads records in the form of a zone file, one in a line.
func Records(t testing.TB, text string) (list []dns.RR) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rr)
	}
	return list
}

// Add adds records.
func (z *Zone) Add(t testing.TB, records string) {
	t.Helper()
	list := Records(t, records)
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = append(z.records, list...)
}

// Text adds a TXT record of any octets.
func (z *Zone) Text(name, text string) {
	rr := &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}}
	for {
		n := min(len(text), 255)
		rr.Txt = append(rr.Txt, escape(text[:n]))
		if text = text[n:]; text == "" {
			break
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = append(z.records, rr)
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

// Break makes questions for a name end in SERVFAIL.
func (z *Zone) Break(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.broken[dns.Fqdn(name)] = true
}

// Silence makes questions for a name end in no answer at all.
func (z *Zone) Silence(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.silent[dns.Fqdn(name)] = true
}

// Asked is how many questions there were.
func (z *Zone) Asked() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

// ServeDNS implements dns.Handler.
func (z *Zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	m, name := new(dns.Msg).SetReply(q), strings.ToLower(q.Question[0].Name)
	switch {
	case z.silent[name]:
		return
	case z.broken[name]:
		m.Rcode = dns.RcodeServerFailure
	default:
		z.answer(m, name, q.Question[0].Qtype)
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

func (z *Zone) answer(m *dns.Msg, name string, qtype uint16) {
	m.Rcode = dns.RcodeNameError
	for _, rr := range z.records {
		if strings.ToLower(rr.Header().Name) != name {
			continue
		}
		m.Rcode = dns.RcodeSuccess
		if rr.Header().Rrtype == qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
}
