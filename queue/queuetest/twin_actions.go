package queuetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"mtad/queue"

	"pgregory.net/rapid"
)

func readAll(c queue.Content) (string, error) {
	b, err := io.ReadAll(c)
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return string(b), err
}

// leaseTime and the steps of the clock never meet: which of two moments comes
// first is the same on both sides.
const (
	leaseTime = 90 * time.Second
	clockStep = 61 * time.Second
)

// actions are what a history is made of.
func (w *twin) actions() map[string]func(*rapid.T) {
	a := map[string]func(*rapid.T){
		"":        func(*rapid.T) { w.compare() },
		"accept":  w.accept,
		"stage":   w.stage,
		"commit":  w.commitStaged,
		"abort":   w.abort,
		"claim":   w.claim,
		"answer":  w.change,
		"verdict": w.verdict,
		"deliver": w.deliver,
		"operate": w.operate,
		"repeat":  w.repeat,
		"extend":  w.extend,
		"release": w.release,
		"bulk":    w.bulk,
	}
	if w.s.Advance != nil {
		a["time"] = w.time
	}
	if w.s.Crash != nil {
		a["crash"] = func(*rapid.T) { w.crash() }
	}
	return a
}

var (
	drawPath  = rapid.SampledFrom([]string{"a@x.example", "b@x.example", "c@y.example", "d@y.example", "e@z.example"})
	drawStage = rapid.SampledFrom([]string{"scan", "second"})
	drawText  = rapid.SampledFrom([]string{"", "450 4.2.1 busy", "550 5.1.1 no"})
)

// open begins the same message on both sides.
func (w *twin) open(t *rapid.T, stage bool) pair[queue.Writer] {
	o := queue.CreateOptions{
		Chain:    rapid.SampledFrom([]string{"", "in", "out"}).Draw(t, "chain"),
		Priority: int8(rapid.IntRange(-1, 1).Draw(t, "priority")),
	}
	if stage || rapid.Bool().Draw(t, "filtered") {
		o.Stage = drawStage.Draw(t, "stage")
	}
	if rapid.IntRange(0, 9).Draw(t, "held") == 0 {
		o.Hold = &queue.Hold{By: "operator:ann", Reason: "look"}
	}
	if rapid.IntRange(0, 3).Draw(t, "dedupe") == 0 {
		o.DedupeKey = rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(t, "key")
	}
	e := envelope(rapid.SliceOfNDistinct(drawPath, 1, 4, rapid.ID[string]).Draw(t, "to")...)
	body := rapid.SampledFrom([]string{"", "Subject: x\r\n\r\nbody\r\n", "plain"}).Draw(t, "body")
	var p pair[queue.Writer]
	var err, modelErr error
	p.real, err = w.q.Create(w.ctx(), e, o)
	p.model, modelErr = w.model.Create(w.ctx(), e, o)
	w.same("create", err, modelErr)
	for _, side := range []queue.Writer{p.real, p.model} {
		if _, err := io.WriteString(side, body); err != nil {
			w.Fatal(err)
		}
	}
	w.number[p.real.ID()], w.number[p.model.ID()] = len(w.ids), len(w.ids)
	w.ids = append(w.ids, pair[queue.ID]{p.real.ID(), p.model.ID()})
	return p
}

func (w *twin) accept(t *rapid.T) { w.commit(w.open(t, false)) }

func (w *twin) commit(p pair[queue.Writer]) {
	_, err := p.real.Commit(w.ctx())
	_, modelErr := p.model.Commit(w.ctx())
	w.same("commit", err, modelErr)
	if err != nil {
		w.same("abort", p.real.Abort(), p.model.Abort())
	}
}

func (w *twin) stage(t *rapid.T) {
	p := w.open(t, true)
	w.same("stage", p.real.Stage(w.ctx()), p.model.Stage(w.ctx()))
	w.writers = append(w.writers, p)
}

// writer takes one of the staged messages.
func (w *twin) writer(t *rapid.T) pair[queue.Writer] {
	if len(w.writers) == 0 {
		t.Skip("nothing is staged")
	}
	i := rapid.IntRange(0, len(w.writers)-1).Draw(t, "writer")
	p := w.writers[i]
	w.writers = slices.Delete(w.writers, i, i+1)
	return p
}

// commitStaged waits first when the model says that there is nothing to wait
// for.
func (w *twin) commitStaged(t *rapid.T) {
	p := w.writer(t)
	ended, cancel := context.WithCancel(w.ctx())
	cancel()
	if want, err := p.model.Wait(ended); err == nil {
		ctx, cancel := context.WithTimeout(w.ctx(), patience)
		defer cancel()
		got, err := p.real.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		w.sameItems("wait", got, want)
	}
	w.commit(p)
}

func (w *twin) abort(t *rapid.T) {
	p := w.writer(t)
	w.same("abort", p.real.Abort(), p.model.Abort())
}

func (w *twin) sameItems(what string, real, model []queue.Item) {
	w.Helper()
	if d := diff(w.describeAll(real), w.describeAll(model)); d != "" {
		w.Fatalf("%s answers differ:\n%s", what, d)
	}
}

// claim lets the queue choose, and the model follow: whatever it chose has to be
// claimable, and as much has to come as there is.
func (w *twin) claim(t *rapid.T) {
	spec := queue.ClaimSpec{
		From: rapid.SampledFrom([]queue.State{queue.Unfiltered, queue.Incoming, queue.Deferred}).Draw(t, "from"),
		Max:  rapid.IntRange(1, 3).Draw(t, "max"), Lease: leaseTime, Holder: "h",
	}
	if spec.From == queue.Unfiltered {
		spec.Stage = drawStage.Draw(t, "stage")
	}
	claims, err := w.q.Claim(w.ctx(), spec)
	if err != nil {
		t.Fatal(err)
	}
	there := w.model.claimable(spec)
	if want := min(spec.Max, len(there)); len(claims) != want {
		t.Fatalf("claimed %d from %s/%s, want %d", len(claims), spec.From, spec.Stage, want)
	}
	for _, c := range claims {
		follow, err := w.model.claimLike(spec, func(it queue.Item) bool {
			return w.number[it.ID.Message()] == w.number[c.Item.ID.Message()] && slices.Equal(paths(it), paths(c.Item))
		})
		if err != nil {
			t.Fatalf("%s was claimed: %v", w.describe(c.Item), err)
		}
		w.sameItems("claim", []queue.Item{c.Item}, []queue.Item{follow.Item})
		w.tokens = append(w.tokens, pair[queue.Token]{c.Token, follow.Token})
	}
}

// claimable are the items that s could be given.
func (m *Model) claimable(s queue.ClaimSpec) []*item {
	now, _ := m.enter()
	defer m.leave()
	return m.state.live(func(it *item) bool { return it.claimable(s, now) })
}

// claimLike claims the one item that like knows.
func (m *Model) claimLike(s queue.ClaimSpec, like func(queue.Item) bool) (queue.Claim, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Claim{}, err
	}
	for _, it := range m.state.live(func(it *item) bool { return it.claimable(s, now) }) {
		if like(it.Item) {
			return m.lease(it, s, now), nil
		}
	}
	return queue.Claim{}, fmt.Errorf("the model has no such item to claim from %s/%s", s.From, s.Stage)
}

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
	if err != nil {
		t.Fatalf("repeated with its nonce: %v", err)
	}
	if got := ids(out); !slices.Equal(got, w.answer) {
		t.Fatalf("repeated with its nonce: %v, want %v", got, w.answer)
	}
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
		Stages: map[string]string{"in": "scan"},
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
