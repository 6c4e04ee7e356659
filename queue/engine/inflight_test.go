package engine_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gatedLog lets a batch with a sync wait at the gate while there is one.
type gatedLog struct {
	*locallog.Log
	gate    atomic.Pointer[chan struct{}]
	entered chan struct{}
	late    atomic.Bool // the gate is behind the change, before its sync is told
}

func (l *gatedLog) Apply(b engine.Batch, sync bool) (err error) {
	late := l.late.Load()
	if late {
		err = l.Log.Apply(b, sync)
	}
	if g := l.gate.Load(); g != nil && sync {
		l.entered <- struct{}{}
		<-*g
	}
	if late {
		return err
	}
	return l.Log.Apply(b, sync)
}

// shut makes the next batch wait; the returned function opens the gate for good.
func (l *gatedLog) shut() (open func()) {
	g := make(chan struct{})
	l.gate.Store(&g)
	return func() { l.gate.Store(nil); close(g) }
}

// handClock is a clock that tests set.
type handClock struct{ ahead atomic.Int64 }

func (c *handClock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *handClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func openGated(t *testing.T) (*engine.Engine, *gatedLog, *handClock) {
	t.Helper()
	l := &gatedLog{entered: make(chan struct{}, 1024)}
	var err error
	if l.Log, err = locallog.Open("queue", locallog.Options{FS: vfs.NewMem(), Ballast: -1, FreeFloor: -1}); err != nil {
		t.Fatal(err)
	}
	clock := &handClock{}
	q, err := engine.Open(context.Background(), l, engine.Options{GatherDelay: -1, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q, l, clock
}

// commitOne commits a message of the given kind and returns its ID.
func commitOne(t *testing.T, q queue.Queue, o queue.CreateOptions) queue.ID {
	t.Helper()
	w, err := q.Create(t.Context(), queue.Envelope{Recipients: []queue.Recipient{{Path: "a@example.net", Transport: "smtp", NextHop: "example.net"}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

// spin waits until a condition of another goroutine holds.
func spin(holds func() bool) {
	for !holds() {
		runtime.Gosched()
	}
}

// A watch from now on that begins while a batch is being synced hears of it: its
// events were not to be seen before.
func TestWatchFromNowOnHearsOfTheBatchOnItsWay(t *testing.T) {
	q, l, _ := openGated(t)
	commitOne(t, q, queue.CreateOptions{}) // the stream is not empty
	q.Rest()
	open := l.shut()
	first := make(chan queue.ID)
	go func() { first <- commitOne(t, q, queue.CreateOptions{}) }()
	<-l.entered
	s, err := q.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	open()
	want := <-first
	commitOne(t, q, queue.CreateOptions{})
	ev, err := s.Next(t.Context())
	if err != nil || ev.ID != want || ev.Kind != queue.EventAccepted {
		t.Errorf("first event: %+v, %v; want %s accepted", ev, err, want)
	}
}

// A hold with an end that is committed while the holds that have ended are looked
// for ends in its time, too.
func TestHoldCommittedWhileOthersEndIsNotForgotten(t *testing.T) {
	q, l, clock := openGated(t)
	now := clock.now()
	early := commitOne(t, q, queue.CreateOptions{Hold: &queue.Hold{By: "operator:x", Reason: "look", Until: now.Add(time.Minute)}})
	late := commitOne(t, q, queue.CreateOptions{})
	other := commitOne(t, q, queue.CreateOptions{})
	q.Rest()

	open := l.shut()
	done := make(chan error, 2)
	change := func(id queue.ID, op queue.Op) {
		_, err := q.Apply(t.Context(), queue.Txn{ID: id, By: "operator:x", Ops: []queue.Op{op}})
		done <- err
	}
	go change(other, queue.SetPriority{Priority: 1})
	<-l.entered
	// The batch after this one has both: the look for ended holds, and the hold.
	clock.advance(2 * time.Minute)
	q.Tick()
	spin(func() bool { return q.InLine() >= 2 }) // the sweeps are the other
	go change(late, queue.SetHold{Hold: queue.Hold{By: "operator:x", Reason: "later", Until: now.Add(10 * time.Minute)}})
	spin(func() bool { return q.InLine() >= 3 })
	open()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	q.Rest()
	held(t, q, early, false)
	held(t, q, late, true)
	clock.advance(10 * time.Minute)
	q.Tick()
	q.Rest()
	held(t, q, late, false)
}

func held(t *testing.T, q queue.Queue, id queue.ID, want bool) {
	t.Helper()
	it, err := q.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got := it.Hold != nil; got != want {
		t.Errorf("%s held: %v, want %v", id, got, want)
	}
}

// A repetition that is answered has to find the first message on stable storage:
// its client takes the answer for the message's acceptance.
func TestARepetitionIsNotAnsweredBeforeTheFirstIsSynced(t *testing.T) {
	q, l, _ := openGated(t)
	l.late.Store(true)
	open := l.shut()
	first := make(chan queue.ID, 1)
	go func() { first <- commitOne(t, q, queue.CreateOptions{DedupeKey: "key"}) }()
	<-l.entered
	answered := make(chan error, 1)
	go func() {
		_, err := q.Create(t.Context(), queue.Envelope{Recipients: []queue.Recipient{{Path: "a@example.net"}}}, queue.CreateOptions{DedupeKey: "key", EarlyDuplicate: true})
		answered <- err
	}()
	for range 10_000 { // long enough to catch most of those that do not wait
		if len(answered) > 0 {
			t.Error("answered before the sync")
			break
		}
		runtime.Gosched()
	}
	open()
	var dup *queue.DuplicateError
	if err, id := <-answered, <-first; !errors.As(err, &dup) || dup.ID != id {
		t.Errorf("%v, want %s", err, id)
	}
}
