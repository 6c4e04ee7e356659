package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// world is what callers of a queue know: what was answered to them.
type world struct {
	mu      sync.Mutex
	bodies  map[queue.ID][]byte // of every message begun
	acked   map[queue.ID]bool   // Commit returned without an error
	aborted map[queue.ID]bool   // Commit was never called
	judged  map[queue.ID]bool   // a verdict was answered
	first   map[queue.ID]error  // what its first try was answered
	jobs    []queue.JobID
	tokens  []queue.Token // of every claim
}

func newWorld() *world {
	return &world{bodies: map[queue.ID][]byte{}, acked: map[queue.ID]bool{}, aborted: map[queue.ID]bool{}, judged: map[queue.ID]bool{}, first: map[queue.ID]error{}}
}

// copy is what is known at this moment.
func (w *world) copy() *world {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := newWorld()
	maps.Copy(c.first, w.first)
	c.jobs, c.tokens = append(c.jobs, w.jobs...), append(c.tokens, w.tokens...)
	for k, v := range w.bodies {
		c.bodies[k] = v
	}
	for _, p := range [...][2]map[queue.ID]bool{{c.acked, w.acked}, {c.aborted, w.aborted}, {c.judged, w.judged}} {
		for k, v := range p[1] {
			p[0][k] = v
		}
	}
	return c
}

func (w *world) note(set map[queue.ID]bool, id queue.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set[id] = true
}

// send accepts a message of size octets to each of the hosts.
func (w *world) send(q queue.Queue, size int, o queue.CreateOptions, hosts ...string) error {
	env := queue.Envelope{ReversePath: "author@example.org"}
	for _, h := range hosts {
		env.Recipients = append(env.Recipients, queue.Recipient{Path: "user@" + h, Transport: "smtp", NextHop: h})
	}
	m, err := q.Create(context.Background(), env, o)
	if err != nil {
		return err
	}
	body := make([]byte, size) // noise: not to be compressed
	seed := [32]byte{}
	copy(seed[:], m.ID())
	_, _ = rand.NewChaCha8(seed).Read(body)
	w.mu.Lock()
	w.bodies[m.ID()] = body
	w.mu.Unlock()
	if _, err := m.Write(body); err != nil {
		w.note(w.aborted, m.ID())
		return errors.Join(err, m.Abort())
	}
	if _, err := m.Commit(context.Background()); err != nil {
		return errors.Join(err, m.Abort())
	}
	w.note(w.acked, m.ID())
	return nil
}

// judge takes one message through its filter, with an edit.
func (w *world) judge(q queue.Queue) error {
	cs, err := w.claim(q, queue.ClaimSpec{From: queue.Unfiltered, Stage: "scan"})
	if err != nil || len(cs) == 0 {
		return err
	}
	x := queue.Txn{Token: cs[0].Token, Nonce: "judge", Ops: []queue.Op{
		queue.SetContent{By: "scan", Pieces: []queue.Piece{{Inline: []byte("X-Scanned: yes\r\n")}, {FromCurrent: true, Length: -1}}},
		queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}},
		queue.Move{To: queue.Incoming},
	}}
	_, first := q.Apply(context.Background(), x)
	if err = first; err != nil {
		_, err = q.Apply(context.Background(), x) // uncertain: say it again
	}
	if err == nil {
		w.note(w.judged, cs[0].Item.ID)
		w.told(cs[0].Item.ID, first)
	}
	return err
}

// told remembers what the first try of a verdict was answered, for the one who
// has to find out why it is lost.
func (w *world) told(id queue.ID, first error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first[id] = first
}

func (w *world) claim(q queue.Queue, s queue.ClaimSpec) ([]queue.Claim, error) {
	s.Max, s.Lease = 1, time.Minute
	cs, err := q.Claim(context.Background(), s)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range cs {
		w.tokens = append(w.tokens, c.Token)
	}
	return cs, err
}

// release gives back what is still leased.
func (w *world) release(q queue.Queue) {
	for _, t := range w.tokens {
		_ = q.Release(context.Background(), t, 0, false)
	}
}

// deliver finishes or defers one message.
func (w *world) deliver(q queue.Queue, finish bool) error {
	cs, err := w.claim(q, queue.ClaimSpec{From: queue.Incoming})
	if err != nil || len(cs) == 0 {
		return err
	}
	ops := []queue.Op{queue.Attempt{}, queue.Move{To: queue.Deferred, NextAt: time.Now().Add(time.Hour)}}
	if finish {
		ops = finishing(cs[0].Item)
	}
	_, err = q.Apply(context.Background(), queue.Txn{Token: cs[0].Token, Ops: ops})
	return err
}

