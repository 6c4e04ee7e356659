package engine

import (
	"runtime"
	"time"
)

// Settle does what the clock asks for and returns when it is done: no lease is
// past its end, nothing due is left behind, no sweep is under way.
func (e *Engine) Settle() {
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); runtime.Gosched() {
		e.mu.Lock()
		e.sweep.next = time.Time{}
		e.mu.Unlock()
		e.tick()
		if e.settled() {
			e.mu.Lock()
			for _, l := range e.lanes {
				l.wakeAll()
			}
			e.mu.Unlock()
			return
		}
	}
	panic("engine does not settle")
}

func (e *Engine) settled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.o.Now()
	for _, l := range e.leases.byToken {
		if !l.until.After(now) {
			return false
		}
	}
	return !e.sweep.busy && !e.sweep.untils && e.due.until > now.UnixNano() && e.due.upTo >= now.UnixNano()
}

// Rest returns when the sweeps after the start are over; the next ones come
// seconds later.
func (e *Engine) Rest() {
	for {
		e.mu.Lock()
		rests := !e.sweep.next.IsZero() && !e.sweep.busy && !e.sweep.untils && e.due.until != 0
		e.mu.Unlock()
		if rests {
			return
		}
		runtime.Gosched()
	}
}

// Tick makes the clock's work be looked at now.
func (e *Engine) Tick() { e.tick() }

// InLine is how many requests wait for the commit loop.
func (e *Engine) InLine() int { return len(e.reqs) }
