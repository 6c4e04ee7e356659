package qmgr

import "time"

// place names a destination: where one connection can serve several items.
type place struct{ transport, nextHop string }

// desk is the place of work for which nobody is connected to: items that only
// wait for a report, and those that are sent to other routes.
var desk = place{}

// class tells new mail from mail that is tried again.
type class uint8

const (
	fresh class = iota // claimed from Incoming
	retry              // claimed from Deferred
	classes
)

// signal is what an attempt says about its destination.
type signal uint8

const (
	silent signal = iota // nothing: no attempt was made
	good                 // a session worked, whatever became of recipients
	bad                  // no session: connect, greeting, lost connection
)

// destination is a place with its waiting jobs and its health.
//
// The window is how many attempts may run at a time. It grows by one for each
// window full of successes, and shrinks by one with each connection failure, as
// in Postfix's qmgr. After core.deadAfter failures in a row the destination is
// dead: its jobs are put off without an attempt until deadUntil; then one, the
// probe, is let through, and decides.
type destination struct {
	place
	waiting [classes]fifo
	held    [classes]int // waiting or running
	running int
	turn    class // whose job is next; alternates
	streak  int   // jobs a worker has taken in a row without a look at others

	line          *line // where it waits, nil: it is not ready
	before, after *destination

	health
	idleSince time.Time
}

// health is what attempts have shown of a destination.
type health struct {
	window        float64
	failures      int // in a row
	deadUntil     time.Time
	backoff       time.Duration
	reply, remote string // of the last failure
}

func (d *destination) total() int { return d.held[fresh] + d.held[retry] }

// dead says that no attempt is to be made now.
func (d *destination) dead(now time.Time) bool { return now.Before(d.deadUntil) }

// probing: it was dead, and no attempt has shown yet that it lives.
func (d *destination) probing() bool { return !d.deadUntil.IsZero() }

func (d *destination) slots(now time.Time) int {
	if d.probing() {
		return 1
	}
	return int(d.window)
}

// ready says whether a job of it can be taken now. Those of a dead one need no
// slot, for they need no connection.
func (d *destination) ready(now time.Time) bool {
	if d.waiting[fresh].n+d.waiting[retry].n == 0 {
		return false
	}
	return d.dead(now) || d.running < d.slots(now)
}

// calm: a job of it takes no worker from others that would be its first there.
func (d *destination) calm(now time.Time) bool {
	return d.running == 0 || d.dead(now) || d.place == desk
}

// take removes the next job: new mail and retries in turn.
func (d *destination) take() *job {
	c := d.turn
	if d.waiting[c].n == 0 {
		c = 1 - c
	}
	d.turn = 1 - c
	return d.waiting[c].pop()
}

// succeeded and failed are the feedback of an attempt.
func (d *destination) succeeded(c *core) {
	if d.probing() {
		d.window = float64(c.initial)
	}
	d.failures, d.deadUntil, d.backoff, d.reply, d.remote = 0, time.Time{}, 0, "", ""
	d.window = min(d.window+1/d.window, float64(c.limit))
}

func (d *destination) failed(c *core, now time.Time, reply, remote string) {
	d.reply, d.remote = reply, remote
	if d.dead(now) {
		return // begun before it was declared dead: no news
	}
	d.failures++
	d.window = max(d.window-1, 1)
	if d.failures < c.deadAfter && !d.probing() {
		return
	}
	d.backoff = min(max(2*d.backoff, c.deadMin), c.deadMax)
	d.deadUntil = now.Add(d.backoff)
}

// fifo is a list of jobs linked through job.next.
type fifo struct {
	first, last *job
	n           int
}

func (f *fifo) push(j *job) {
	if f.last == nil {
		f.first = j
	} else {
		f.last.next = j
	}
	f.last = j
	f.n++
}

func (f *fifo) pop() *job {
	j := f.first
	f.first, j.next = j.next, nil
	if f.first == nil {
		f.last = nil
	}
	f.n--
	return j
}
