package engine

import (
	"slices"
	"sort"

	"mtad/queue"
)

// A lane holds what one kind of Claim can take: a state, and in Unfiltered a
// stage. Within it every next hop has a hopQueue; those that have something
// stand in rings, one for each priority, and are served in turn.
//
// Bounds: a hopQueue keeps at most 2*window places and finds the rest in the
// index; at most maxHops are kept, and the others are found by a scan over the
// index (scanning) that skips from next hop to next hop.
type lane struct {
	id      laneID
	hops    map[string]*hopQueue
	rings   []*ring // highest priority first
	staged  []key   // staged items, in the order they came
	waiters []*waiter
	oldest  key // no item of the lane is older
	waiting key // no item of the lane that is not held is older

	// scanning: next hops from scanAt on may exist that are not in hops. So it is
	// after start, and when there are more than fit.
	scanning bool
	scanAt   []byte
	again    bool // something was left out since the scan began
}

const (
	window   = 64
	maxHops  = 16384
	scanStep = 256 // next hops looked at in one go
)

// hopQueue is a window on the claimable items of one next hop.
//
// Invariant: every claimable, due item whose slot is before end is in win,
// unless it is leased, pending or blocked. With more set, items at or after end
// are in the index only.
type hopQueue struct {
	name string
	win  []slot // sorted
	more bool
	end  slot
	ring *ring
	prev *hopQueue
	next *hopQueue
}

// ring is a circle of the next hops whose first item has one priority.
type ring struct {
	rank byte
	head *hopQueue // whose turn it is
	n    int
}

func (r *ring) push(h *hopQueue) {
	h.ring = r
	if r.head == nil {
		h.prev, h.next = h, h
		r.head = h
	} else { // behind everybody: before the head
		h.next, h.prev = r.head, r.head.prev
		h.prev.next, h.next.prev = h, h
	}
	r.n++
}

func (r *ring) remove(h *hopQueue) {
	if h.next == h {
		r.head = nil
	} else {
		h.prev.next, h.next.prev = h.next, h.prev
		if r.head == h {
			r.head = h.next
		}
	}
	h.ring, h.prev, h.next = nil, nil, nil
	r.n--
}

// lane returns the lane, made if need be. A new one is scanned. mu is held.
func (e *Engine) lane(id laneID) *lane {
	l := e.lanes[id]
	if l == nil {
		l = &lane{id: id, hops: map[string]*hopQueue{}, scanning: true}
		e.lanes[id] = l
	}
	return l
}

// enqueue makes a committed item claimable if it is due, unleased and not held.
// Items that are due later are found in the index by the due clock. mu is held.
func (e *Engine) enqueue(r *rec) {
	k := r.key()
	p, ok := r.place()
	if !ok || e.leases.byKey[k] != nil || e.leases.blocked(k) {
		return
	}
	if p.slot.due > e.due.upTo {
		e.due.expect(p.slot.due)
		e.wakeHousekeeper()
		return
	}
	e.push(p)
}

func (e *Engine) push(p place) {
	l := e.lane(p.lane)
	if l.push(p) {
		l.wake(1)
	}
}

// push puts a place into its window; false when it is left to the index.
func (l *lane) push(p place) bool {
	h := l.hops[p.hop]
	if h == nil {
		if len(l.hops) >= maxHops {
			l.scanning, l.again = true, true
			return true
		}
		h = &hopQueue{name: p.hop}
		if l.scanning {
			h.more = true // older items of this next hop may be in the index
		}
		l.hops[p.hop] = h
	}
	if h.more && !p.slot.less(h.end) {
		l.arrange(h)
		return true
	}
	h.insert(p.slot)
	l.arrange(h)
	return true
}

// insert keeps win sorted and bounded.
func (h *hopQueue) insert(s slot) {
	i := sort.Search(len(h.win), func(i int) bool { return !h.win[i].less(s) })
	if i < len(h.win) && h.win[i] == s {
		return
	}
	h.win = slices.Insert(h.win, i, s)
	if len(h.win) > 2*window {
		h.end, h.more = h.win[window], true
		h.win = slices.Delete(h.win, window, len(h.win))
	}
}

// arrange puts h into the ring where it belongs, or forgets it when it is empty.
func (l *lane) arrange(h *hopQueue) {
	if len(h.win) == 0 && !h.more {
		if h.ring != nil {
			l.leave(h)
		}
		delete(l.hops, h.name)
		return
	}
	rank := h.end.rank
	if len(h.win) > 0 {
		rank = h.win[0].rank
	}
	if h.ring != nil {
		if h.ring.rank == rank {
			return
		}
		l.leave(h)
	}
	l.ringOf(rank).push(h)
}

