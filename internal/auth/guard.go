package auth

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// GuardOptions bound what guessing passwords can achieve. For each, 0 stands
// for the default named beside it.
type GuardOptions struct {
	// PerAddress is how many attempts may fail for a client (an IPv4 address, an
	// IPv6 /64) within Window before it is turned away unheard: 20.
	PerAddress int
	// PerLogin is how many may fail for a login within Window before clients that
	// have not logged in to it lately are slowed down: 10.
	PerLogin int
	Window   time.Duration // 10 min
	// FirstDelay is what the first attempt after a failure waits, 250 ms; it doubles
	// with each further failure, up to MaxDelay, 10 s.
	FirstDelay, MaxDelay time.Duration
	// Entries bounds each of the tables: 65536. What is beyond is forgotten,
	// oldest first.
	Entries int
	Now     func() time.Time // time.Now
}

func (o *GuardOptions) fill() {
	o.PerAddress, o.PerLogin = positive(o.PerAddress, 20), positive(o.PerLogin, 10)
	o.Window = positive(o.Window, 10*time.Minute)
	o.FirstDelay, o.MaxDelay = positive(o.FirstDelay, 250*time.Millisecond), positive(o.MaxDelay, 10*time.Second)
	o.Entries = positive(o.Entries, 1<<16)
	if o.Now == nil {
		o.Now = time.Now
	}
}

func positive[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Guard counts failures. An attempt counts as a failure from its beginning, and
// Passed takes that back: attempts at the same time hold each other up. Its
// methods are safe for concurrent use.
type Guard struct {
	o       GuardOptions
	mu      sync.Mutex
	addrs   counts
	logins  counts
	friends counts // address and login that went together
}

// NewGuard makes a Guard.
func NewGuard(o GuardOptions) *Guard {
	o.fill()
	g := &Guard{o: o}
	for _, c := range []*counts{&g.addrs, &g.logins, &g.friends} {
		c.window, c.max = o.Window, o.Entries
	}
	return g
}

// Barred says whether a client has failed so often that it is not heard.
func (g *Guard) Barred(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return addr.IsValid() && g.addrs.get(clientKey(addr), g.o.Now()) >= g.o.PerAddress
}

// Address notes an attempt of a client and returns how long it has to wait.
func (g *Guard) Address(addr netip.Addr) time.Duration {
	if !addr.IsValid() {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.delay(g.addrs.add(clientKey(addr), 1, g.o.Now()), 0)
}

// Login notes an attempt at a login and returns how long it has to wait, beside
// what Address said.
func (g *Guard) Login(addr netip.Addr, login string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Now()
	before := g.logins.add(loginKey(login), 1, now)
	if g.friends.get(pairKey(addr, login), now) > 0 {
		return 0
	}
	return g.delay(before, g.o.PerLogin)
}

// Passed takes an attempt back: the client proved who it is. attempted says that
// Login was told of it.
func (g *Guard) Passed(addr netip.Addr, login string, attempted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Now()
	g.withdraw(addr, now)
	if attempted {
		g.logins.add(loginKey(login), -1, now)
	}
	if addr.IsValid() {
		g.friends.add(pairKey(addr, login), 1, now)
	}
}

// withdraw takes back what Address noted; the lock is held.
func (g *Guard) withdraw(addr netip.Addr, now time.Time) {
	if addr.IsValid() {
		g.addrs.add(clientKey(addr), -1, now)
	}
}

// Unheard takes an attempt of a client back that came to no verdict: our own
// trouble is not its failure.
func (g *Guard) Unheard(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.withdraw(addr, g.o.Now())
}

// delay is the wait of who failed n times, free of them without one.
func (g *Guard) delay(n, free int) time.Duration {
	if n -= free; n <= 0 {
		return 0
	}
	d := g.o.FirstDelay
	for ; n > 1 && d < g.o.MaxDelay; n-- {
		d *= 2
	}
	return min(d, g.o.MaxDelay)
}

func clientKey(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// maxKey bounds what is kept of a login that somebody made up.
const maxKey = 256

func loginKey(login string) string { return strings.Clone(login[:min(len(login), maxKey)]) }

func pairKey(addr netip.Addr, login string) string { return clientKey(addr) + " " + loginKey(login) }

// counts are numbers by key that are forgotten after one to two windows: the
// older half goes as a whole, when it is time or when there are too many.
type counts struct {
	window     time.Duration
	max        int
	now, older map[string]int
	since      time.Time
}

func (c *counts) turn(now time.Time) {
	age := now.Sub(c.since)
	if c.now != nil && age < c.window && len(c.now) < c.max/2 {
		return
	}
	if c.older = c.now; age >= 2*c.window {
		c.older = nil
	}
	c.now, c.since = make(map[string]int), now
}

func (c *counts) get(key string, now time.Time) int {
	c.turn(now)
	return max(c.now[key]+c.older[key], 0)
}

// add returns what there was before.
func (c *counts) add(key string, n int, now time.Time) int {
	before := c.get(key, now)
	if n > 0 || before > 0 {
		c.now[key] += n
	}
	return before
}
