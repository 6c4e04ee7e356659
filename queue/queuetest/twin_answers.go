package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mtad/queue"

	"pgregory.net/rapid"
)

// token is one that was given once: it may have been lost since.
func (w *twin) token(t *rapid.T) pair[queue.Token] {
	if len(w.tokens) == 0 {
		t.Skip("nothing was claimed")
	}
	// The newest are the most likely to live.
	return w.tokens[len(w.tokens)-1-rapid.IntRange(0, min(len(w.tokens)-1, 5)).Draw(t, "token")]
}

// apply makes the same change on both sides.
func (w *twin) apply(real, model queue.Txn) {
	out, err := w.q.Apply(w.ctx(), real)
	modelOut, modelErr := w.model.Apply(w.ctx(), model)
	w.same(fmt.Sprintf("apply %+v", real.Ops), err, modelErr)
	if err != nil {
		return
	}
	w.sameItems("apply", out, modelOut)
	if real.Nonce != "" {
		w.again, w.answer = &pair[queue.Txn]{real, model}, ids(out)
	}
}

func (w *twin) under(t *rapid.T, p pair[queue.Token], ops []queue.Op) {
	nonce := ""
	if rapid.Bool().Draw(t, "nonce") {
		w.nonces++
		nonce = fmt.Sprintf("n%d", w.nonces)
	}
	w.apply(queue.Txn{Token: p.real, Nonce: nonce, Ops: ops}, queue.Txn{Token: p.model, Nonce: nonce, Ops: ops})
}

// change gives any answer under a token, sensible or not.
func (w *twin) change(t *rapid.T) {
	p := w.token(t)
	w.under(t, p, w.drawOps(t, w.model.leased(p.model)))
}

// verdict gives the answer of a filter that accepts.
func (w *twin) verdict(t *rapid.T) {
	p := w.token(t)
	ops := []queue.Op{queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}}}
	if rapid.Bool().Draw(t, "edit") {
		ops = append(ops, w.drawContent(t))
	}
	to := queue.Move{To: queue.Incoming}
	if rapid.Bool().Draw(t, "next stage") {
		to = queue.Move{To: queue.Unfiltered, Stage: drawStage.Draw(t, "stage")}
	}
	w.under(t, p, append(ops, to))
}

// deliver gives the answer of the queue manager: everybody has it.
func (w *twin) deliver(t *rapid.T) {
	p := w.token(t)
	it := w.model.leased(p.model)
	if it == nil {
		t.Skip("the lease is lost")
	}
	if rapid.IntRange(0, 2).Draw(t, "busy") == 0 {
		w.under(t, p, []queue.Op{queue.Attempt{}, queue.Move{To: queue.Deferred}})
		return
	}
	w.under(t, p, relayed(len(it.Envelope.Recipients)))
}

// leased is the item under a living lease.
func (m *Model) leased(t queue.Token) *queue.Item {
	_, err := m.enter()
	defer m.leave()
	l, lost := m.held(t)
	if err != nil || lost != nil {
		return nil
	}
	v := l.item.view()
	return &v
}

// operate changes an item by its ID.
func (w *twin) operate(t *rapid.T) {
	if len(w.ids) == 0 {
		t.Skip("there is nothing")
	}
	p := rapid.SampledFrom(w.ids).Draw(t, "message")
	var it *queue.Item
	if got, err := w.model.Get(w.ctx(), p.model); err == nil {
		it = &got
	}
	x := queue.Txn{ID: p.real, Force: rapid.Bool().Draw(t, "force"), By: "operator:ann", Ops: w.drawOps(t, it)}
	y := x
	y.ID = p.model
	if rapid.IntRange(0, 4).Draw(t, "stale") == 0 {
		x.Rev, y.Rev = "stale", "stale"
	}
	w.apply(x, y)
}

// repeat sends a change once more that took effect with its nonce. The answer
// names the same items; they may have gone on since.
func (w *twin) repeat(t *rapid.T) {
	if w.again == nil {
		t.Skip("nothing to repeat")
	}
	out, err := w.q.Apply(w.ctx(), w.again.real)
	_, modelErr := w.model.Apply(w.ctx(), w.again.model)
	if modelErr != nil { // a crash undid it: a lazy one
		w.same("repeat", err, modelErr)
		w.again = nil
		return
	}
	if errors.Is(err, queue.ErrLeaseLost) && w.neverAccepted(w.answer) {
		w.again = nil
		return
	}
	if err != nil {
		t.Fatalf("repeated with its nonce: %v", err)
	}
	if got := ids(out); !slices.Equal(got, w.answer) {
		t.Fatalf("repeated with its nonce: %v, want %v", got, w.answer)
	}
}

// neverAccepted: all of them were staged, and gone before a commit. After a
// crash nothing remembers what was said about them.
func (w *twin) neverAccepted(items []queue.ID) bool {
	for _, id := range items {
		if _, err := w.q.History(w.ctx(), id.Message()); !errors.Is(err, queue.ErrNotFound) {
			return false
		}
	}
	return true
}

func (w *twin) extend(t *rapid.T) {
	p := w.token(t)
	err := w.q.Extend(w.ctx(), []queue.Token{p.real}, leaseTime)
	modelErr := w.model.Extend(w.ctx(), []queue.Token{p.model}, leaseTime)
	w.same("extend", err[0], modelErr[0])
}

func (w *twin) release(t *rapid.T) {
	p := w.token(t)
	delay := time.Duration(0)
	if w.s.Advance != nil && rapid.Bool().Draw(t, "delayed") {
		delay = leaseTime
	}
	lost := rapid.Bool().Draw(t, "lost")
	w.same("release", w.q.Release(w.ctx(), p.real, delay, lost), w.model.Release(w.ctx(), p.model, delay, lost))
}

// time passes on both sides.
func (w *twin) time(t *rapid.T) {
	d := clockStep * time.Duration(rapid.IntRange(1, 3).Draw(t, "steps"))
	w.s.Advance(d)
	w.clock.Advance(d)
	w.again = nil // its ten minutes may be over on one side first
}

// bulk runs a job to its end.
func (w *twin) bulk(t *rapid.T) {
	f := queue.Filter{}
	if rapid.Bool().Draw(t, "one state") {
		f.States = []queue.State{rapid.SampledFrom(queue.States[:]).Draw(t, "state")}
	}
	a := queue.Action{
		Kind: rapid.SampledFrom(actions).Draw(t, "kind"), By: "operator:ann", Reason: "550 5.7.0 bulk", Force: true,
		Stages:   map[string]string{"in": "scan"},
		Redirect: &queue.Redirect{To: recipient(drawPath.Draw(t, "redirected to")), ReversePath: "postmaster@example.org"},
	}
	id, err := w.q.Bulk(w.ctx(), f, a)
	modelID, modelErr := w.model.Bulk(w.ctx(), f, a)
	w.same("bulk", err, modelErr)
	want, err := w.model.Job(w.ctx(), modelID)
	if err != nil {
		t.Fatal(err)
	}
	limit := time.After(patience)
	for {
		got, err := w.q.Job(w.ctx(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Finished.IsZero() {
			if got.Matched != want.Matched || got.Changed != want.Changed || got.Failed != want.Failed {
				t.Fatalf("job matched %d, changed %d, failed %d (%s); want %d, %d, %d", got.Matched, got.Changed, got.Failed, got.LastFail,
					want.Matched, want.Changed, want.Failed)
			}
			return
		}
		select {
		case <-limit:
			t.Fatalf("the job does not end: %+v", got)
		case <-time.After(time.Millisecond):
		}
	}
}