func finishing(it queue.Item) []queue.Op {
	var us []queue.RecipientUpdate
	for i := range it.Envelope.Recipients {
		us = append(us, queue.RecipientUpdate{Index: i, Status: queue.Relayed, Attempted: true})
	}
	return []queue.Op{queue.UpdateRecipients{Updates: us}, queue.Finish{}}
}

// history is a bit of everything. Every step may fail.
func (w *world) history(q queue.Queue) (errs []error) {
	step := func(err error) { errs = append(errs, err) }
	step(w.send(q, 100, queue.CreateOptions{Stage: "scan"}, "a.example"))
	step(w.send(q, 3000, queue.CreateOptions{Stage: "scan"}, "a.example", "b.example", "b.example"))
	step(w.judge(q))
	step(w.send(q, 700<<10, queue.CreateOptions{}, "a.example", "c.example"))
	step(w.judge(q))
	step(w.deliver(q, true))
	step(w.deliver(q, false))
	step(w.send(q, 100, queue.CreateOptions{Hold: &queue.Hold{By: "operator:x", Reason: "look"}}, "d.example"))
	job, err := q.Bulk(context.Background(), queue.Filter{NextHop: "b.example"}, queue.Action{Kind: queue.ActionHold, Reason: "bulk"})
	step(err)
	if err == nil {
		w.mu.Lock()
		w.jobs = append(w.jobs, job)
		w.mu.Unlock()
	}
	step(w.deliver(q, true))
	step(w.send(q, 100, queue.CreateOptions{DedupeKey: "k"}, "a.example"))
	step(w.deliver(q, true))
	return errs
}

// check fails the test unless the queue is what the world was told: nothing
// answered is lost, nothing is half there, the numbers agree, and everything can
// be claimed and finished.
func (w *world) check(t testing.TB, q queue.Queue, what string) {
	t.Helper()
	ctx := context.Background()
	w.release(q)
	for _, job := range w.jobs {
		awaitJob(t, q, job, what)
	}
	for id, body := range w.bodies {
		items, err := q.History(ctx, id)
		switch {
		case errors.Is(err, queue.ErrNotFound) && !w.acked[id]:
			continue
		case err != nil:
			t.Fatalf("%s: %s: %v", what, id, err)
		case w.aborted[id]:
			t.Fatalf("%s: %s exists and was never committed", what, id)
		}
		for _, it := range items {
			if it.Outcome == nil {
				w.checkContent(t, q, it, body, what)
			}
			if w.judged[id] && it.State == queue.Unfiltered && it.Outcome == nil {
				t.Fatalf("%s: the verdict on %s is lost; its first try was answered %v; the trail is %v", what, it.ID, w.first[id], it.Trail)
			}
		}
	}
	checkNumbers(t, q, what)
	drain(t, q, what)
}

