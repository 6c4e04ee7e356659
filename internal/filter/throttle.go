package filter

import (
	"math"
	"time"
)

// throttle decides how many scans of a driven filter run at a time: at most max,
// fewer while the scanner fails or becomes slow, so that one in trouble is not
// kept down by the crowd that waits for it. It begins with max. It is a value as
// the breaker is: no I/O, no clock, not safe for concurrent use.
//
//	failure            half as many, once for each round of scans
//	slower than usual  fewer, by how much slower, down to a quarter of max
//	success            one more for each round of scans, while half of them are in use
//
// Slow means an average of the newest answers of more than twice the average of
// the last few hundred, and more than slowFrom: below that it is jitter, and large
// messages among small ones move both.
type throttle struct {
	max   int
	limit float64   // 0: max
	cut   time.Time // of the newest failure that counted: scans begun before it tell nothing new

	recent, usual float64 // seconds, moving averages
}

// Weights of an answer in the averages, and from when on one is slow.
const (
	recentWeight = 1.0 / 10
	usualWeight  = 1.0 / 400
	slowFrom     = 250 * time.Millisecond
	slowTimes    = 2
)

// scans is how many may run.
func (t *throttle) scans() int {
	if t.limit == 0 {
		return t.max
	}
	return int(t.limit)
}

// success reports an answer that took so long, while busy scans ran.
func (t *throttle) success(took time.Duration, busy int) {
	s := took.Seconds()
	if t.usual == 0 {
		t.recent, t.usual = s, s
	}
	t.recent += (s - t.recent) * recentWeight
	t.usual += (s - t.usual) * usualWeight
	limit := float64(t.scans())
	if t.limit != 0 {
		limit = t.limit
	}
	switch {
	case t.recent > slowFrom.Seconds() && t.recent > slowTimes*t.usual:
		// One answer stands for one of limit scans: a round of them does it all.
		want := limit * max(slowTimes*t.usual/t.recent, 0.5)
		limit = max(limit+(want-limit)/limit, min(limit, float64(t.max)/4))
	case 2*busy >= t.scans():
		limit += 1 / limit
	}
	t.limit = math.Max(1, math.Min(limit, float64(t.max)))
}

// failure reports a scan, begun at begin, that failed for a reason that is the
// scanner's.
func (t *throttle) failure(begin, now time.Time) {
	if begin.Before(t.cut) {
		return
	}
	t.cut = now
	t.limit = math.Max(1, float64(t.scans())/2)
}
