package queuetest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

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

var splitTests = []behaviour{
	{"a split makes parts that are claimed alone", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net", "c@example.net")
		c := r.claimOne(forScan)
		out := r.change(c.Token,
			queue.Split{Parts: []queue.Part{
				{Recipients: []int{2}, Ops: []queue.Op{queue.Move{To: queue.Unfiltered, Stage: "second"}}},
				{Recipients: []int{0}, Ops: []queue.Op{queue.Finish{Disposition: queue.Discarded}}},
			}},
			queue.Move{To: queue.Incoming})
		if len(out) != 3 || out[0].ID != it.ID || !slices.Equal(paths(out[0]), []string{"b@example.net"}) || out[0].State != queue.Incoming {
			r.Fatalf("left %+v", out)
		}
		second := forScan
		second.Stage = "second"
		if p := r.claimOne(second).Item; p.ID.Message() != it.ID || p.ID.Part() == 0 || !slices.Equal(paths(p), []string{"c@example.net"}) {
			r.Errorf("part %+v", p)
		}
		if h := r.history(it.ID); len(h) != 3 {
			r.Errorf("%d parts in history, want 3", len(h))
		}
	}},
	{"parts share the content", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		out := r.judge(queue.Split{Parts: []queue.Part{{Recipients: []int{1}, Ops: []queue.Op{queue.Move{To: queue.Incoming}}}}})
		for _, p := range out {
			r.reads(queue.OpenSpec{ID: p.ID, Generation: -1}, text)
		}
		r.operate(it.ID, queue.Finish{Disposition: queue.Deleted})
		r.reads(queue.OpenSpec{ID: out[1].ID, Generation: -1}, text)
	}},
	{"a part's edit is not seen by the rest", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		out := r.judge(queue.Split{Parts: []queue.Part{{Recipients: []int{1}, Ops: []queue.Op{
			queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("other")}}}, queue.Move{To: queue.Incoming},
		}}}})
		r.reads(queue.OpenSpec{ID: out[0].ID, Generation: -1}, text)
		r.reads(queue.OpenSpec{ID: out[1].ID, Generation: -1}, "other")
	}},
	{"the ops of a part count its own recipients", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net", "c@example.net")
		failed := func(i int) queue.Op {
			return queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: i, Status: queue.Failed}}}
		}
		out := r.judge(queue.Split{Parts: []queue.Part{{Recipients: []int{2, 0}, Ops: []queue.Op{failed(0), queue.Move{To: queue.Incoming}}}}}, failed(0))
		for i, want := range []string{"b@example.net", "c@example.net"} {
			for _, rc := range out[i].Envelope.Recipients {
				if (rc.Status == queue.Failed) != (rc.Path == want) {
					r.Errorf("%s of %s is %s", rc.Path, out[i].ID, rc.Status)
				}
			}
		}
	}},
	{"a part without a move stands where the item stood", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		c := r.claimOne(forScan)
		out := r.change(c.Token, queue.Split{Parts: []queue.Part{{Recipients: []int{1}}}})
		if p := r.claimOne(forScan).Item; p.ID != out[1].ID {
			r.Errorf("claimed %s, want the part %s", p.ID, out[1].ID)
		}
		r.change(c.Token, queue.Move{To: queue.Incoming})
	}},
	{"a split that is wrong is refused", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.net")
		c := r.claimOne(forScan)
		for _, parts := range [][]queue.Part{
			{{Recipients: []int{2}}}, {{Recipients: []int{-1}}}, {{Recipients: []int{0, 0}}}, {{Recipients: []int{0}}, {Recipients: []int{0}}},
			{{Recipients: []int{0, 1}}}, {{Recipients: []int{0}}, {Recipients: []int{1}}},
			{{Recipients: []int{1}, Ops: []queue.Op{queue.Split{Parts: []queue.Part{{Recipients: []int{0}}}}}}},
		} {
			if err := r.tries(c.Token, queue.Split{Parts: parts}); err == nil {
				r.Errorf("took %+v", parts)
			} else {
				r.refused(err, queue.ErrInvalid)
			}
		}
		if n := len(r.list(queue.Filter{})); n != 1 {
			r.Errorf("%d items, want 1", n)
		}
	}},
	{"on entering incoming an item is split by route", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.com", "c@example.net", "d@example.com", "e@example.edu")
		r.judge(queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: 4, Status: queue.Removed}}})
		claims := r.claim(forDelivery)
		if len(claims) != 2 {
			r.Fatalf("%d items, want 2", len(claims))
		}
		for _, c := range claims {
			hops := map[string]bool{}
			for _, rc := range c.Item.Envelope.Recipients {
				if rc.Status == queue.Pending {
					hops[rc.NextHop] = true
				}
			}
			if len(hops) != 1 || c.Item.ID.Message() != it.ID {
				r.Errorf("%s goes to %v", c.Item.ID, hops)
			}
		}
		var all []string
		for _, p := range r.history(it.ID) {
			all = append(all, paths(p)...)
		}
		slices.Sort(all)
		if len(all) != 5 || len(slices.Compact(all)) != 5 {
			r.Errorf("recipients after the split: %v", all)
		}
	}},
	{"one next hop over two transports is two routes", nothing, func(r *rig) {
		e := envelope("a@example.net", "b@example.net")
		e.Recipients[1].Transport = "lmtp"
		w, err := r.q.Create(r.ctx(), e, queue.CreateOptions{})
		r.must(err)
		_, err = w.Commit(r.ctx())
		r.must(err)
		if n := len(r.claim(forDelivery)); n != 2 {
			r.Errorf("%d items, want 2", n)
		}
	}},
	{"part numbers are not used again", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{}, "a@a.example", "b@b.example")
		part := r.history(it.ID)[1].ID
		r.operate(part, queue.Finish{Disposition: queue.Deleted})
		r.operate(it.ID, queue.AddRecipients{Recipients: []queue.Recipient{recipient("c@c.example")}})
		out := r.operate(it.ID, queue.Split{Parts: []queue.Part{{Recipients: []int{1}}}})
		if len(out) != 2 || out[1].ID == part {
			r.Errorf("parts %v, want none of %s", ids(out), part)
		}
	}},
	{"many routes make many parts", nothing, func(r *rig) {
		var to []string
		for i := range 300 {
			to = append(to, fmt.Sprintf("x@hop%d.example", i))
		}
		it := r.commit(queue.CreateOptions{}, to...)
		if n := len(r.history(it.ID)); n != 300 {
			r.Errorf("%d parts, want 300", n)
		}
	}},
}
