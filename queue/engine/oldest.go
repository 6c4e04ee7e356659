package engine

import (
	"slices"
	"time"
)

// came notes an item that is in the lane now.
func (l *lane) came(r *rec) {
	if r.key().less(l.oldest) {
		l.oldest = r.key()
	}
	if !r.held() && r.key().less(l.waiting) {
		l.waiting = r.key()
	}
}

// oldestWaiting is when the oldest item of a lane came that is not held. Each held
// one is passed over once: a long quarantine does not make every look a long one.
// mu is held.
func (e *Engine) oldestWaiting(id laneID) time.Time {
	l := e.lane(id)
	prefix := word([]byte{kState, byte(id.state)}, id.stage)
	it, err := e.log.Range(appendKey(slices.Clone(prefix), l.waiting), after(prefix))
	if err != nil {
		return time.Time{}
	}
	defer it.Close()
	for it.Next() {
		l.waiting = tailKey(it.Key())
		if r, err := e.fetch(l.waiting); err == nil && !r.held() {
			return r.Created
		}
	}
	return time.Time{}
}
