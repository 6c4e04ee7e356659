package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// clients counts connections per client: an IPv4 address or an IPv6 /64.
type clients struct {
	perClient, rate int
	mu              sync.Mutex
	m               map[netip.Prefix]*client
	swept           time.Time
}

type client struct {
	open  int
	since time.Time // beginning of the running minute
	count int       // connections in it
}

// maxClients bounds the table. Clients beyond it are not counted: forgetting to
// limit is better than to turn everybody away.
const maxClients = 1 << 17

func newClients(perClient, rate int) *clients {
	return &clients{perClient: perClient, rate: rate, m: map[netip.Prefix]*client{}}
}

// clientOf is the unit of counting that an address belongs to.
func clientOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// The reasons why a client is turned away; "" is none.
const (
	tooMany = "client_connections"
	tooFast = "client_rate"
)

// enter counts a connection. With a reason it is turned away, and not counted
// as open. Without, leave has to be called with the same key.
func (c *clients) enter(key netip.Prefix, now time.Time) (counted bool, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.m[key]
	if x == nil {
		if c.sweep(now); len(c.m) >= maxClients {
			return false, ""
		}
		x = &client{since: now}
		c.m[key] = x
	}
	if now.Sub(x.since) >= time.Minute {
		x.since, x.count = now, 0
	}
	x.count++
	switch {
	case x.count > c.rate:
		return false, tooFast
	case x.open >= c.perClient:
		return false, tooMany
	}
	x.open++
	return true, ""
}

func (c *clients) leave(key netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.m[key]; x != nil {
		x.open--
	}
}

// sweep forgets clients that are gone, at most every ten seconds.
func (c *clients) sweep(now time.Time) {
	if now.Sub(c.swept) < 10*time.Second {
		return
	}
	c.swept = now
	for k, x := range c.m {
		if x.open == 0 && now.Sub(x.since) >= time.Minute {
			delete(c.m, k)
		}
	}
}
