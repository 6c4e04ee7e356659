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
