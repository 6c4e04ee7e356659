package queuetest

import (
	"math"
	"slices"
	"time"

	"mtad/queue"
)

// tick ends what time has ended: leases, holds, history records, nonces.
func (m *Model) tick(now time.Time) {
	for _, l := range m.expired(now) {
		m.drop(l)
		m.lost(l.item, l, now)
		m.wake()
	}
	m.endHolds(now)
	m.forget(now)
}

// endHolds does what the holds say whose time is over. An item that somebody works
// on is let go at once, and ended when its lease is.
func (m *Model) endHolds(now time.Time) {
	for _, it := range m.state.live(func(it *item) bool { return it.Hold != nil }) {
		h := it.Hold
		switch {
		case h.Until.IsZero() || h.Until.After(now):
		case h.Then == queue.HoldRelease:
			it.Hold, it.LostClaims = nil, 0
			it.step(now, queue.EventReleased, h.Reason)
			m.tell(it.msg, queue.Event{At: now, Kind: queue.EventReleased, ID: it.ID, State: it.State, Text: h.Reason})
			m.state.touch(it)
			m.wake()
		case it.lease == nil && !it.msg.staged:
			if _, err := m.apply(queue.Txn{ID: it.ID, By: "mtad", Ops: h.EndOps()}, now); err != nil {
				panic("queuetest: a hold cannot be ended: " + err.Error()) // its ops are legal in every state
			}
		}
	}
}

// expired leases, in the order in which they ran out.
func (m *Model) expired(now time.Time) []*lease {
	var out []*lease
	for _, l := range m.leases {
		if !l.until.After(now) {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *lease) int {
		if c := a.until.Compare(b.until); c != 0 {
			return c
		}
		return compareID(a.item.ID, b.item.ID)
	})
	return out
}

// forget drops the history records, dedupe keys, nonces and jobs whose time is
// over. The parts of a message go together.
func (m *Model) forget(now time.Time) {
	s := m.state
	newest := map[*message]time.Time{}
	for _, it := range s.finished {
		if at := it.Outcome.At; at.After(newest[it.msg]) {
			newest[it.msg] = at
		}
	}
	for _, it := range s.items {
		delete(newest, it.msg)
	}
	for id, it := range s.finished {
		if at, gone := newest[it.msg]; gone && now.Sub(at) > m.o.Retention {
			delete(s.finished, id)
			delete(s.dedupe, it.msg.dedupe)
		}
	}
	for k, a := range s.nonces {
		if now.Sub(a.at) > nonceLife {
			delete(s.nonces, k)
		}
	}
	for id, j := range s.jobs {
		if done := j.status.Finished; !done.IsZero() && now.Sub(done) > 24*time.Hour {
			delete(s.jobs, id)
		}
	}
}

// nextAlarm is how long until time alone may make an item claimable.
func (m *Model) nextAlarm(now time.Time) time.Duration {
	next := time.Duration(math.MaxInt64)
	look := func(at time.Time) {
		if at.After(now) {
			next = min(next, at.Sub(now))
		}
	}
	for _, it := range m.state.items {
		look(it.NextAt)
		look(it.notBefore)
		if it.Hold != nil {
			look(it.Hold.Until)
		}
		if it.lease != nil {
			look(it.lease.until)
		}
	}
	return next
}
