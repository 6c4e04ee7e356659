package queuetest

import (
	"strings"

	"mtad/queue"
)

var boundsTests = []behaviour{
	{"recipients are bounded", nothing, func(r *rig) {
		e := queue.Envelope{Recipients: make([]queue.Recipient, queue.MaxRecipients+1)}
		for i := range e.Recipients {
			e.Recipients[i] = queue.Recipient{Path: "b", Transport: "smtp", NextHop: "example.net"}
		}
		_, err := r.q.Create(r.ctx(), e, queue.CreateOptions{})
		r.refused(err, queue.ErrTooLarge)
		e.Recipients = e.Recipients[1:]
		w, err := r.q.Create(r.ctx(), e, queue.CreateOptions{Stage: "scan"})
		r.must(err)
		it, err := w.Commit(r.ctx())
		r.must(err)
		if it.RecipientCount != queue.MaxRecipients {
			r.Errorf("%d recipients, want %d", it.RecipientCount, queue.MaxRecipients)
		}
	}},
	{"the trace is bounded", nothing, func(r *rig) {
		trace := func(n int) func(queue.ID) []byte {
			return func(queue.ID) []byte { return []byte("X: " + strings.Repeat("x", n-5) + "\r\n") }
		}
		r.commit(queue.CreateOptions{Trace: trace(queue.MaxTrace)}, "b@example.net")
		_, err := r.q.Create(r.ctx(), envelope("b@example.net"), queue.CreateOptions{Trace: trace(queue.MaxTrace + 1)})
		r.refused(err, queue.ErrTooLarge)
	}},
	{"meta is bounded", nothing, func(r *rig) {
		meta := map[string]string{"k": strings.Repeat("v", queue.MaxMeta-1)}
		it := r.commit(queue.CreateOptions{Meta: meta}, "b@example.net")
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: it.ID, Ops: []queue.Op{queue.SetMeta{Set: map[string]string{"l": "x"}}}})
		r.refused(err, queue.ErrTooLarge)
		meta["k"] += "v"
		_, err = r.q.Create(r.ctx(), envelope("b@example.net"), queue.CreateOptions{Meta: meta})
		r.refused(err, queue.ErrTooLarge)
	}},
	{"the dedupe key is bounded", nothing, func(r *rig) {
		r.commit(queue.CreateOptions{DedupeKey: strings.Repeat("k", 200)}, "b@example.net")
		_, err := r.q.Create(r.ctx(), envelope("b@example.net"), queue.CreateOptions{DedupeKey: strings.Repeat("k", 201)})
		r.refused(err, queue.ErrTooLarge, queue.ErrInvalid)
	}},
	{"the nonce is bounded", nothing, func(r *rig) {
		id := r.incoming().ID
		x := queue.Txn{ID: id, Nonce: strings.Repeat("n", 64), Ops: []queue.Op{queue.SetPriority{Priority: 1}}}
		_, err := r.q.Apply(r.ctx(), x)
		r.must(err)
		x.Nonce += "n"
		_, err = r.q.Apply(r.ctx(), x)
		r.refused(err, queue.ErrTooLarge, queue.ErrInvalid)
	}},
	{"texts are cut or refused", nothing, func(r *rig) {
		long := strings.Repeat("x", queue.MaxText+1)
		for _, op := range []queue.Op{
			queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Reply: long}}}, queue.SetHold{Hold: queue.Hold{By: "filter:x", Reason: long}},
			queue.Note{Kind: queue.EventChanged, Text: long}, queue.FailPending{Reply: long}, queue.Finish{Disposition: queue.Deleted, Reply: long},
			queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Reply: long, Reason: long}},
		} {
			id := r.incoming().ID
			_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Ops: []queue.Op{op}})
			if err != nil {
				r.refused(err, queue.ErrTooLarge, queue.ErrInvalid)
			}
			if it := r.history(id)[0]; longest(it) > queue.MaxText {
				r.Errorf("%T: kept a text of %d octets", op, longest(it))
			}
		}
	}},
	{"the trail keeps its beginning and its end", nothing, func(r *rig) {
		id := r.incoming().ID
		first := r.get(id).Trail
		for range queue.MaxTrail {
			r.operate(id, queue.Note{Kind: queue.EventChanged, Text: "middle"})
		}
		r.operate(id, queue.Note{Kind: queue.EventChanged, Text: "last"})
		trail := r.get(id).Trail
		if len(trail) > queue.MaxTrail || trail[len(trail)-1].Text != "last" || len(first) > 0 && trail[0].Kind != first[0].Kind {
			r.Errorf("trail of %d steps: %v", len(trail), trail)
		}
	}},
	{"verdicts are bounded, the oldest go", nothing, func(r *rig) {
		id := r.unfiltered().ID
		for i := range queue.MaxVerdicts + 1 {
			r.operate(id, queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Score: float64(i)}})
		}
		v := r.get(id).Verdicts
		if len(v) != queue.MaxVerdicts || v[len(v)-1].Score != queue.MaxVerdicts || v[0].Score != 1 {
			r.Errorf("%d verdicts, first %v, last %v", len(v), v[0], v[len(v)-1])
		}
	}},
	{"a lease is never longer than MaxLease", nothing, func(r *rig) {
		r.incoming()
		spec := forDelivery
		spec.Lease = 2 * queue.MaxLease
		claims, err := r.q.Claim(r.ctx(), spec)
		if err != nil {
			r.refused(err, queue.ErrInvalid, queue.ErrTooLarge)
			return
		}
		if claims[0].For > queue.MaxLease {
			r.Errorf("lease runs %v", claims[0].For)
		}
	}},
	{"a claim never brings more than MaxClaim items", nothing, func(r *rig) {
		spec := forDelivery
		spec.Max = queue.MaxClaim + 1
		r.incoming()
		claims, err := r.q.Claim(r.ctx(), spec)
		if err != nil {
			r.refused(err, queue.ErrInvalid, queue.ErrTooLarge)
		} else if len(claims) != 1 {
			r.Errorf("%d claims, want 1", len(claims))
		}
	}},
}

func longest(it queue.Item) (n int) {
	look := func(s string) { n = max(n, len(s)) }
	for _, r := range it.Envelope.Recipients {
		look(r.LastReply)
	}
	for _, s := range it.Trail {
		look(s.Text)
	}
	for _, v := range it.Verdicts {
		look(v.Reply)
		look(v.Reason)
	}
	if it.Hold != nil {
		look(it.Hold.Reason)
	}
	if it.Outcome != nil {
		look(it.Outcome.Reply)
	}
	return n
}
