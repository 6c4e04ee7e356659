package filter

import (
	"sync"
	"time"

	"mtad/queue"
)

// lease is a claim that was handed out here.
type lease struct {
	filter string
	item   queue.Item
	taken  time.Time
	until  time.Time
}

// leases remembers claims by token, so that a verdict needs no read of the item.
// It is a memory, not an authority: the queue decides whether a token is good. Its
// size is bounded by the leases that are out.
type leases struct {
	mu sync.Mutex
	m  map[queue.Token]lease
}

func (l *leases) put(t queue.Token, v lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = make(map[queue.Token]lease)
	}
	l.m[t] = v
}

func (l *leases) get(t queue.Token) (lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.m[t]
	return v, ok
}

func (l *leases) drop(t queue.Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, t)
}

func (l *leases) extend(t queue.Token, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v, ok := l.m[t]; ok {
		v.until = until
		l.m[t] = v
	}
}

// expire forgets the leases that have run out, and returns them by filter.
func (l *leases) expire(now time.Time) map[string][]lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out map[string][]lease
	for t, v := range l.m {
		if now.Before(v.until) {
			continue
		}
		if out == nil {
			out = make(map[string][]lease)
		}
		out[v.filter] = append(out[v.filter], v)
		delete(l.m, t)
	}
	return out
}
