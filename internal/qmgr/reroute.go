package qmgr

import (
	"context"

	"mtad/queue"
)

// refresh asks for the routes of what is pending and notes those that changed.
// An empty next hop cannot replace one (queue.RecipientUpdate), so that it is no
// change. j.at is where the first pending recipient goes; reroute is set when
// another one goes elsewhere.
func (m *Manager) refresh(j *job) {
	first := true
	for i := range j.Item.Envelope.Recipients {
		rc := j.led.rcpt(i)
		if rc.Status != queue.Pending {
			continue
		}
		if m.o.Route != nil {
			m.ask(j.led, i, rc)
		}
		to := place{rc.Transport, rc.NextHop}
		if first {
			j.at, first = to, false
		}
		j.reroute = j.reroute || to != j.at
	}
}

func (m *Manager) ask(l *ledger, i int, rc *queue.Recipient) {
	transport, nextHop, _ := m.o.Route(rc.Path)
	if transport == "" {
		return
	}
	if nextHop == "" {
		nextHop = rc.NextHop
	}
	if transport != rc.Transport || nextHop != rc.NextHop {
		l.routed(i, place{transport, nextHop})
	}
}

// assign says to which destination a claimed job belongs. Called with m.mu held.
//
// Recipients that part ways go back to Incoming, where the queue splits the item;
// and so does an item that is to join a destination with no room for more, for
// the claims to see it there. Each item does so once in a while only: it would
// never end if Route answered differently each time.
func (m *Manager) assign(j *job) place {
	if j.at == desk {
		return desk
	}
	d := m.core.dests[j.at]
	crowd := d != nil && m.core.full(d, j.class) && j.led.reroutes()
	if (j.reroute || crowd) && m.moved.add(j.Item.ID) {
		j.reroute = true
		return desk
	}
	j.reroute = false
	return j.at
}

func (l *ledger) reroutes() bool {
	for _, m := range l.marks {
		if m&markRouted != 0 {
			return true
		}
	}
	return false
}

// sendElsewhere moves an item to Incoming with its new routes.
func (m *Manager) sendElsewhere(store context.Context, j *job) {
	ops := append(j.led.ops(), queue.Move{To: queue.Incoming})
	if m.apply(store, j, ops) {
		m.log.Info("route changed", "queue_id", j.Item.ID, "next_hop", j.at.nextHop)
	}
}

// recent remembers the last items it was given, between size and twice as many.
type recent struct{ young, old map[queue.ID]struct{} }

const recentSize = 10_000

// add remembers an item and says whether it was not remembered before.
func (r *recent) add(id queue.ID) bool {
	if _, ok := r.young[id]; ok {
		return false
	}
	_, was := r.old[id]
	if r.young == nil || len(r.young) >= recentSize {
		r.old, r.young = r.young, map[queue.ID]struct{}{}
	}
	r.young[id] = struct{}{}
	return !was
}
