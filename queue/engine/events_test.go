package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/queuetest"
)

// now is a context for what must not wait: what is there is returned, and
// otherwise its error.
func now() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func watching(t *testing.T, q *engine.Engine, at queue.Cursor) queue.EventStream {
	t.Helper()
	s, err := q.Watch(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// nextIs reads one event, of a kind and with a text.
func nextIs(t *testing.T, s queue.EventStream, kind queue.EventKind, text string) queue.Event {
	t.Helper()
	ev, err := s.Next(now())
	if err != nil || ev.Kind != kind || ev.Text != text {
		t.Fatalf("%s %q, %v; want %s %q", ev.Kind, ev.Text, err, kind, text)
	}
	return ev
}

func nothingMore(t *testing.T, s queue.EventStream) {
	t.Helper()
	if ev, err := s.Next(now()); !errors.Is(err, context.Canceled) {
		t.Fatalf("%s %q, %v; want nothing yet", ev.Kind, ev.Text, err)
	}
}

// What is answered before it is on stable storage may be undone by a power cut: no
// reader of events hears of it before, whatever its stream began with.
func TestNoEventIsToldBeforeItIsSynced(t *testing.T) {
	clock := queuetest.NewClock()
	q := openOn(t, vfs.NewCrashableMem(), engine.Options{Now: clock.Now, SyncDelay: time.Hour})
	defer q.Close()
	w := newWorld()
	if err := w.send(q, 10, queue.CreateOptions{}, "a.example"); err != nil {
		t.Fatal(err)
	}
	cs, err := w.claim(q, queue.ClaimSpec{From: queue.Incoming})
	if err != nil || len(cs) != 1 {
		t.Fatal(cs, err)
	}
	fresh, old := watching(t, q, ""), watching(t, q, queue.Since(time.Time{}))
	begun := nextIs(t, old, queue.EventAccepted, "")
	again := watching(t, q, begun.Cursor)
	note := queue.Txn{Token: cs[0].Token, Ops: []queue.Op{queue.Note{Kind: queue.EventChanged, Text: "lazy"}}}
	if _, err := q.Apply(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	late := watching(t, q, queue.Since(time.Time{}))
	nextIs(t, late, queue.EventAccepted, "")
	for _, s := range []queue.EventStream{fresh, old, again, late} {
		nothingMore(t, s)
	}
	if err := w.send(q, 10, queue.CreateOptions{}, "b.example"); err != nil { // synced, and with it what was before
		t.Fatal(err)
	}
	for _, s := range []queue.EventStream{fresh, old, again, late} {
		nextIs(t, s, queue.EventChanged, "lazy")
		nextIs(t, s, queue.EventAccepted, "")
		nothingMore(t, s)
	}
}

// Who has read all there was goes on after a sweep; who missed something is told.
func TestAReaderThatASweepOvertookIsTold(t *testing.T) {
	clock := queuetest.NewClock()
	q := openOn(t, vfs.NewCrashableMem(), engine.Options{Now: clock.Now, Events: time.Minute})
	defer q.Close()
	w := newWorld()
	send := func() {
		t.Helper()
		if err := w.send(q, 10, queue.CreateOptions{}, "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	send()
	slow, quick := watching(t, q, queue.Since(time.Time{})), watching(t, q, queue.Since(time.Time{}))
	behind := nextIs(t, slow, queue.EventAccepted, "").Cursor
	send()
	nextIs(t, quick, queue.EventAccepted, "")
	whole := nextIs(t, quick, queue.EventAccepted, "").Cursor
	clock.Advance(2 * time.Minute)
	q.Settle()
	if _, err := slow.Next(now()); !errors.Is(err, queue.ErrExpired) {
		t.Errorf("a stream that was overtaken: %v", err)
	}
	if _, err := q.Watch(t.Context(), behind); !errors.Is(err, queue.ErrExpired) {
		t.Errorf("a cursor that was overtaken: %v", err)
	}
	nothingMore(t, quick)
	after := watching(t, q, whole)
	send()
	clock.Advance(30 * time.Second) // this one is kept
	q.Settle()
	for _, s := range []queue.EventStream{quick, after, watching(t, q, whole), watching(t, q, queue.Since(time.Time{}))} {
		nextIs(t, s, queue.EventAccepted, "")
		nothingMore(t, s)
	}
	if _, err := q.Watch(t.Context(), behind); !errors.Is(err, queue.ErrExpired) {
		t.Errorf("later: %v", err)
	}
}

// Releases and the end of their holds meet: an item whose release was answered is
// there, and one that ended says so to who would release it.
func TestWhatWasReleasedDoesNotEnd(t *testing.T) {
	const n = 600
	clock := queuetest.NewClock()
	q := openOn(t, vfs.NewCrashableMem(), engine.Options{Now: clock.Now})
	defer q.Close()
	until := clock.Now().Add(time.Minute)
	ends := map[queue.ID]queue.HoldEnd{}
	holding(t, q, n, func(i int64) *queue.Hold {
		return &queue.Hold{By: "filter:f", Until: until, Then: queue.HoldEnd(1 + i%2)}
	}, ends)
	var ids []queue.ID
	for id := range ends {
		ids = append(ids, id)
	}
	errs := make([]error, n)
	parallel(64, n, func(i int64) {
		i--
		switch {
		case i == n/3:
			clock.Advance(2 * time.Minute)
			q.Tick()
		case i%2 == 1:
			hold := queue.SetHold{Hold: queue.Hold{By: "operator", Until: until.Add(time.Hour), Then: queue.HoldDelete}}
			_, errs[i] = q.Apply(context.Background(), queue.Txn{ID: ids[i], Ops: []queue.Op{hold}})
		default:
			_, errs[i] = q.Apply(context.Background(), queue.Txn{ID: ids[i], Ops: []queue.Op{queue.ReleaseHold{}}})
		}
	})
	q.Settle()
	q.Settle()
	for i, id := range ids {
		it, err := q.Get(t.Context(), id)
		deleted := errors.Is(err, queue.ErrNotFound)
		held := i%2 == 1
		switch {
		case err != nil && !deleted:
			t.Fatal(err)
		case i == n/3: // nobody touched it
			if deleted != (ends[id] == queue.HoldDelete) || !deleted && it.Hold != nil {
				t.Errorf("%s did not end: %v", id, err)
			}
		case errs[i] == nil && (deleted || (it.Hold != nil) != held):
			t.Errorf("%s: answered, and then %v, hold %+v", id, err, it.Hold)
		case errs[i] != nil && (!errors.Is(errs[i], queue.ErrNotFound) || !deleted):
			t.Errorf("%s: %v, and %v", id, errs[i], err)
		}
	}
}