func (w *world) checkContent(t testing.TB, q queue.Queue, it queue.Item, body []byte, what string) {
	t.Helper()
	c, err := q.Open(context.Background(), queue.OpenSpec{ID: it.ID, Generation: 0})
	if err != nil {
		t.Fatalf("%s: open %s: %v", what, it.ID, err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%s: content of %s: %d octets, want %d; %v", what, it.ID, len(got), len(body), err)
	}
}

// checkNumbers compares the counters with what a listing shows. A job that goes
// on after a restart may change the queue between the two.
func checkNumbers(t testing.TB, q queue.Queue, what string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var wrong []string
	for range 300 {
		if wrong = compareNumbers(t, q, what); len(wrong) == 0 {
			return
		}
		<-tick.C
	}
	t.Errorf("%s: %q", what, wrong)
}

func compareNumbers(t testing.TB, q queue.Queue, what string) (wrong []string) {
	t.Helper()
	ctx := context.Background()
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	count := map[queue.State]int64{}
	octets := map[queue.State]int64{}
	hops := map[string]int64{}
	var held int64
	for cursor := queue.Cursor(""); ; {
		p, err := q.List(ctx, queue.Filter{}, cursor, 7)
		if err != nil {
			t.Fatalf("%s: list: %v", what, err)
		}
		for _, it := range p.Items {
			count[it.State]++
			octets[it.State] += it.Size()
			if it.Hold != nil {
				held++
			}
			seen := map[string]bool{}
			for _, r := range it.Envelope.Recipients {
				if r.Status == queue.Pending && !seen[r.NextHop] {
					seen[r.NextHop] = true
					hops[it.State.String()+" "+r.NextHop]++
				}
			}
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	s, err := q.Stats(ctx)
	if err != nil {
		t.Fatalf("%s: stats: %v", what, err)
	}
	for _, st := range s.States {
		if st.Messages != count[st.State] || st.Bytes != octets[st.State] {
			bad("stats of %v: %d messages, %d octets; listed %d, %d", st.State, st.Messages, st.Bytes, count[st.State], octets[st.State])
		}
	}
	if s.Held != held || s.Damaged != 0 {
		bad("stats: %d held, %d damaged; listed %d", s.Held, s.Damaged, held)
	}
	sh, err := q.Shape(ctx, queue.ShapeSpec{})
	if err != nil {
		t.Fatalf("%s: shape: %v", what, err)
	}
	for _, r := range sh.Rows {
		k := r.State.String() + " " + r.NextHop
		if r.NextHop != "" && r.Total != hops[k] {
			bad("shape of %s: %d, listed %d", k, r.Total, hops[k])
		}
		delete(hops, k)
	}
	for k, n := range hops {
		bad("%d of %s are not in the shape", n, k)
	}
	return wrong
}

// drain claims and finishes everything; then nothing may be left. A job that
// goes on after a restart may hold something meanwhile: then once more.
func drain(t testing.TB, q queue.Queue, what string) {
	t.Helper()
	for range 20 {
		drainOnce(t, q, what)
		if p, err := q.List(context.Background(), queue.Filter{}, "", 10); err == nil && len(p.Items) == 0 {
			break
		}
	}
	p, err := q.List(context.Background(), queue.Filter{}, "", 10)
	if err != nil || len(p.Items) > 0 {
		t.Errorf("%s: left in the end: %d items, first %+v; %v", what, len(p.Items), first(p.Items), err)
	}
	checkEmpty(t, q, what)
}

func drainOnce(t testing.TB, q queue.Queue, what string) {
	t.Helper()
	ctx := context.Background()
	finishAll(t, q, queue.Filter{}, queue.Action{Kind: queue.ActionRelease}, what)
	finishAll(t, q, queue.Filter{}, queue.Action{Kind: queue.ActionFlush}, what)
	for _, s := range []queue.ClaimSpec{{From: queue.Unfiltered, Stage: "scan"}, {From: queue.Incoming}, {From: queue.Deferred}} {
		s.Max, s.Lease = 100, time.Minute
		cs, err := q.Claim(ctx, s)
		if err != nil {
			t.Fatalf("%s: claim: %v", what, err)
		}
		for _, c := range cs {
			if _, err := q.Apply(ctx, queue.Txn{Token: c.Token, Ops: finishing(c.Item)}); err != nil {
				t.Fatalf("%s: finish %s: %v", what, c.Item.ID, err)
			}
		}
	}
}

func first(items []queue.Item) any {
	if len(items) == 0 {
		return nil
	}
	return items[0].ID + " " + queue.ID(items[0].State.String())
}

func checkEmpty(t testing.TB, q queue.Queue, what string) {
	t.Helper()
	sh, err := q.Shape(context.Background(), queue.ShapeSpec{})
	if err != nil || len(sh.Rows) > 0 {
		t.Errorf("%s: shape of an empty queue: %+v, %v", what, sh.Rows, err)
	}
}

// finishAll runs a bulk job to its end.
func finishAll(t testing.TB, q queue.Queue, f queue.Filter, a queue.Action, what string) {
	t.Helper()
	id, err := q.Bulk(context.Background(), f, a)
	if err != nil {
		t.Fatalf("%s: bulk: %v", what, err)
	}
	awaitJob(t, q, id, what)
}

func awaitJob(t testing.TB, q queue.Queue, id queue.JobID, what string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10000 {
		s, err := q.Job(context.Background(), id)
		if err != nil {
			t.Fatalf("%s: job: %v", what, err)
		}
		if !s.Finished.IsZero() {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s: job does not end", what)
}

// open opens an engine for tests of trouble: small tables, quick recovery.
func openQuick(t testing.TB, fs vfs.FS) (*engine.Engine, error) {
	t.Helper()
	log, err := locallog.Open("queue", locallog.Options{FS: fs, Ballast: -1, FreeFloor: -1, MemTableSize: 256 << 10, RetryInterval: time.Millisecond})
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	e, err := engine.Open(context.Background(), log, engine.Options{GatherDelay: -1})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return e, nil
}

// ready waits until the queue takes changes again.
func ready(t testing.TB, q queue.Queue, what string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10000 {
		if h := q.Health(context.Background()); h.Writable {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s: the queue does not come back", what)
}
