package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// brokenFS fails every sync while it is set.
type brokenFS struct{ set atomic.Bool }

func (b *brokenFS) String() string { return "broken" }

func (b *brokenFS) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		if b.set.Load() {
			return syscall.EIO
		}
	}
	return nil
}

// fickleLog loses its store right before the batch that it is asked for: after
// the engine has seen that all is well.
type fickleLog struct {
	*locallog.Log
	fs      *brokenFS
	armed   atomic.Bool
	recover bool // the store is open again, empty-handed, before the batch is made
}

func (l *fickleLog) NewBatch() engine.Batch {
	if l.armed.Swap(false) {
		old := l.Epoch()
		l.fs.set.Store(true)
		_ = l.Sync() // fails, and the store with it
		if l.recover {
			l.fs.set.Store(false)
			_, _ = l.Wait(context.Background(), old)
		}
	}
	return l.Log.NewBatch()
}

func openFickle(t *testing.T, recovers bool) (*engine.Engine, *fickleLog) {
	t.Helper()
	l := newFickle(t)
	l.recover = recovers
	q, err := engine.Open(context.Background(), l, engine.Options{GatherDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q, l
}

func newFickle(t *testing.T) *fickleLog {
	t.Helper()
	fs := &brokenFS{}
	log, err := locallog.Open("queue", locallog.Options{FS: errorfs.Wrap(vfs.NewCrashableMem(), fs), Ballast: -1, FreeFloor: -1, RetryInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &fickleLog{Log: log, fs: fs}
}

// lose fails the store and returns when it is open again.
func (l *fickleLog) lose(t *testing.T) {
	t.Helper()
	old := l.Epoch()
	l.fs.set.Store(true)
	_ = l.Sync() // fails, and the store with it
	l.fs.set.Store(false)
	if _, err := l.Log.Wait(t.Context(), old); err != nil {
		t.Fatal(err)
	}
}

// The store can be lost between the engine's look at it and the batch: then
// nothing is answered positively, and nothing answered before is lost.
func TestNothingIsAnsweredOnTheStrengthOfALogThatWasLost(t *testing.T) {
	for name, recovers := range map[string]bool{"and stays away": false, "and is back at once": true} {
		t.Run("accept/"+name, func(t *testing.T) {
			w := newWorld()
			q, l := openFickle(t, recovers)
			fickle(t, q, l, w, func() error { return w.send(q, 100, queue.CreateOptions{Stage: "scan"}, "a.example") })
		})
		t.Run("accept in chunks/"+name, func(t *testing.T) {
			w := newWorld()
			q, l := openFickle(t, recovers)
			fickle(t, q, l, w, func() error { return w.send(q, 700<<10, queue.CreateOptions{}, "a.example", "b.example") })
		})
		t.Run("verdict/"+name, func(t *testing.T) {
			w := newWorld()
			q, l := openFickle(t, recovers)
			if err := w.send(q, 100, queue.CreateOptions{Stage: "scan"}, "a.example"); err != nil {
				t.Fatal(err)
			}
			fickle(t, q, l, w, func() error { return w.judge(q) })
		})
		t.Run("delivery/"+name, func(t *testing.T) {
			w := newWorld()
			q, l := openFickle(t, recovers)
			if err := w.send(q, 100, queue.CreateOptions{}, "a.example"); err != nil {
				t.Fatal(err)
			}
			fickle(t, q, l, w, func() error { return w.deliver(q, true) })
		})
	}
}

// fickle makes one call while the log gets lost, and compares what was answered
// with what is there when it is back. Housekeeping may be what finds the log
// lost: then the call is one of the recovered queue, or refused.
func fickle(t *testing.T, q *engine.Engine, l *fickleLog, w *world, call func() error) {
	t.Helper()
	q.Rest()
	l.armed.Store(true)
	err := call()
	if l.armed.Load() {
		t.Fatal("no batch was made")
	}
	if err != nil && !errors.Is(err, queue.ErrUnavailable) && !errors.Is(err, queue.ErrUncertain) {
		t.Errorf("got %v, want a transient answer", err)
	}
	l.fs.set.Store(false)
	ready(t, q, "after the loss")
	w.check(t, q, "after the loss")
}

// An upload that no verdict named is gone when the store was opened anew. So is
// the lease it was made under: a verdict that names it is not carried out, and the
// message is offered again, unharmed. Other leases go on.
func TestAnUploadDoesNotOutliveItsLog(t *testing.T) {
	q, l := openFickle(t, true)
	w := newWorld()
	for range 2 {
		if err := w.send(q, 100, queue.CreateOptions{Stage: "scan"}, "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	with, without := w.mustClaim(t, q), w.mustClaim(t, q)
	up, err := q.Upload(t.Context(), with.Token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write(make([]byte, 700<<10)); err != nil {
		t.Fatal(err)
	}
	blob, size, err := up.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.lose(t)
	ready(t, q, "after the loss")

	verdict := func(c queue.Claim, p queue.Piece) error {
		_, err := q.Apply(t.Context(), queue.Txn{Token: c.Token, Nonce: "n", Ops: []queue.Op{
			queue.SetContent{By: "scan", Pieces: []queue.Piece{p}}, queue.Move{To: queue.Incoming}}})
		return err
	}
	if err := verdict(with, queue.Piece{Blob: blob, Length: size}); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("a verdict that names a lost upload: %v, want %v", err, queue.ErrLeaseLost)
	}
	if err := verdict(without, queue.Piece{FromCurrent: true, Length: -1}); err != nil {
		t.Errorf("a verdict under another lease: %v", err)
	}
	if again := w.mustClaim(t, q); again.Item.ID != with.Item.ID || len(again.Item.Generations) != 1 {
		t.Errorf("offered %+v, want %s as it was", again.Item, with.Item.ID)
	}
	w.check(t, q, "after the loss")
}

func (w *world) mustClaim(t *testing.T, q queue.Queue) queue.Claim {
	t.Helper()
	cs, err := w.claim(q, queue.ClaimSpec{From: queue.Unfiltered, Stage: "scan"})
	if err != nil || len(cs) != 1 {
		t.Fatalf("%d claims, %v; want one", len(cs), err)
	}
	return cs[0]
}

// lateLog is open again before its engine hears of it.
type lateLog struct {
	*fickleLog
	tell chan struct{}
}

func (l *lateLog) Wait(ctx context.Context, old uint64) (uint64, error) {
	epoch, err := l.fickleLog.Wait(ctx, old)
	if err == nil {
		select {
		case <-l.tell:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return epoch, err
}

// Content that is written between the log's return and the engine's look at it
// is not taken for what a lost message left behind: it is refused, or it is kept.
func TestContentWrittenBeforeTheEngineHasLookedIsNotDropped(t *testing.T) {
	l := &lateLog{newFickle(t), make(chan struct{})}
	q, err := engine.Open(context.Background(), l, engine.Options{GatherDelay: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	m, err := q.Create(t.Context(), queue.Envelope{Recipients: []queue.Recipient{{Path: "u@a.example", Transport: "smtp", NextHop: "a.example"}}}, queue.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.lose(t)
	w, body := newWorld(), make([]byte, 700<<10)
	w.bodies[m.ID()] = body
	_, err = m.Write(body)
	close(l.tell)
	ready(t, q, "after the loss")
	if err == nil {
		_, err = m.Commit(t.Context())
	}
	switch {
	case err == nil:
		w.acked[m.ID()] = true
	case !errors.Is(err, queue.ErrUnavailable):
		t.Errorf("got %v, want a transient answer", err)
	}
	w.check(t, q, "after the loss")
}
