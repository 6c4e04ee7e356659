package queuetest

import (
	"slices"
	"time"

	"mtad/queue"
)

var opsTests = []behaviour{
	{"added recipients come once", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.operate(id, queue.AddRecipients{Recipients: []queue.Recipient{recipient("c@example.net"), recipient("b@example.net"), recipient("c@example.net")}})
		if it := r.get(id); !slices.Equal(paths(it), []string{"b@example.net", "c@example.net"}) || it.RecipientCount != 2 {
			r.Errorf("recipients %v, count %d", paths(it), it.RecipientCount)
		}
	}},
	{"a recipient's result is remembered", nothing, func(r *rig) {
		id := r.incoming().ID
		r.change(r.claimOne(forDelivery).Token, queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{
			Attempted: true, Reply: "450 4.2.1 busy", Remote: "mx.example.net", Transport: "lmtp", NextHop: "new.example", DelaySent: true,
		}}}, queue.Move{To: queue.Deferred})
		got := r.get(id).Envelope.Recipients[0]
		if got.Status != queue.Pending || got.Attempts != 1 || got.LastAttempt.IsZero() || got.LastReply != "450 4.2.1 busy" ||
			got.LastRemote != "mx.example.net" || got.Transport != "lmtp" || got.NextHop != "new.example" || !got.DelaySent || got.Path != "b@example.net" {
			r.Errorf("recipient %+v", got)
		}
	}},
	{"what an update leaves empty stays", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Reply: "450 first", Remote: "mx"}}})
		r.operate(id, queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Status: queue.Relayed}}})
		got := r.get(id).Envelope.Recipients[0]
		if got.Status != queue.Relayed || got.LastReply != "450 first" || got.LastRemote != "mx" || got.NextHop != "example.net" || got.Attempts != 0 {
			r.Errorf("recipient %+v", got)
		}
	}},
	{"an unknown recipient is refused", nothing, func(r *rig) {
		id := r.incoming().ID
		for _, i := range []int{-1, 1, 1 << 30} {
			_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Ops: []queue.Op{queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: i}}}}})
			r.refused(err, queue.ErrInvalid)
		}
	}},
	{"the reverse-path is replaced, also by the null one", nothing, func(r *rig) {
		id := r.incoming().ID
		for _, path := range []string{"x@example.org", ""} {
			r.operate(id, queue.SetReversePath{Path: path})
			if got := r.get(id).Envelope.ReversePath; got != path {
				r.Errorf("reverse-path %q, want %q", got, path)
			}
		}
	}},
	{"a verdict is remembered", nothing, func(r *rig) {
		id := r.unfiltered().ID
		v := queue.Verdict{Filter: "scan", Disposition: "accept", Score: 2.5, Symbols: []string{"A", "B"}, Reply: "250 ok", Reason: "clean"}
		r.judge(queue.AddVerdict{Verdict: v})
		got := r.get(id).Verdicts
		if len(got) != 1 || got[0].Filter != "scan" || got[0].Score != 2.5 || !slices.Equal(got[0].Symbols, v.Symbols) || got[0].Reason != "clean" {
			r.Errorf("verdicts %+v", got)
		}
	}},
	{"priority is changed", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.SetPriority{Priority: -7})
		if got := r.get(id).Priority; got != -7 {
			r.Errorf("priority %d", got)
		}
	}},
	{"an item is put off and flushed", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.SetNextAt{At: r.now().Add(time.Hour)})
		r.claimNone(forDelivery)
		r.operate(id, queue.SetNextAt{})
		r.claimOne(forDelivery)
	}},
	{"meta is set and removed", nothing, func(r *rig) {
		id := r.commit(queue.CreateOptions{Meta: map[string]string{"a": "1", "b": "2"}}, "b@example.net").ID
		r.operate(id, queue.SetMeta{Set: map[string]string{"a": "", "b": "3", "c": "4"}})
		if m := r.get(id).Meta; len(m) != 2 || m["b"] != "3" || m["c"] != "4" {
			r.Errorf("meta %v", m)
		}
	}},
	{"an attempt is counted", nothing, func(r *rig) {
		id := r.incoming().ID
		r.change(r.claimOne(forDelivery).Token, queue.Attempt{}, queue.Move{To: queue.Deferred})
		r.change(r.claimOne(forRetry).Token, queue.Attempt{}, queue.Move{To: queue.Deferred})
		if n := r.get(id).Attempts; n != 2 {
			r.Errorf("%d attempts, want 2", n)
		}
	}},
	{"failing what is pending leaves it due for the report", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{NextAt: r.now().Add(time.Hour)}, "a@example.net", "b@example.net")
		r.operate(it.ID, queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: 1, Status: queue.Relayed, Reply: "250 ok"}}})
		r.operate(it.ID, queue.FailPending{Reply: "550 5.1.1 gone"})
		got := r.claimOne(forDelivery).Item.Envelope.Recipients
		if got[0].Status != queue.Failed || got[0].LastReply != "550 5.1.1 gone" || got[1].Status != queue.Relayed || got[1].LastReply != "250 ok" {
			r.Errorf("recipients %+v", got)
		}
	}},
	{"failing what is pending takes a message away from its filters", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.operate(id, queue.FailPending{Reply: "550 5.7.0 no"})
		r.claimNone(forScan)
		if c := r.claimOne(forDelivery); c.Item.ID != id {
			r.Errorf("claimed %s", c.Item.ID)
		}
	}},
	{"a reported recipient stays reported", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Status: queue.Failed, Reported: true, DelaySent: true}}})
		r.operate(id, queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Status: queue.Failed}}})
		if got := r.get(id).Envelope.Recipients[0]; !got.Reported || !got.DelaySent {
			r.Errorf("recipient %+v", got)
		}
	}},
	{"a note goes to the trail", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.Note{Kind: queue.EventChanged, Text: "looked at"})
		trail := r.get(id).Trail
		if len(trail) == 0 || trail[len(trail)-1].Text != "looked at" || trail[len(trail)-1].Kind != queue.EventChanged {
			r.Errorf("trail %v", trail)
		}
	}},
}

