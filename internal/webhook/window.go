package webhook

import (
	"time"

	"mtad/internal/events"
)

// entry is an event on its way.
type entry struct {
	id       string
	message  string // "" of an event about none
	body     []byte
	at       time.Time       // of the event
	after    events.Position // where reading goes on once it and all before it are done
	attempts int
	due      time.Time
	behind   bool // an event of the same message is before it
	sending  bool
	done     bool
	next     *entry // of the same message
}

// window is the events of a target that are not settled, oldest first. It says
// what may be sent; it does nothing itself.
type window struct {
	entries []*entry
	last    map[string]*entry // newest of each message
	place   events.Position   // everything before is settled
	waiting int               // entries not done
}

func newWindow(at events.Position) *window {
	return &window{last: map[string]*entry{}, place: at}
}

// add puts an event at the end.
func (w *window) add(e *entry) {
	if e.message != "" {
		if p := w.last[e.message]; p != nil {
			p.next, e.behind = e, true
		}
		w.last[e.message] = e
	}
	w.entries = append(w.entries, e)
	w.waiting++
}

// pass moves on over an event that is not sent.
func (w *window) pass(at events.Position) {
	if n := len(w.entries); n > 0 {
		w.entries[n-1].after = at
	} else {
		w.place = at
	}
}

// ready is the oldest event that may be sent now, nil when there is none; wait is
// then how long until there may be one, 0 when only an answer changes that.
func (w *window) ready(now time.Time) (e *entry, wait time.Duration) {
	for _, e := range w.entries {
		switch {
		case e.done || e.sending || e.behind:
		case !e.due.After(now):
			return e, 0
		default:
			if d := e.due.Sub(now); wait == 0 || d < wait {
				wait = d
			}
		}
	}
	return nil, wait
}

// settle ends an event; the place moves on when it was the oldest.
func (w *window) settle(e *entry) {
	e.done, e.body = true, nil
	w.waiting--
	if e.next != nil {
		e.next.behind = false
	} else if w.last[e.message] == e {
		delete(w.last, e.message)
	}
	n := 0
	for n < len(w.entries) && w.entries[n].done {
		w.place = w.entries[n].after
		w.entries[n] = nil
		n++
	}
	w.entries = w.entries[n:]
}

// rush makes everything due.
func (w *window) rush(now time.Time) {
	for _, e := range w.entries {
		if e.due.After(now) {
			e.due = now
		}
	}
}

// oldest is the time of the oldest event that is not settled.
func (w *window) oldest() (time.Time, bool) {
	if len(w.entries) == 0 {
		return time.Time{}, false
	}
	return w.entries[0].at, true
}
