package queuetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mtad/queue"

	"pgregory.net/rapid"
)

// RunHistories runs random lists of operations on a queue and on the model side
// by side and compares, after every step, all that can be observed: items,
// records, counts, and what can be claimed. With Subject.Crash there are power
// cuts among them, after which the queue has to be in a state that the promises
// of spec/queue.md §4 allow. An operation list that fails is shrunk; -rapid.seed
// repeats it, -rapid.checks (here 25) and -rapid.steps set how much is done. Not
// for parallel tests.
func RunHistories(t *testing.T, open func(t *testing.T) *Subject) {
	fewerChecks(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newTwin(rt, open(t))
		defer func() { w.q.Close() }()
		rt.Repeat(w.actions())
	})
}

// fewerChecks keeps an everyday run short: a store is opened for every list.
func fewerChecks(t *testing.T) {
	const name = "rapid.checks"
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == name })
	if asked {
		return
	}
	before := flag.Lookup(name).Value.String()
	set := func(v string) {
		if err := flag.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	set("25")
	t.Cleanup(func() { set(before) })
}

// twin is a queue and its model. Names differ on the two sides: messages are
// told apart by the order in which they came, parts by their recipients.
type twin struct {
	*rapid.T
	s     *Subject
	q     queue.Queue
	model *Model
	clock *ManualClock // the model's

	ids     []pair[queue.ID] // by number of the message
	number  map[queue.ID]int // of either side
	tokens  []pair[queue.Token]
	writers []pair[queue.Writer]
	again   *pair[queue.Txn] // a Txn with a nonce that took effect
	answer  []queue.ID
	nonces  int
}

// pair is one thing on both sides.
type pair[T any] struct{ real, model T }

func newTwin(t *rapid.T, s *Subject) *twin {
	w := &twin{T: t, s: s, q: s.Queue, clock: NewClock(), number: map[queue.ID]int{}}
	w.model = NewModel(ModelOptions{Clock: w.clock, KeepLazy: true, MaxClaims: s.maxClaims()})
	return w
}

func (w *twin) ctx() context.Context {
	return w.Context()
}

// same fails the history when the two sides answered differently.
func (w *twin) same(what string, real, model error) {
	w.Helper()
	if kind(real) != kind(model) {
		w.Fatalf("%s: queue says %v, model says %v", what, real, model)
	}
}

var kinds = []error{
	queue.ErrNotFound, queue.ErrConflict, queue.ErrLeaseLost, queue.ErrFull, queue.ErrTooLarge, queue.ErrExists, queue.ErrInvalid,
	queue.ErrUncertain, queue.ErrUnavailable, queue.ErrCorrupt, queue.ErrExpired,
}

// kind is what a caller can tell of an error.
func kind(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

// describe is an item in words that are the same on both sides.
func (w *twin) describe(it queue.Item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %d %s/%s", w.number[it.ID.Message()], it.State, it.Stage)
	fmt.Fprintf(&b, " from %q chain %q prio %d attempts %d lost %d", it.Envelope.ReversePath, it.Chain, it.Priority, it.Attempts, it.LostClaims)
	for _, r := range it.Envelope.Recipients {
		fmt.Fprintf(&b, " <%s %s %s/%s %d %q>", r.Path, r.Status, r.Transport, r.NextHop, r.Attempts, r.LastReply)
	}
	for _, g := range it.Generations {
		fmt.Fprintf(&b, " g%d:%s:%d", g.N, g.By, g.Size)
	}
	for _, v := range it.Verdicts {
		fmt.Fprintf(&b, " verdict:%s", v.Filter)
	}
	if it.Hold != nil {
		fmt.Fprintf(&b, " held:%s:%s", it.Hold.By, it.Hold.Reason)
	}
	if it.Lease != nil {
		fmt.Fprintf(&b, " leased:%s", it.Lease.Holder)
	}
	if it.Staged {
		b.WriteString(" staged")
	}
	if it.Outcome != nil {
		fmt.Fprintf(&b, " outcome:%s:%s", it.Outcome.Disposition, it.Outcome.Reply)
	}
	fmt.Fprintf(&b, " meta %v", it.Meta)
	return b.String()
}

func (w *twin) describeAll(items []queue.Item) []string {
	var out []string
	for _, it := range items {
		out = append(out, w.describe(it))
	}
	slices.Sort(out)
	return out
}

// observe is all that can be seen of a queue, line by line.
func (w *twin) observe(q queue.Queue, side func(pair[queue.ID]) queue.ID) ([]string, error) {
	page, err := q.List(w.ctx(), queue.Filter{}, "", queue.MaxPage)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	out := w.describeAll(page.Items)
	for n, p := range w.ids {
		parts, err := q.History(w.ctx(), side(p))
		if err != nil && !errors.Is(err, queue.ErrNotFound) {
			return nil, fmt.Errorf("history: %w", err)
		}
		for _, line := range w.describeAll(parts) {
			out = append(out, "history "+line)
		}
		for _, it := range parts {
			line, err := w.contents(q, it)
			if err != nil {
				return nil, fmt.Errorf("content of message %d: %w", n, err)
			}
			out = append(out, line...)
		}
	}
	counts, err := observeCounts(w.ctx(), q)
	return append(out, counts...), err
}

// contents reads every generation of a live item.
func (w *twin) contents(q queue.Queue, it queue.Item) ([]string, error) {
	if it.Outcome != nil {
		return nil, nil
	}
	var out []string
	for n := range it.Generations {
		c, err := q.Open(w.ctx(), queue.OpenSpec{ID: it.ID, Generation: n})
		if err != nil {
			return nil, err
		}
		text, err := readAll(c)
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("content %d.%d %q", w.number[it.ID.Message()], n, text))
	}
	slices.Sort(out)
	return out, nil
}