var holdTests = []behaviour{
	{"a held item is not claimed", nothing, func(r *rig) {
		for _, spec := range []queue.ClaimSpec{forScan, forDelivery} {
			id := r.commit(queue.CreateOptions{Stage: spec.Stage, Hold: &queue.Hold{By: "operator:ann", Reason: "look"}}, "b@example.net").ID
			r.claimNone(spec)
			r.operate(id, queue.ReleaseHold{})
			if it := r.claimOne(spec).Item; it.Hold != nil {
				r.Errorf("still held: %+v", it.Hold)
			}
		}
	}},
	{"a quarantine survives the accept", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.judge(queue.SetHold{Hold: queue.Hold{By: "filter:scan", Reason: "quarantine"}})
		it := r.get(id)
		if it.State != queue.Incoming || it.Hold == nil || it.Hold.By != "filter:scan" || it.Hold.Since.IsZero() {
			r.Errorf("state %s, hold %+v", it.State, it.Hold)
		}
		r.claimNone(forDelivery)
	}},
	{"an active item is held when its lease ends", nothing, func(r *rig) {
		id := r.incoming().ID
		c := r.claimOne(forDelivery)
		r.change(c.Token, queue.SetHold{Hold: queue.Hold{By: "operator:ann"}})
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		r.claimNone(forDelivery)
		if it := r.get(id); it.Hold == nil || it.State != queue.Incoming {
			r.Errorf("state %s, hold %+v", it.State, it.Hold)
		}
	}},
	{"a hold ends by itself", advance, func(r *rig) {
		r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "filter:scan", Until: r.now().Add(time.Minute)}}, "b@example.net")
		r.claimNone(forDelivery)
		r.Advance(time.Minute)
		if it := r.claimSoon(forDelivery).Item; it.Hold != nil {
			r.Errorf("still held: %+v", it.Hold)
		}
	}},
	{"a hold that runs out drops the item where it says so", advance, func(r *rig) {
		for _, stage := range []string{"", "scan"} {
			id := r.commit(queue.CreateOptions{Stage: stage, Hold: &queue.Hold{By: "filter:scan", Until: r.now().Add(time.Minute), Then: queue.HoldDelete}}, "b@example.net").ID
			if h := r.get(id).Hold; h == nil || h.Then != queue.HoldDelete {
				r.Errorf("hold %+v", h)
			}
			r.Advance(59 * time.Second)
			r.get(id)
			r.Advance(time.Second)
			r.eventually("its end", func() bool { _, err := r.q.Get(r.ctx(), id); return err != nil })
			if o := r.history(id)[0].Outcome; o == nil || o.Disposition != queue.Deleted {
				r.Errorf("outcome %+v", o)
			}
			r.claimNone(forDelivery)
		}
	}},
	{"a hold that runs out returns the item where it says so", advance, func(r *rig) {
		for _, stage := range []string{"", "scan"} {
			id := r.commit(queue.CreateOptions{Stage: stage, NextAt: r.now().Add(time.Hour), Hold: &queue.Hold{By: "filter:scan", Until: r.now().Add(time.Minute), Then: queue.HoldBounce}}, "b@example.net").ID
			r.Advance(time.Minute)
			c := r.claimSoon(forDelivery)
			it := c.Item
			if rc := it.Envelope.Recipients[0]; it.ID != id || it.Hold != nil || rc.Status != queue.Failed || rc.Reported || rc.LastReply != queue.HoldBounced {
				r.Errorf("item %+v", it)
			}
			r.claimNone(forScan)
			r.change(c.Token, queue.Finish{Disposition: queue.Done})
		}
	}},
	{"a hold does not run out under somebody's hands", advance, func(r *rig) {
		id := r.incoming().ID
		c := r.claimOne(forDelivery)
		r.change(c.Token, queue.SetHold{Hold: queue.Hold{By: "filter:scan", Until: r.now().Add(time.Minute), Then: queue.HoldDelete}})
		r.must(r.q.Extend(r.ctx(), []queue.Token{c.Token}, time.Hour)[0])
		r.Advance(2 * time.Minute)
		r.change(c.Token, queue.Note{Kind: queue.EventChanged, Text: "still mine"})
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		r.Advance(2 * time.Second)
		r.eventually("its end", func() bool { _, err := r.q.Get(r.ctx(), id); return err != nil })
	}},
	{"a hold with an end there is none of is refused", nothing, func(r *rig) {
		id := r.incoming().ID
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Ops: []queue.Op{queue.SetHold{Hold: queue.Hold{By: "x", Then: 3}}}})
		r.refused(err, queue.ErrInvalid)
	}},
	{"a quarantined message is scanned again", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.judge(queue.SetHold{Hold: queue.Hold{By: "filter:scan", Reason: "quarantine"}})
		r.operate(id, queue.ReleaseHold{}, queue.Move{To: queue.Unfiltered, Stage: "scan"})
		if c := r.claimOne(forScan); c.Item.ID != id {
			r.Errorf("claimed %s", c.Item.ID)
		}
	}},
	{"releasing what is not held changes nothing", nothing, func(r *rig) {
		id := r.incoming().ID
		r.operate(id, queue.ReleaseHold{})
		r.claimOne(forDelivery)
	}},
}
