package deliver

import (
	"sync"
	"time"

	"mtad/internal/mxlookup"
	"mtad/internal/smtpclient"
)

// session is a connection and where it goes.
type session struct {
	*smtpclient.Conn
	key    string
	target mxlookup.Target
	born   time.Time
	idle   time.Time
	closed func()
}

// quit ends a session in good order.
func (s *session) quit() {
	_ = s.Quit()
	s.closed()
}

// pool keeps idle sessions by next hop. Its only activity of its own is a timer
// that runs while there are some.
type pool struct {
	idleTime, maxAge time.Duration
	maxIdle          int // in all

	mu     sync.Mutex
	idle   map[string][]*session // last used last
	count  int
	timer  *time.Timer
	closed bool
}

func newPool(o RelayOptions) *pool {
	return &pool{idleTime: o.IdleTimeout, maxAge: o.MaxAge, maxIdle: o.MaxIdle, idle: map[string][]*session{}}
}

// get takes the session that was used last, nil if there is none.
func (p *pool) get(key string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if len(list) == 0 {
		return nil
	}
	s := list[len(list)-1]
	p.set(key, list[:len(list)-1])
	p.count--
	return s
}

// put keeps a session for the next, or ends it.
func (p *pool) put(s *session) {
	now := time.Now()
	p.mu.Lock()
	keep := !p.closed && s.Usable() && p.count < p.maxIdle && now.Sub(s.born) < p.maxAge
	if keep {
		s.idle = now
		p.idle[s.key] = append(p.idle[s.key], s)
		if p.count++; p.timer == nil {
			p.timer = time.AfterFunc(p.idleTime, p.sweep)
		}
	}
	p.mu.Unlock()
	if !keep {
		s.quit()
	}
}

func (p *pool) set(key string, list []*session) {
	if len(list) == 0 {
		delete(p.idle, key)
		return
	}
	p.idle[key] = list
}

// sweep ends what was idle for too long.
func (p *pool) sweep() {
	limit := time.Now().Add(-p.idleTime)
	var old []*session
	p.mu.Lock()
	for key, list := range p.idle {
		n := 0
		for n < len(list) && !list[n].idle.After(limit) {
			n++
		}
		old = append(old, list[:n]...)
		p.count -= n
		p.set(key, append([]*session(nil), list[n:]...))
	}
	p.timer = nil
	if p.count > 0 && !p.closed {
		p.timer = time.AfterFunc(p.idleTime/2+time.Millisecond, p.sweep)
	}
	p.mu.Unlock()
	for _, s := range old {
		s.quit()
	}
}

// close ends all idle sessions; those in use end when they are put back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	all := p.idle
	p.idle, p.count = map[string][]*session{}, 0
	p.mu.Unlock()
	for _, list := range all {
		for _, s := range list {
			s.quit()
		}
	}
}
