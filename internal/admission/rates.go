package admission

import (
	"math"
	"sync"
	"time"
)

// rates bounds messages by caller: a bucket of one period's messages for each,
// refilled steadily. Memory is bounded.
type rates struct {
	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// maxCallers is how many callers are remembered; then all are forgotten, which
// gives each a full bucket.
const maxCallers = 10_000

// take takes a message from the bucket of name, or says in how many seconds there
// is one again.
func (r *rates) take(name string, n int, per time.Duration, now time.Time) (wait int, ok bool) {
	if n <= 0 {
		return 0, true
	}
	if per <= 0 {
		per = time.Minute
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b, known := r.buckets[name]
	if !known {
		if r.buckets == nil || len(r.buckets) >= maxCallers {
			r.buckets = map[string]bucket{}
		}
		b = bucket{left: float64(n), at: now}
	}
	perSecond := float64(n) / per.Seconds()
	if d := now.Sub(b.at); d > 0 {
		b.left, b.at = min(float64(n), b.left+d.Seconds()*perSecond), now
	}
	if b.left < 1 {
		r.buckets[name] = b
		return max(1, int(math.Ceil((1-b.left)/perSecond))), false
	}
	b.left--
	r.buckets[name] = b
	return 0, true
}
