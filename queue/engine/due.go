package engine

import (
	"container/heap"
	"encoding/binary"
	"math"
	"time"

	"mtad/queue"
)

// dueClock moves items into their lanes when they become due. Everything due at
// or before upTo has been moved; what comes later is in the index (kWaiting).
type dueClock struct {
	upTo  int64 // nanoseconds
	next  int64 // nothing in the index is due before
	until int64 // no hold ends by itself before
}

func (d *dueClock) expect(at int64) { d.next = min(d.next, at) }

// startDue begins at the present time: the lanes' scans find what is due now.
func (e *Engine) startDue() {
	now := e.o.Now().UnixNano()
	e.due = dueClock{upTo: now, next: now, until: 0}
}

const dueStep = 512 // items moved with mu held in one go

// moveDue moves what has become due. It says whether there is more to do at once.
func (e *Engine) moveDue() (bool, error) {
	now := e.o.Now().UnixNano()
	if now <= e.due.upTo || e.due.next > now {
		if e.due.next > now {
			e.due.upTo = max(e.due.upTo, now)
		}
		return false, nil
	}
	lo := binary.BigEndian.AppendUint64([]byte{kWaiting}, uint64(e.due.upTo)+1)
	it, err := e.log.Range(lo, []byte{kWaiting + 1})
	if err != nil {
		return false, err
	}
	defer it.Close()
	for n := 0; it.Next(); {
		due := int64(binary.BigEndian.Uint64(it.Key()[1:]))
		if due > now {
			e.due.upTo, e.due.next = now, due
			return false, nil
		}
		if n >= dueStep && due > e.due.upTo+1 {
			e.due.upTo, e.due.next = due-1, due
			return true, nil
		}
		n++
		if p, ok := parsePlace(it.Value()); ok && e.free(p.slot.key) {
			e.push(p)
		}
	}
	if err := it.Err(); err != nil {
		return false, err
	}
	e.due.upTo, e.due.next = now, math.MaxInt64
	return false, nil
}

// housekeep does what happens by the clock.
func (e *Engine) housekeep() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.kick:
		case <-t.C:
		}
		wait := e.tick()
		t.Reset(max(wait, time.Millisecond))
	}
}

// wakeHousekeeper makes the clock's work be looked at again.
func (e *Engine) wakeHousekeeper() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// tick does what is due and returns the time to the next look.
func (e *Engine) tick() time.Duration {
	e.mu.Lock()
	if e.usable() != nil {
		e.mu.Unlock()
		return 100 * time.Millisecond
	}
	now := e.o.Now()
	e.expireLeases(now)
	e.unblock(now)
	more, err := e.moveDue()
	if err == nil {
		var m bool
		m, err = e.scanLanes()
		more = more || m
	}
	next := e.nextLook(now)
	e.mu.Unlock()
	if err != nil {
		e.slog.Warn("index cannot be read", "error", err)
		return 100 * time.Millisecond
	}
	if w := e.sweepOld(now); w < next {
		next = w
	}
	if more {
		return 0
	}
	return next
}

// nextLook is the time to the next thing that is known to happen. mu is held.
func (e *Engine) nextLook(now time.Time) time.Duration {
	next := 10 * time.Second
	if len(e.leases.ends) > 0 {
		next = min(next, e.leases.ends[0].at.Sub(now))
	}
	if len(e.leases.unblock) > 0 {
		next = min(next, e.leases.unblock[0].at.Sub(now))
	}
	if e.due.next != math.MaxInt64 {
		next = min(next, time.Duration(e.due.next-now.UnixNano()))
	}
	if e.due.until != 0 && e.due.until != math.MaxInt64 {
		next = min(next, time.Duration(e.due.until-now.UnixNano()))
	}
	return next
}

// expireLeases ends the leases whose time is over.
func (e *Engine) expireLeases(now time.Time) {
	h := &e.leases.ends
	var lost []*lease
	for len(*h) > 0 && !(*h)[0].at.After(now) {
		x := heap.Pop(h).(timed)
		l := e.leases.byToken[x.token]
		switch {
		case l == nil:
		case l.until.After(now): // extended; a later entry stands for it
		case l.busy:
			heap.Push(h, timed{at: now.Add(50 * time.Millisecond), token: x.token})
		default:
			lost = append(lost, l)
		}
		if len(lost) >= 256 {
			break
		}
	}
	if len(lost) > 0 {
		e.submitLost(lost)
	}
}

// submitLost has lost claims counted by the commit loop. The tokens are void at
// once (living looks at the clock); the items are free when it is written.
func (e *Engine) submitLost(lost []*lease) {
	e.work.Go(func() {
		for _, l := range lost {
			err := e.do(e.ctx, false, func(o *op) error {
				if e.leases.byToken[l.token] != l || l.until.After(e.o.Now()) {
					return nil
				}
				return e.loseLease(o, l, 0)
			})
			if err != nil {
				e.retryLost(l)
			}
		}
	})
}

// retryLost looks at a lease again later: the log was in trouble.
func (e *Engine) retryLost(l *lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leases.byToken[l.token] == l {
		heap.Push(&e.leases.ends, timed{at: e.o.Now().Add(200 * time.Millisecond), token: l.token})
		e.wakeHousekeeper()
	}
}

// unblock frees items that were given back with a delay.
func (e *Engine) unblock(now time.Time) {
	h := &e.leases.unblock
	for len(*h) > 0 && !(*h)[0].at.After(now) {
		x := heap.Pop(h).(timed)
		at, ok := e.leases.blocks[x.key]
		if !ok || at.After(now) {
			continue
		}
		delete(e.leases.blocks, x.key)
		if m := e.staged[x.key.msg]; m != nil {
			m.requeue(e, x.key)
		} else if !e.pending[x.key] {
			if r, err := e.fetch(x.key); err == nil {
				e.enqueue(r)
			}
		}
	}
}

// scanLanes goes on with the scans after start.
func (e *Engine) scanLanes() (bool, error) {
	more := false
	for _, l := range e.lanes {
		if !l.scanning {
			continue
		}
		had := len(l.hops)
		m, err := e.scan(l)
		if err != nil {
			return false, err
		}
		if len(l.hops) > had {
			l.wakeAll()
		}
		more = more || m && len(l.hops) < maxHops
	}
	return more, nil
}

// stateOf is the state that people see: Active while it is leased from there.
func (e *Engine) stateOf(r *rec, l *lease) queue.State {
	if l != nil && limited(l.from) && r.State != queue.Unfiltered {
		return queue.Active
	}
	return r.State
}