func observeCounts(ctx context.Context, q queue.Queue) ([]string, error) {
	st, err := q.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("stats: %w", err)
	}
	var out []string
	for _, s := range st.States {
		out = append(out, fmt.Sprintf("stats %s %d messages %d octets %d leased", s.State, s.Messages, s.Bytes, s.Leased))
	}
	for _, s := range st.Stages {
		out = append(out, fmt.Sprintf("stats stage %s %d messages %d leased", s.Stage, s.Messages, s.Leased))
	}
	out = append(out, fmt.Sprintf("stats held %d staged %d", st.Held, st.Staged))
	sh, err := q.Shape(ctx, queue.ShapeSpec{})
	if err != nil {
		return nil, fmt.Errorf("shape: %w", err)
	}
	var rows []string
	for _, r := range sh.Rows {
		if r.NextHop != "" {
			rows = append(rows, fmt.Sprintf("shape %s %s %d", r.State, r.NextHop, r.Total))
		}
	}
	slices.Sort(rows)
	return append(out, rows...), nil
}

func realID(p pair[queue.ID]) queue.ID  { return p.real }
func modelID(p pair[queue.ID]) queue.ID { return p.model }

// compare fails the history when the two sides look different.
func (w *twin) compare() {
	w.Helper()
	real, err := w.observe(w.q, realID)
	if err != nil {
		w.Fatal(err)
	}
	model, err := w.observe(w.model, modelID)
	if err != nil {
		w.Fatalf("model: %v", err)
	}
	if d := diff(real, model); d != "" {
		w.Fatalf("queue and model differ:\n%s", d)
	}
}

// diff lists what only one side has.
func diff(real, model []string) string {
	var b strings.Builder
	for _, l := range real {
		if !slices.Contains(model, l) {
			fmt.Fprintln(&b, "  queue:", l)
		}
	}
	for _, l := range model {
		if !slices.Contains(real, l) {
			fmt.Fprintln(&b, "  model:", l)
		}
	}
	return b.String()
}

// crash cuts the power on both sides. The model says every state that may be
// left: with none, or the last one, two, … of the lazy changes undone.
func (w *twin) crash() {
	w.q = w.s.Crash()
	if w.s.Advance != nil {
		// A start takes its time; IDs of what never was are not given again.
		w.s.Advance(time.Second)
		w.clock.Advance(time.Second)
	}
	real, err := w.observe(w.q, realID)
	if err != nil {
		w.Fatalf("after a crash: %v", err)
	}
	var first string
	for lost := range w.model.Lazy() + 1 {
		left := w.model.Crash(lost)
		model, err := w.observe(left, modelID)
		if err != nil {
			w.Fatalf("model after a crash: %v", err)
		}
		d := diff(real, model)
		if d == "" {
			w.model, w.writers = left, nil
			return
		}
		if first == "" {
			first = d
		}
	}
	w.Fatalf("after a crash the queue is in none of the %d states allowed; nearest to nothing lost:\n%s", w.model.Lazy()+1, first)
}
