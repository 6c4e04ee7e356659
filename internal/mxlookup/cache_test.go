package mxlookup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// clock is a time that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

func TestAnswersAreKeptForTheirClampedTTL(t *testing.T) {
	z := serve(t, `
mid.test. 300 IN A 192.0.2.1
short.test. 0 IN A 192.0.2.1
long.test. 999999 IN A 192.0.2.1
`)
	c := &clock{now: time.Unix(1e9, 0)}
	r := resolver(z, func(o *Options) { o.Now = c.Now; o.Family = IPv4Only })
	for _, step := range []struct {
		name  string
		after time.Duration
		asked int
	}{
		{"mid.test", 0, 1}, {"mid.test", 299 * time.Second, 1}, {"mid.test", 2 * time.Second, 2},
		{"short.test", 0, 1}, {"short.test", 4 * time.Second, 1}, {"short.test", 2 * time.Second, 2},
		{"long.test", 0, 1}, {"long.test", 59 * time.Minute, 1}, {"long.test", 2 * time.Minute, 2},
		{"no.test", 0, 1}, {"no.test", 29 * time.Second, 1}, {"no.test", 2 * time.Second, 2},
	} {
		c.add(step.after)
		lookup(t, r, "["+step.name+"]")
		if n := z.count("udp A " + step.name + "."); n != step.asked {
			t.Errorf("%s after %v: asked %d times, want %d", step.name, step.after, n, step.asked)
		}
	}
}

func TestFailuresAreKeptForSeconds(t *testing.T) {
	z := serve(t, world)
	z.on(func(w dns.ResponseWriter, q *dns.Msg) bool {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		return true
	})
	c := &clock{now: time.Unix(1e9, 0)}
	r := resolver(z, func(o *Options) { o.Now = c.Now })
	lookup(t, r, "one.test")
	lookup(t, r, "one.test")
	if n := z.count("udp MX one.test."); n != 1 {
		t.Errorf("asked %d times at once", n)
	}
	z.on(nil)
	c.add(6 * time.Second)
	if got := lookup(t, r, "one.test"); !strings.Contains(got, "mx1") {
		t.Errorf("after the failure: %s", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	z := serve(t, "")
	r := resolver(z, func(o *Options) { o.CacheSize = 10; o.Family = IPv4Only })
	for i := range 50 {
		lookup(t, r, fmt.Sprintf("[n%d.test]", i))
	}
	if n := r.cache.len(); n != 10 {
		t.Errorf("%d answers kept, want 10", n)
	}
}

func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	z := serve(t, world)
	first, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	z.on(func(dns.ResponseWriter, *dns.Msg) bool {
		once.Do(func() { close(first) })
		<-proceed
		return false
	})
	r := resolver(z, func(o *Options) { o.Family = IPv4Only })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { want(t, r, "[plain.test]", "plain.test=192.0.2.9:25") })
	}
	<-first
	close(proceed)
	wg.Wait()
	if n := z.count("udp A plain.test."); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestResolvConfIsReadAgainWhenItChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	c := &clock{now: time.Unix(1e9, 0)}
	s := &servers{file: file}
	write := func(addr string, mtime int64) {
		t.Helper()
		if err := os.WriteFile(file, []byte("nameserver "+addr+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Unix(mtime, 0), time.Unix(mtime, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(c.Now()); got[0] != "127.0.0.1:53" {
		t.Errorf("without a file: %v", got)
	}
	for i, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		write(ip, int64(1000+i))
		c.add(recheck)
		if got := s.get(c.Now()); got[0] != ip+":53" {
			t.Errorf("got %v, want %s", got, ip)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.add(recheck)
	if got := s.get(c.Now()); got[0] != "192.0.2.2:53" {
		t.Errorf("with the file gone: %v", got)
	}
}
