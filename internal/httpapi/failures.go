package httpapi

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// failures counts failed authentications by address: a bucket of burst tokens for
// each, refilled by one every interval. Memory is bounded: when too many addresses
// are known, those with a full bucket are forgotten, and then all.
type failures struct {
	burst    int
	interval time.Duration

	mu   sync.Mutex
	addr map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// allow takes one failure from addr's bucket; when it is empty it says how long
// until it is not.
func (f *failures) allow(addr string, now time.Time) (wait time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addr == nil {
		f.addr = make(map[string]bucket)
	}
	b, known := f.addr[addr]
	if !known {
		if len(f.addr) >= maxAddresses {
			f.forget(now)
		}
		b = bucket{left: float64(f.burst), at: now}
	}
	b = f.refill(b, now)
	if b.left < 1 {
		f.addr[addr] = b
		return time.Duration((1 - b.left) * float64(f.interval)), false
	}
	b.left--
	f.addr[addr] = b
	return 0, true
}

func (f *failures) refill(b bucket, now time.Time) bucket {
	if d := now.Sub(b.at); d > 0 {
		b.left = min(float64(f.burst), b.left+float64(d)/float64(f.interval))
		b.at = now
	}
	return b
}

func (f *failures) forget(now time.Time) {
	for a, b := range f.addr {
		if f.refill(b, now).left >= float64(f.burst) {
			delete(f.addr, a)
		}
	}
	if len(f.addr) >= maxAddresses {
		clear(f.addr)
	}
}

// addressOf is what failures and connections are counted by: the IPv4 address,
// the /64 of an IPv6 one, "local" for anything else.
func addressOf(r *http.Request) string { return group(r.RemoteAddr) }

func group(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return "local"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return "local"
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// seconds rounds up to whole seconds, at least 1, as Retry-After wants them.
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }
