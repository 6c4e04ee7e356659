package queuetest

import (
	"slices"
	"time"

	"mtad/queue"
)

// stand brings a new item into a state and returns a way to change it.
func (r *rig) stand(s queue.State, byHolder bool) (queue.ID, queue.Txn) {
	r.Helper()
	var id queue.ID
	spec := forDelivery
	switch s {
	case queue.Unfiltered:
		id, spec = r.unfiltered().ID, forScan
	case queue.Deferred:
		id, spec = r.deferred().ID, forRetry
	default:
		id = r.incoming().ID
	}
	if s == queue.Active || byHolder {
		return id, queue.Txn{Token: r.claimOne(spec).Token}
	}
	return id, queue.Txn{ID: id}
}

// legal says which moves spec/queue.md §3 has.
var legal = map[queue.State][]queue.State{
	queue.Unfiltered: {queue.Unfiltered, queue.Incoming},
	queue.Incoming:   {queue.Unfiltered, queue.Deferred},
	queue.Active:     {queue.Unfiltered, queue.Incoming, queue.Deferred},
	queue.Deferred:   {queue.Unfiltered, queue.Incoming},
}

var moveTests = []behaviour{
	{"only the listed moves are made", nothing, func(r *rig) {
		for _, from := range queue.States {
			for _, to := range queue.States {
				r.move(from, to, slices.Contains(legal[from], to))
			}
		}
	}},
	{"a filter moves nothing to deferred or active", nothing, func(r *rig) {
		for _, to := range []queue.State{queue.Deferred, queue.Active} {
			id, x := r.stand(queue.Unfiltered, true)
			x.Ops = []queue.Op{queue.Move{To: to, Stage: "scan"}}
			_, err := r.q.Apply(r.ctx(), x)
			r.refused(err, queue.ErrConflict, queue.ErrInvalid)
			r.inState(id, queue.Unfiltered)
			x.Ops = []queue.Op{queue.Finish{Disposition: queue.Discarded}}
			_, err = r.q.Apply(r.ctx(), x)
			r.must(err)
		}
	}},
	{"a move to no state is refused", nothing, func(r *rig) {
		for _, to := range []queue.State{0, 9} {
			_, x := r.stand(queue.Incoming, false)
			x.Ops = []queue.Op{queue.Move{To: to}}
			_, err := r.q.Apply(r.ctx(), x)
			r.refused(err, queue.ErrInvalid, queue.ErrConflict)
		}
	}},
	{"a move to unfiltered names a stage", nothing, func(r *rig) {
		_, x := r.stand(queue.Incoming, false)
		x.Ops = []queue.Op{queue.Move{To: queue.Unfiltered}}
		_, err := r.q.Apply(r.ctx(), x)
		r.refused(err, queue.ErrInvalid)
	}},
	{"a move ends the lease", nothing, func(r *rig) {
		_, x := r.stand(queue.Unfiltered, true)
		r.change(x.Token, queue.Move{To: queue.Unfiltered, Stage: "second"})
		r.everythingRefused(x.Token)
	}},
	{"the next stage gets the message", nothing, func(r *rig) {
		id, x := r.stand(queue.Unfiltered, true)
		r.change(x.Token, queue.Move{To: queue.Unfiltered, Stage: "second"})
		r.claimNone(forScan)
		second := forScan
		second.Stage = "second"
		if c := r.claimOne(second); c.Item.ID != id || c.Item.Stage != "second" {
			r.Errorf("claimed %+v", c.Item)
		}
	}},
	{"a re-scan takes mail back through the filters under a new chain", nothing, func(r *rig) {
		id := r.deferred().ID
		r.operate(id, queue.Move{To: queue.Unfiltered, Stage: "scan", Chain: "again"})
		r.claimNone(forRetry)
		if c := r.claimOne(forScan); c.Item.ID != id || c.Item.Chain != "again" {
			r.Errorf("claimed %+v", c.Item)
		}
	}},
	{"a transient failure defers until NextAt", advance, func(r *rig) {
		id := r.incoming().ID
		at := r.now().Add(time.Hour)
		r.change(r.claimOne(forDelivery).Token, queue.Attempt{},
			queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Attempted: true, Reply: "450 4.2.1 busy", Remote: "mx.example.net"}}},
			queue.Move{To: queue.Deferred, NextAt: at})
		it := r.get(id)
		if it.State != queue.Deferred || !it.NextAt.Equal(at) || it.Attempts != 1 {
			r.Errorf("item %+v", it)
		}
		r.claimNone(forRetry)
		r.Advance(time.Hour)
		r.claimSoon(forRetry)
	}},
}

func (r *rig) move(from, to queue.State, want bool) {
	r.Helper()
	id, x := r.stand(from, false)
	x.Ops = []queue.Op{queue.Move{To: to, Stage: map[bool]string{true: "other"}[to == queue.Unfiltered]}}
	out, err := r.q.Apply(r.ctx(), x)
	switch {
	case want && err != nil:
		r.Errorf("%s to %s: %v", from, to, err)
	case want:
		if out[0].State != to {
			r.Errorf("%s to %s is %s", from, to, out[0].State)
		}
	default:
		r.refused(err, queue.ErrConflict, queue.ErrInvalid)
		r.inState(id, from)
	}
	_, err = r.q.Apply(r.ctx(), queue.Txn{ID: id, Force: true, Ops: []queue.Op{queue.Finish{Disposition: queue.Deleted}}})
	r.must(err)
}
