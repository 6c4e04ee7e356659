package qmgr

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mtad/queue"
)

// backlog plays the queue for a core: how many items wait for each next hop.
type backlog struct {
	c       *core
	waiting [classes]map[string]int
	made    int
}

// claim answers an order as queue.Queue.Claim would and returns the jobs.
func (b *backlog) claim(t *rapid.T, cl class, now time.Time) (jobs []*job) {
	o := b.c.order(cl)
	for _, hop := range slices.Sorted(maps.Keys(b.waiting[cl])) {
		n := b.waiting[cl][hop]
		most, bounded := o.perHopMax[hop]
		if !bounded {
			most = o.perHop
		}
		if o.not[hop] {
			most = 0
		}
		for range min(n, most, o.max-len(jobs)) {
			b.made++
			j := &job{class: cl}
			j.Item.ID = queue.ID(fmt.Sprint(b.made))
			jobs = append(jobs, j)
			b.waiting[cl][hop]--
			b.c.add(j, place{"smtp", hop}, now)
		}
		if d := b.c.dests[place{"smtp", hop}]; d != nil && most > 0 && d.held[cl] > b.c.capacity(d.window) {
			t.Fatalf("%s holds %d of %d after a claim", hop, d.held[cl], b.c.capacity(d.window))
		}
	}
	if b.c.active[cl] > b.c.classLimit() {
		t.Fatalf("%d active of class %d, limit %d", b.c.active[cl], cl, b.c.classLimit())
	}
	return jobs
}

func drawCore(t *rapid.T) *core {
	o := Options{
		ActiveLimit: rapid.IntRange(1, 200).Draw(t, "active"), Concurrency: rapid.IntRange(1, 12).Draw(t, "workers"),
		Initial: rapid.IntRange(1, 6).Draw(t, "initial"), Limit: rapid.IntRange(1, 8).Draw(t, "limit"),
		DeadAfter: rapid.IntRange(1, 4).Draw(t, "dead after"), DeadMin: time.Minute, DeadMax: 4 * time.Minute,
	}.withDefaults()
	return newCore(&o)
}

// Whatever happens, the invariants hold, no destination has more attempts than
// its window, and everything that was claimed comes out again.
func TestNoDestinationGetsMoreThanItsWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCore(t)
		b := &backlog{c: c, waiting: [classes]map[string]int{{}, {}}}
		now := time.Unix(0, 0)
		running, last := []*job{}, []*destination{nil}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				hop := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "hop")
				b.waiting[rapid.IntRange(0, 1).Draw(t, "class")][hop] += rapid.IntRange(1, 60).Draw(t, "n")
			},
			"claim": func(t *rapid.T) { b.claim(t, class(rapid.IntRange(0, 1).Draw(t, "class")), now) },
			"next": func(t *rapid.T) {
				j, putOff := c.next(rapid.SampledFrom(last).Draw(t, "last"), now)
				if j == nil {
					if c.more() {
						t.Fatal("a destination in a line has no job")
					}
					return
				}
				if d := j.dest; !putOff && d.running > d.slots(now) || d.running > c.limit && !d.dead(now) {
					t.Fatalf("%s: %d running, %d slots", d.name(), d.running, d.slots(now))
				}
				running, last = append(running, j), append(last, j.dest)
			},
			"done": func(t *rapid.T) {
				if len(running) == 0 {
					t.Skip("nothing runs")
				}
				i := rapid.IntRange(0, len(running)-1).Draw(t, "i")
				s := signal(rapid.IntRange(0, 2).Draw(t, "signal"))
				c.done(running[i], s, "", "", now)
				running = append(running[:i], running[i+1:]...)
			},
			"wait":  func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "s")) * time.Second) },
			"sweep": func(t *rapid.T) { c.sweep(now) },
			"": func(t *rapid.T) {
				if err := c.check(now); err != nil {
					t.Fatal(err)
				}
			},
		})
		for _, j := range running {
			c.done(j, silent, "", "", now)
		}
		c.dropWaiting(now)
		if c.active != [classes]int{} || c.room(fresh) != c.classLimit() {
			t.Fatalf("active %v at the end", c.active)
		}
	})
}

// A job of a destination that lives is started after a bounded number of others,
// while more and more arrive everywhere.
func TestNoJobStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCore(t)
		c.activeLimit = 400
		b := &backlog{c: c, waiting: [classes]map[string]int{{}, {}}}
		hops := rapid.IntRange(1, 8).Draw(t, "hops")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		now := time.Unix(0, 0)
		started, added := 0, map[*job]int{}
		supply := func() {
			for cl := range classes {
				for h := range hops {
					b.waiting[cl][fmt.Sprint("hop", h)] += rnd.IntN(3)
				}
				for _, j := range b.claim(t, cl, now) {
					added[j] = started
				}
			}
		}
		// The jobs ahead of it, of both classes, in turns of stick; in each round
		// every other destination has a turn; calm and busy ones alternate.
		bound := 2 * (2*(c.capacity(float64(c.limit))+1)/stick + 2) * (hops + 1) * (stick + 1)
		var running []*job
		var last *destination
		for range 2 * bound {
			supply()
			if len(running) == c.workers {
				last = running[0].dest
				c.done(running[0], good, "", "", now)
				running = running[1:]
			}
			j, _ := c.next(last, now)
			last = nil
			if j == nil {
				if len(running) > 0 {
					c.done(running[0], good, "", "", now)
					running = running[1:]
				}
				continue
			}
			started++
			if n := started - added[j]; n > bound {
				t.Fatalf("job %s waited for %d others, bound %d", j.Item.ID, n, bound)
			}
			delete(added, j)
			running = append(running, j)
		}
		for j, at := range added {
			if started-at > bound {
				t.Fatalf("job %s still waits after %d others", j.Item.ID, started-at)
			}
		}
	})
}

// Backoff stays within its bounds and never shrinks by more than the jitter.
func TestBackoffIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{
			MinBackoff: time.Duration(rapid.IntRange(1, 1000).Draw(t, "min")) * time.Second,
			MaxBackoff: time.Duration(rapid.IntRange(1, 100_000).Draw(t, "max")) * time.Second,
			Factor:     rapid.Float64Range(0.5, 10).Draw(t, "factor"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}.withDefaults()
		p := newPolicy(&o)
		d := p.backoff(rapid.Int().Draw(t, "attempts"), rapid.Float64Range(0, 1).Draw(t, "r"))
		if d < o.MinBackoff || d > o.MaxBackoff {
			t.Fatalf("%v not in [%v, %v]", d, o.MinBackoff, o.MaxBackoff)
		}
	})
}
