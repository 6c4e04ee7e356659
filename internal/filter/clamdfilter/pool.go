package clamdfilter

import (
	"context"
	"sync"
	"time"

	"mtad/internal/filter/scanner"
)

// idleTime is how long a session waits for the next message. clamd ends sessions
// that wait for 30 s (IdleTimeout).
const idleTime = 10 * time.Second

// pool keeps sessions between scans.
type pool struct {
	addr scanner.Address

	mu     sync.Mutex
	idle   []*waiting // the last one waits for the shortest time
	closed bool
}

type waiting struct {
	*session
	timer *time.Timer
}

// get returns a session that waits, or a new one.
func (p *pool) get(ctx context.Context) (*session, error) {
	for {
		s := p.take()
		if s == nil {
			return dial(ctx, p.addr)
		}
		if s.fresh() {
			return s, nil
		}
		s.conn.Close()
	}
}

func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	w := p.idle[n-1]
	p.idle = p.idle[:n-1]
	w.timer.Stop()
	return w.session
}

// put gives a session back whose last scan was answered.
func (p *pool) put(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.conn.Close()
		return
	}
	w := &waiting{session: s}
	w.timer = time.AfterFunc(idleTime, func() { p.expire(w) })
	p.idle = append(p.idle, w)
}

// expire ends a session that still waits.
func (p *pool) expire(w *waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle {
		if other == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			w.conn.Close()
			return
		}
	}
}

// close ends the sessions that wait, and those given back later.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		w.timer.Stop()
		w.conn.Close()
	}
	p.idle = nil
}
