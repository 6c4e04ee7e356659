package queuetest

import (
	"reflect"

	"mtad/queue"
)

var applyTests = []behaviour{
	{"a change is all or nothing", nothing, func(r *rig) {
		id := r.unfiltered().ID
		c := r.claimOne(forScan)
		before := r.get(id)
		err := r.tries(c.Token, queue.SetReversePath{Path: "x@example.org"}, queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan"}},
			queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("x")}}}, queue.SetMeta{Set: map[string]string{"k": "v"}},
			queue.SetHold{Hold: queue.Hold{By: "filter:scan"}}, queue.Move{To: queue.Incoming},
			queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: 99}}})
		r.refused(err, queue.ErrInvalid)
		if after := r.get(id); !reflect.DeepEqual(before, after) {
			r.Errorf("changed from\n%+v to\n%+v", before, after)
		}
		r.change(c.Token, queue.Move{To: queue.Incoming}) // the lease lives on
	}},
	{"a change by ID names the revision it was made for", nothing, func(r *rig) {
		it := r.get(r.incoming().ID)
		r.operate(it.ID, queue.SetPriority{Priority: 1})
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: it.ID, Rev: it.Rev, Ops: []queue.Op{queue.SetPriority{Priority: 2}}})
		r.refused(err, queue.ErrConflict)
		now := r.get(it.ID)
		if now.Priority != 1 || now.Rev == it.Rev {
			r.Errorf("priority %d, revision %s then %s", now.Priority, it.Rev, now.Rev)
		}
		_, err = r.q.Apply(r.ctx(), queue.Txn{ID: it.ID, Rev: now.Rev, Ops: []queue.Op{queue.SetPriority{Priority: 2}}})
		r.must(err)
	}},
	{"of two changes for one revision one is made", nothing, func(r *rig) {
		it := r.get(r.incoming().ID)
		errs := make(chan error, 8)
		for i := range cap(errs) {
			go func() {
				_, err := r.q.Apply(r.ctx(), queue.Txn{ID: it.ID, Rev: it.Rev, Ops: []queue.Op{queue.SetPriority{Priority: int8(i)}}})
				errs <- err
			}()
		}
		made := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				made++
			} else {
				r.refused(err, queue.ErrConflict)
			}
		}
		if made != 1 {
			r.Errorf("%d changes made, want 1", made)
		}
	}},
	{"a leased item is not changed by ID", nothing, func(r *rig) {
		id := r.unfiltered().ID
		c := r.claimOne(forScan)
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Ops: []queue.Op{queue.SetPriority{Priority: 1}}})
		r.refused(err, queue.ErrConflict)
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"force breaks the lease", nothing, func(r *rig) {
		for _, spec := range []queue.ClaimSpec{forScan, forDelivery} {
			if spec.Stage != "" {
				r.unfiltered()
			} else {
				r.incoming()
			}
			c := r.claimOne(spec)
			_, err := r.q.Apply(r.ctx(), queue.Txn{ID: c.Item.ID, Force: true, Ops: []queue.Op{queue.SetPriority{Priority: 1}}})
			r.must(err)
			r.everythingRefused(c.Token)
			r.inState(c.Item.ID, spec.From)
			r.change(r.claimOne(spec).Token, queue.Finish{Disposition: queue.Deleted})
		}
	}},
	{"an unknown item is not found", nothing, func(r *rig) {
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: queue.IDOf(r.now(), 9, 9), Ops: []queue.Op{queue.SetPriority{}}})
		r.refused(err, queue.ErrNotFound)
	}},
	{"a finished item is not found", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.Finish{Disposition: queue.Deleted})
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Ops: []queue.Op{queue.SetPriority{}}})
		r.refused(err, queue.ErrNotFound)
	}},
	{"a change names a token or an ID", nothing, func(r *rig) {
		_, err := r.q.Apply(r.ctx(), queue.Txn{Ops: []queue.Op{queue.SetPriority{}}})
		r.refused(err, queue.ErrInvalid)
	}},
	{"a change may leave the lease alone", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.change(c.Token, queue.SetMeta{Set: map[string]string{"seen": "yes"}})
		r.claimNone(forScan)
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"a verdict can be repeated with its nonce", nothing, func(r *rig) {
		r.unfiltered()
		x := queue.Txn{Token: r.claimOne(forScan).Token, Nonce: "n1", Ops: []queue.Op{
			queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}}, queue.Move{To: queue.Incoming},
		}}
		first, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		second, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		if len(second) != 1 || second[0].ID != first[0].ID || second[0].State != queue.Incoming {
			r.Errorf("first %+v, second %+v", first, second)
		}
		if n := len(r.get(first[0].ID).Verdicts); n != 1 {
			r.Errorf("%d verdicts, want 1", n)
		}
	}},
	{"an operator's change can be repeated with its nonce", nothing, func(r *rig) {
		id := r.incoming().ID
		x := queue.Txn{ID: id, Nonce: "n1", Ops: []queue.Op{queue.Attempt{}}}
		for range 3 {
			_, err := r.q.Apply(r.ctx(), x)
			r.must(err)
		}
		if n := r.get(id).Attempts; n != 1 {
			r.Errorf("%d attempts, want 1", n)
		}
		x.Nonce = "n2"
		_, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		if n := r.get(id).Attempts; n != 2 {
			r.Errorf("with another nonce %d attempts, want 2", n)
		}
	}},
	{"a nonce is of one item", nothing, func(r *rig) {
		a, b := r.incoming().ID, r.incoming().ID
		for _, id := range []queue.ID{a, b} {
			_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Nonce: "same", Ops: []queue.Op{queue.Attempt{}}})
			r.must(err)
			if n := r.get(id).Attempts; n != 1 {
				r.Errorf("%s: %d attempts, want 1", id, n)
			}
		}
	}},
	{"a refused change does not use up its nonce", nothing, func(r *rig) {
		id := r.incoming().ID
		x := queue.Txn{ID: id, Rev: "stale", Nonce: "n1", Ops: []queue.Op{queue.Attempt{}}}
		_, err := r.q.Apply(r.ctx(), x)
		r.refused(err, queue.ErrConflict)
		x.Rev = ""
		_, err = r.q.Apply(r.ctx(), x)
		r.must(err)
		if n := r.get(id).Attempts; n != 1 {
			r.Errorf("%d attempts, want 1", n)
		}
	}},
	{"a finish leaves a record and nothing else", nothing, func(r *rig) {
		id := r.incoming().ID
		out := r.change(r.claimOne(forDelivery).Token, relayed(1)...)
		if out[0].Outcome == nil || out[0].Outcome.Disposition != queue.Done {
			r.Errorf("outcome %+v", out[0].Outcome)
		}
		r.absent(id)
		h := r.history(id)
		if len(h) != 1 || h[0].Outcome == nil || h[0].Envelope.Recipients[0].LastReply != "250 2.0.0 ok" || h[0].Attempts != 1 {
			r.Errorf("history %+v", h)
		}
		if n := len(r.list(queue.Filter{})); n != 0 {
			r.Errorf("%d listed", n)
		}
	}},
	{"mail is not done while a recipient is pending", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{}, "a@example.net", "b@example.net")
		c := r.claimOne(forDelivery)
		r.refused(r.tries(c.Token, relayed(1)...), queue.ErrInvalid, queue.ErrConflict)
		r.change(c.Token, relayed(2)...)
	}},
	{"an empty change shows the item and changes nothing", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		c := r.claimOne(forScan)
		for range 2 {
			out := r.change(c.Token)
			if len(out) != 1 || out[0].ID != w.ID() || out[0].Rev != c.Item.Rev || out[0].Generation().N != 0 {
				r.Errorf("answered %d items, revision %s, want that of the claim %s", len(out), out[0].Rev, c.Item.Rev)
			}
		}
		r.change(c.Token, queue.Move{To: queue.Incoming})
		r.refused(r.tries(c.Token), queue.ErrLeaseLost)
	}},
	{"what was accepted is not rejected any more", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.refused(r.tries(c.Token, rejected...), queue.ErrConflict)
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"nothing follows a finish", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		r.refused(r.tries(c.Token, queue.Finish{Disposition: queue.Discarded}, queue.Move{To: queue.Incoming}), queue.ErrInvalid, queue.ErrConflict)
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"an edit of a filter ends with one commit", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.judge(queue.SetContent{By: "scan", Pieces: []queue.Piece{{Inline: []byte("X-Scanned: yes\r\n")}, {FromCurrent: true, Length: -1}}},
			queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept", Score: 1.5, Symbols: []string{"A"}}})
		it := r.get(id)
		if it.State != queue.Incoming || it.Stage != "" || len(it.Verdicts) != 1 || it.Generation().N != 1 {
			r.Errorf("item %+v", it)
		}
	}},
}