func (l *lane) leave(h *hopQueue) {
	r := h.ring
	r.remove(h)
	if r.n == 0 {
		l.rings = slices.DeleteFunc(l.rings, func(x *ring) bool { return x == r })
	}
}

func (l *lane) ringOf(rank byte) *ring {
	i := sort.Search(len(l.rings), func(i int) bool { return l.rings[i].rank >= rank })
	if i < len(l.rings) && l.rings[i].rank == rank {
		return l.rings[i]
	}
	r := &ring{rank: rank}
	l.rings = slices.Insert(l.rings, i, r)
	return r
}

// refill reads the next window of h from the index. It looks at a bounded number
// of entries. mu is held.
func (e *Engine) refill(l *lane, h *hopQueue) error {
	prefix := word(l.id.prefix(nil), h.name)
	it, err := e.log.Range(h.end.append(append([]byte(nil), prefix...)), after(prefix))
	if err != nil {
		return err
	}
	defer it.Close()
	ok := it.Next()
	for seen := 0; ok; seen++ {
		s, good := cutSlot(it.Key()[len(prefix):])
		switch {
		case !good:
			ok = it.Next()
			continue
		case len(h.win) >= window || seen >= 16*window:
			h.end = s
			return it.Err()
		case s.due > e.due.upTo:
			// The rest of this priority is not due either.
			if s.rank == 0xff {
				ok = false
				continue
			}
			ok = it.Seek(slot{rank: s.rank + 1}.append(append([]byte(nil), prefix...)))
			continue
		case e.free(s.key):
			h.insert(s)
		}
		ok = it.Next()
	}
	if it.Err() == nil {
		h.more, h.end = false, slot{}
	}
	return it.Err()
}

// free says whether nobody works on the item and no change of it is under way.
func (e *Engine) free(k key) bool {
	return e.leases.byKey[k] == nil && !e.pending[k] && !e.leases.blocked(k)
}

// scan looks for next hops in the index that the lane does not know, a bounded
// number of them. It says whether there is more to scan. mu is held.
func (e *Engine) scan(l *lane) (bool, error) {
	if !l.scanning || len(l.hops) >= maxHops {
		return false, nil
	}
	prefix := l.id.prefix(nil)
	lo := prefix
	if l.scanAt != nil {
		lo = l.scanAt
	}
	it, err := e.log.Range(lo, after(prefix))
	if err != nil {
		return false, err
	}
	defer it.Close()
	ok := it.Next()
	for n := 0; ok; n++ {
		p, good := parsePlace(it.Key())
		if !good {
			ok = it.Next()
			continue
		}
		if n >= scanStep || len(l.hops) >= maxHops {
			l.scanAt = append([]byte(nil), it.Key()...)
			return true, it.Err()
		}
		if l.hops[p.hop] == nil && (p.slot.due <= e.due.upTo || p.slot.rank != 0xff) {
			h := &hopQueue{name: p.hop, more: true, end: p.slot}
			l.hops[p.hop] = h
			l.arrange(h)
		}
		ok = it.Seek(after(word(l.id.prefix(nil), p.hop)))
	}
	if it.Err() == nil {
		l.scanning, l.again, l.scanAt = l.again, false, nil
	}
	return l.scanning, it.Err()
}

// waiter is a Claim that waits.
type waiter struct {
	ready chan struct{}
	picky bool // passes something over: others have to be woken as well
}

// wake wakes n waiters, and beyond a picky one the next.
func (l *lane) wake(n int) {
	for len(l.waiters) > 0 && n > 0 {
		w := l.waiters[0]
		l.waiters = l.waiters[1:]
		if !w.picky {
			n--
		}
		close(w.ready)
	}
}

func (l *lane) wakeAll() {
	for _, w := range l.waiters {
		close(w.ready)
	}
	l.waiters = nil
}

func (l *lane) forget(w *waiter) {
	l.waiters = slices.DeleteFunc(l.waiters, func(x *waiter) bool { return x == w })
}

// addStaged makes a staged item claimable.
func (l *lane) addStaged(k key) {
	if !slices.Contains(l.staged, k) {
		l.staged = append(l.staged, k)
		l.wake(1)
	}
}

func (l *lane) dropStaged(k key) {
	l.staged = slices.DeleteFunc(l.staged, func(x key) bool { return x == k })
}

// limited says whether Claims from st make items Active.
func limited(st queue.State) bool { return st != queue.Unfiltered }
