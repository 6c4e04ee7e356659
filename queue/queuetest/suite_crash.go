package queuetest

import (
	"errors"
	"slices"
	"time"

	"mtad/queue"
)

var crashTests = []behaviour{
	{"what was committed survives", crash, func(r *rig) {
		small := r.get(r.unfiltered().ID)
		body := octets(1_200_000)
		large, err := r.open(queue.CreateOptions{}, body, "b@example.net").Commit(r.ctx())
		r.must(err)
		r.crash()
		it := r.get(small.ID)
		if it.State != queue.Unfiltered || it.Stage != "scan" || it.Envelope.ReversePath != small.Envelope.ReversePath || !it.Created.Equal(small.Created) {
			r.Errorf("was %+v, is %+v", small, it)
		}
		r.reads(queue.OpenSpec{ID: small.ID, Generation: -1}, text)
		r.reads(queue.OpenSpec{ID: large.ID, Generation: -1}, body)
	}},
	{"what was not committed never was", crash, func(r *rig) {
		w := r.open(queue.CreateOptions{Stage: "scan"}, octets(1_200_000), "b@example.net")
		r.incoming()
		r.crash()
		r.absent(w.ID())
		r.claimNone(forScan)
	}},
	{"a staged message never was", crash, func(r *rig) {
		w := r.stage("b@example.net")
		r.incoming()
		r.crash()
		r.absent(w.ID())
		r.claimNone(forScan)
		if st := r.stats(); st.Staged != 0 {
			r.Errorf("stats %+v", st)
		}
	}},
	{"a judged message whose client still waits never was", crash, func(r *rig) {
		w := r.stage("b@example.net")
		r.judge(queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("x")}}})
		r.incoming()
		r.crash()
		if got := ids(items(r.claim(forDelivery))); slices.Contains(got, w.ID()) {
			r.Errorf("claimed %v", got)
		}
		r.absent(w.ID())
	}},
	{"a verdict survives with its generation", crash, func(r *rig) {
		id := r.unfiltered().ID
		c := r.claimOne(forScan)
		blob := r.upload(c.Token, octets(700_000))
		r.change(c.Token, queue.SetContent{By: "scan", Pieces: []queue.Piece{{Inline: []byte("X: y\r\n")}, {Blob: blob, Length: -1}}},
			queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan"}}, queue.Move{To: queue.Incoming})
		r.crash()
		it := r.get(id)
		if it.State != queue.Incoming || it.Generation().N != 1 || len(it.Verdicts) != 1 {
			r.Errorf("item %+v", it)
		}
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, "X: y\r\n"+octets(700_000))
		r.reads(queue.OpenSpec{ID: id, Generation: 0}, text)
	}},
	{"a verdict not given leaves the message unharmed", crash, func(r *rig) {
		id := r.unfiltered().ID
		r.upload(r.claimOne(forScan).Token, octets(700_000))
		r.crash()
		r.inState(id, queue.Unfiltered)
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, text)
		r.claimOne(forScan)
	}},
	{"leases end and their tokens never work again", crash, func(r *rig) {
		r.unfiltered()
		r.incoming()
		scan, send := r.claimOne(forScan), r.claimOne(forDelivery)
		r.crash()
		r.everythingRefused(scan.Token)
		r.everythingRefused(send.Token)
		r.inState(send.Item.ID, queue.Incoming)
		for _, c := range []queue.Claim{r.claimOne(forScan), r.claimOne(forDelivery)} {
			if c.Token == scan.Token || c.Token == send.Token {
				r.Errorf("token %q given again", c.Token)
			}
		}
	}},
	{"a discard by a filter survives", crash, func(r *rig) {
		id := r.unfiltered().ID
		r.change(r.claimOne(forScan).Token, queue.Finish{Disposition: queue.Discarded})
		r.crash()
		r.absent(id)
		if h := r.history(id); h[0].Outcome == nil || h[0].Outcome.Disposition != queue.Discarded {
			r.Errorf("history %+v", h)
		}
	}},
	{"holds and operators' changes survive", crash, func(r *rig) {
		held, released, moved := r.incoming().ID, r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "x"}}, "b@example.net").ID, r.incoming().ID
		r.operate(held, queue.SetHold{Hold: queue.Hold{By: "operator:ann", Reason: "look"}}, queue.SetPriority{Priority: 4})
		r.operate(released, queue.ReleaseHold{})
		r.operate(moved, queue.Move{To: queue.Unfiltered, Stage: "scan"})
		r.crash()
		if it := r.get(held); it.Hold == nil || it.Hold.Reason != "look" || it.Priority != 4 {
			r.Errorf("item %+v", it)
		}
		if it := r.get(released); it.Hold != nil {
			r.Errorf("hold %+v", it.Hold)
		}
		r.inState(moved, queue.Unfiltered)
	}},
	{"a hold that ran out while nobody was there ends as it says", crash | advance, func(r *rig) {
		until := r.now().Add(time.Minute)
		var held []queue.ID
		for _, then := range []queue.HoldEnd{queue.HoldDelete, queue.HoldBounce, queue.HoldRelease} {
			held = append(held, r.commit(queue.CreateOptions{Hold: &queue.Hold{By: "filter:scan", Reason: "spam", Until: until, Then: then}}, "b@example.net").ID)
		}
		r.crash()
		if h := r.get(held[0]).Hold; h == nil || h.Then != queue.HoldDelete || !h.Until.Equal(until) {
			r.Fatalf("hold %+v", h)
		}
		r.Advance(time.Minute)
		r.eventually("deleted", func() bool { _, err := r.q.Get(r.ctx(), held[0]); return err != nil })
		r.crash()
		r.absent(held[0])
		claims := r.claim(forDelivery)
		if len(claims) != 2 {
			r.Fatalf("%d to be worked on, want the bounced and the released one", len(claims))
		}
		for _, c := range claims {
			if status := c.Item.Envelope.Recipients[0].Status; (status == queue.Failed) != (c.Item.ID == held[1]) {
				r.Errorf("%s: %s", c.Item.ID, status)
			}
		}
	}},
	{"a split survives", crash, func(r *rig) {
		it := r.commit(queue.CreateOptions{Stage: "scan"}, "a@example.net", "b@example.com", "c@example.net")
		r.judge()
		r.crash()
		h := r.history(it.ID)
		if len(h) != 2 || len(r.claim(forDelivery)) != 2 {
			r.Errorf("history %+v", h)
		}
	}},
	{"a delivery survives when something later was synced", crash, func(r *rig) {
		id, busy := r.incoming().ID, r.commit(queue.CreateOptions{}, "x@busy.example").ID
		for _, c := range r.claim(forDelivery) {
			if c.Item.ID == id {
				r.change(c.Token, relayed(1)...)
			} else {
				r.change(c.Token, queue.Attempt{}, queue.Move{To: queue.Deferred})
			}
		}
		r.incoming()
		r.crash()
		r.absent(id)
		r.inState(busy, queue.Deferred)
		if h := r.history(id); h[0].Outcome == nil {
			r.Errorf("history %+v", h)
		}
	}},
	{"a delivery that a crash undoes is whole again", crash, func(r *rig) {
		id := r.incoming().ID
		r.change(r.claimOne(forDelivery).Token, relayed(1)...)
		r.crash()
		if _, err := r.q.Get(r.ctx(), id); errors.Is(err, queue.ErrNotFound) {
			r.history(id)
			return
		}
		r.reads(queue.OpenSpec{ID: r.claimOne(forDelivery).Item.ID, Generation: -1}, text)
	}},
	{"dedupe keys survive", crash, func(r *rig) {
		first := r.commit(queue.CreateOptions{DedupeKey: "key"}, "b@example.net")
		r.crash()
		_, err := r.open(queue.CreateOptions{DedupeKey: "key"}, text, "b@example.net").Commit(r.ctx())
		r.duplicateOf(err, first.ID)
	}},
	{"nonces survive", crash, func(r *rig) {
		id := r.incoming().ID
		x := queue.Txn{ID: id, Nonce: "n1", Ops: []queue.Op{queue.Attempt{}}}
		_, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		r.crash()
		_, err = r.q.Apply(r.ctx(), x)
		r.must(err)
		if n := r.get(id).Attempts; n != 1 {
			r.Errorf("%d attempts, want 1", n)
		}
	}},
	{"a verdict can be repeated after a crash", crash, func(r *rig) {
		id := r.unfiltered().ID
		x := queue.Txn{Token: r.claimOne(forScan).Token, Nonce: "n1", Ops: []queue.Op{
			queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan"}}, queue.Move{To: queue.Incoming},
		}}
		_, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		r.crash()
		out, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		if len(out) != 1 || out[0].ID != id || len(r.get(id).Verdicts) != 1 {
			r.Errorf("repeated: %+v", out)
		}
	}},
	{"a job goes on", crash, func(r *rig) {
		for range 40 {
			r.incoming()
		}
		r.claim(forDelivery)
		job := r.bulk(queue.Filter{}, queue.Action{Kind: queue.ActionHold})
		r.crash()
		r.finished(job)
		held := true
		if n := len(r.list(queue.Filter{Held: &held})); n != 40 {
			r.Errorf("%d held, want 40", n)
		}
	}},
	{"new IDs differ from those before", crash, func(r *rig) {
		seen := map[queue.ID]bool{}
		for range 3 {
			for range 20 {
				id := r.incoming().ID
				if seen[id] {
					r.Fatalf("%s given twice", id)
				}
				seen[id] = true
			}
			r.crash()
		}
		if n := len(r.list(queue.Filter{})); n != 60 {
			r.Errorf("%d messages, want 60", n)
		}
	}},
	{"counts are right", crash, func(r *rig) {
		r.deferred()
		r.unfiltered()
		r.judge()
		r.unfiltered()
		r.operate(r.incoming().ID, queue.Finish{Disposition: queue.Deleted})
		r.crash()
		var got []int64
		for _, s := range r.stats().States {
			got = append(got, s.Messages)
		}
		n, err := r.q.Count(r.ctx(), queue.Filter{})
		r.must(err)
		if !slices.Equal(got, []int64{1, 1, 0, 1}) || n.Messages != 3 {
			r.Errorf("states %v, count %d", got, n.Messages)
		}
		sh, err := r.q.Shape(r.ctx(), queue.ShapeSpec{})
		r.must(err)
		var total int64
		for _, row := range sh.Rows {
			total += row.Total
		}
		if total != 3 {
			r.Errorf("shape %+v", sh.Rows)
		}
	}},
	{"a crash in the middle of many accepts loses none that was answered", crash, crashUnderLoad},
	{"time goes on after a crash", crash | advance, func(r *rig) {
		r.commit(queue.CreateOptions{NextAt: r.now().Add(time.Hour)}, "b@example.net")
		r.crash()
		r.claimNone(forDelivery)
		r.Advance(time.Hour)
		r.claimSoon(forDelivery)
	}},
}

func crashUnderLoad(r *rig) {
	answered := make(chan queue.ID, 1000)
	stop := make(chan struct{})
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				w, err := r.Subject.Queue.Create(r.ctx(), envelope("b@example.net"), queue.CreateOptions{})
				if err != nil {
					return
				}
				w.Write([]byte(text))
				if _, err := w.Commit(r.ctx()); err != nil {
					w.Abort()
					return
				}
				select {
				case answered <- w.ID():
				case <-stop:
					return
				}
			}
		}()
	}
	var before []queue.ID
	for range 100 {
		before = append(before, <-answered)
	}
	r.crash()
	close(stop)
	for range 4 {
		<-done
	}
	lost := 0
	for _, id := range before {
		if _, err := r.q.Get(r.ctx(), id); err != nil {
			lost++
		}
	}
	if lost > 0 {
		r.Errorf("%d of %d messages lost", lost, len(before))
	}
}
