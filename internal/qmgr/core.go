package qmgr

import "time"

// core is the active set and every decision of scheduling: what to claim, which
// job is next, what an attempt's end means for its destination. It does no I/O,
// starts nothing and reads no clock, so that any history can be replayed
// (testdata/). Not safe for concurrent use.
//
// Invariants: active[c] counts the jobs of class c, waiting or running, and is
// the sum of held[c] over destinations; a destination with a ready job is in one
// of the lines; running never exceeds slots, dead destinations aside.
type core struct {
	limit, initial, deadAfter int
	deadMin, deadMax          time.Duration
	activeLimit               int
	deskSlots                 int
	workers                   int

	active  [classes]int
	running int // jobs that were started
	dests   map[place]*destination
	// calm are ready destinations with nothing running, busy the others. They
	// take turns; the last quarter of the workers is for calm ones alone, so that
	// many slow destinations do not fill all workers with many jobs each.
	calm, busy line
	turnBusy   bool
	// crowded are the destinations of which a claim has to know.
	crowded [classes]map[*destination]struct{}
	idle    int // destinations with no job that are remembered for their health
}

// job is one item of the active set.
type job struct {
	work  // the manager's part
	class class
	eager bool // an operator wants it tried now: a dead destination gets its probe
	dest  *destination
	next  *job
}

const (
	stick        = 20 // jobs a worker takes from one destination while others wait
	perSlot      = 16 // jobs of one class held for each slot of a window
	minHeld      = 16 // jobs of one class a destination may hold in any case
	maxIdle      = 10_000
	rememberIdle = 10 * time.Minute
)

func newCore(o *Options) *core {
	c := &core{
		limit: o.Limit, initial: o.Initial, deadAfter: o.DeadAfter, deadMin: o.DeadMin, deadMax: o.DeadMax,
		activeLimit: o.ActiveLimit, deskSlots: max(o.Concurrency/4, 1), workers: o.Concurrency, dests: map[place]*destination{},
	}
	for i := range c.crowded {
		c.crowded[i] = map[*destination]struct{}{}
	}
	return c
}

// destination finds or makes the state of a place.
func (c *core) destination(p place) *destination {
	d := c.dests[p]
	switch {
	case d == nil:
		d = &destination{place: p}
		d.window = float64(c.initial)
		if p == desk {
			d.window = float64(c.deskSlots)
		}
		c.dests[p] = d
	case d.total() == 0:
		c.idle--
	}
	return d
}

// add puts a claimed job into the active set.
func (c *core) add(j *job, p place, now time.Time) {
	d := c.destination(p)
	if j.eager && d.dead(now) {
		d.deadUntil = now
	}
	j.dest = d
	d.waiting[j.class].push(j)
	d.held[j.class]++
	c.active[j.class]++
	c.noteCrowd(d, j.class)
	c.offer(d, now)
}

// offer puts a destination into the line where it belongs now.
func (c *core) offer(d *destination, now time.Time) {
	var l *line
	switch {
	case !d.ready(now):
	case d.calm(now):
		l = &c.calm
	default:
		l = &c.busy
	}
	if d.line == l {
		return
	}
	if d.line != nil {
		d.line.remove(d)
	}
	if l != nil {
		l.push(d)
	}
}

// next picks a job for a worker whose last one was for last (nil: none), and says
// whether it is to be put off without an attempt. nil: there is none. A worker
// stays where its connection is, but not for ever while others wait.
func (c *core) next(last *destination, now time.Time) (j *job, putOff bool) {
	if last != nil && last.ready(now) && (last.calm(now) || c.spare()) && (!c.more() || last.streak < stick) {
		last.streak++
		return c.start(last, now)
	}
	if last != nil {
		last.streak = 0
	}
	c.turnBusy = !c.turnBusy
	if c.turnBusy && c.spare() {
		if j, putOff = c.from(&c.busy, now); j != nil {
			return j, putOff
		}
	}
	if j, putOff = c.from(&c.calm, now); j == nil && c.spare() {
		j, putOff = c.from(&c.busy, now)
	}
	return j, putOff
}

// from takes a job of the first destination in a line. One that time made
// unready (a dead one that is being probed) comes back when its job is done.
func (c *core) from(l *line, now time.Time) (*job, bool) {
	for l.n > 0 {
		d := l.first
		l.remove(d)
		if d.ready(now) {
			return c.start(d, now)
		}
	}
	return nil, false
}

func (c *core) start(d *destination, now time.Time) (*job, bool) {
	j := d.take()
	d.running++
	c.running++
	c.offer(d, now)
	return j, d.dead(now)
}

// spare: there are workers for destinations that have some already.
func (c *core) spare() bool { return c.running < c.workers-c.workers/4 }

// more says whether another worker would find a job.
func (c *core) more() bool { return c.calm.n > 0 || c.busy.n > 0 && c.spare() }

// done takes a job that was started out of the active set. It says for which
// classes a claim may get now what it could not get before.
func (c *core) done(j *job, s signal, reply, remote string, now time.Time) (opened [classes]bool) {
	d := j.dest
	shut := c.shut(d)
	switch {
	case d.place == desk || s == silent:
	case s == good:
		d.succeeded(c)
	case s == bad:
		d.failed(c, now, reply, remote)
	}
	d.running--
	c.running--
	c.forget(j, now)
	c.offer(d, now)
	for cl, is := range c.shut(d) {
		opened[cl] = shut[cl] && !is
	}
	return opened
}

// shut says for each class that nothing is claimed for d, or nothing at all.
func (c *core) shut(d *destination) (shut [classes]bool) {
	for cl := range classes {
		shut[cl] = c.full(d, cl) || !c.spacious(cl)
	}
	return shut
}

// dropWaiting takes every job that was not started out of the active set.
func (c *core) dropWaiting(now time.Time) (jobs []*job) {
	for _, d := range c.dests {
		for i := range d.waiting {
			for d.waiting[i].n > 0 {
				j := d.waiting[i].pop()
				c.forget(j, now)
				jobs = append(jobs, j)
			}
		}
		c.offer(d, now)
	}
	return jobs
}

func (c *core) forget(j *job, now time.Time) {
	d := j.dest
	d.held[j.class]--
	c.active[j.class]--
	c.noteCrowd(d, fresh)
	c.noteCrowd(d, retry)
	if d.total() > 0 {
		return
	}
	d.idleSince = now
	c.idle++
	if c.idle > maxIdle || c.healthy(d) {
		c.remove(d)
	}
}

func (c *core) healthy(d *destination) bool {
	return d.failures == 0 && !d.probing() && d.window < float64(c.initial+1)
}

func (c *core) remove(d *destination) {
	c.idle--
	delete(c.dests, d.place)
}

// sweep forgets what idle destinations were like a while ago. It is called now
// and then; its cost is the number of destinations.
func (c *core) sweep(now time.Time) {
	for _, d := range c.dests {
		if d.total() == 0 && now.Sub(d.idleSince) > rememberIdle && now.Sub(d.deadUntil) > d.backoff {
			c.remove(d)
		}
	}
}

// tally counts dead destinations and those whose window is below the initial one.
func (c *core) tally(now time.Time) (dead, throttled int) {
	for _, d := range c.dests {
		switch {
		case d.dead(now):
			dead++
		case d.place != desk && d.window < float64(c.initial):
			throttled++
		}
	}
	return dead, throttled
}
