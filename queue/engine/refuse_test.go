package engine_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
	"mtad/queue/queuetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func logOn(t *testing.T, fs vfs.FS, o locallog.Options) *locallog.Log {
	t.Helper()
	o.FS, o.Ballast, o.FreeFloor = fs, -1, -1
	log, err := locallog.Open("queue", o)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestOpenRefusesALogThatDoesNotSync(t *testing.T) {
	log := logOn(t, vfs.NewMem(), locallog.Options{NoSync: true})
	var unsafe *engine.UnsafeLogError
	if _, err := engine.Open(t.Context(), log, engine.Options{}); !errors.As(err, &unsafe) {
		t.Fatalf("got %v, want an UnsafeLogError", err)
	}
	q, err := engine.Open(t.Context(), log, engine.Options{Unsafe: engine.Unsafe{NoSync: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if u := q.Health(t.Context()).Unsafe; !slices.Contains(u, "no_sync") {
		t.Errorf("unsafe settings shown: %q", u)
	}
}

func TestOpenRefusesAClockBeforeTheNewestRecord(t *testing.T) {
	fs := vfs.NewMem()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	q, err := engine.Open(t.Context(), logOn(t, fs, locallog.Options{}), engine.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	if err := errors.Join(w.send(q, 10, queue.CreateOptions{}, "a.example"), q.Close()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-4 * time.Second) // within the tolerance
	log := logOn(t, fs, locallog.Options{})
	if q, err = engine.Open(t.Context(), log, engine.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Minute)
	log = logOn(t, fs, locallog.Options{})
	var behind *engine.ClockError
	if _, err = engine.Open(t.Context(), log, engine.Options{Now: clock}); !errors.As(err, &behind) {
		t.Fatalf("got %v, want a ClockError", err)
	}
	q, err = engine.Open(t.Context(), log, engine.Options{Now: clock, Unsafe: engine.Unsafe{ClockBehind: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if u := q.Health(t.Context()).Unsafe; !slices.Contains(u, "clock_behind") {
		t.Errorf("unsafe settings shown: %q", u)
	}
	var newest queue.ID
	for id := range w.bodies {
		newest = max(newest, id)
	}
	m, err := q.Create(t.Context(), queue.Envelope{Recipients: []queue.Recipient{{Path: "b@example.net"}}}, queue.CreateOptions{})
	if err != nil || m.ID() <= newest {
		t.Errorf("next ID %v after %v, %v", m.ID(), newest, err)
	}
	_ = m.Abort()
}

func TestHighWaterMarksRefuseMailButNoReports(t *testing.T) {
	q := openOn(t, vfs.NewMem(), engine.Options{MaxUnfiltered: 2})
	defer q.Close()
	w := newWorld()
	for range 2 {
		if err := w.send(q, 10, queue.CreateOptions{Stage: "scan"}, "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.send(q, 10, queue.CreateOptions{Stage: "scan"}, "a.example"); !errors.Is(err, queue.ErrFull) || !errors.Is(err, queue.ErrHighWater) {
		t.Errorf("one past the mark: %v", err)
	}
	if h := q.Health(t.Context()); h.Ready || !h.Writable || h.Reason != "queue_full" {
		t.Errorf("health %+v", h)
	}
	if err := w.send(q, 10, queue.CreateOptions{Origin: queue.OriginDSN}, "a.example"); err != nil {
		t.Errorf("a report: %v", err)
	}
	if err := w.judge(q); err != nil {
		t.Fatal(err)
	}
	if err := w.send(q, 10, queue.CreateOptions{Stage: "scan"}, "a.example"); err != nil {
		t.Errorf("below the mark again: %v", err)
	}
}

// What is held waits for somebody, and not for its filters: it closes no door,
// however much and old it is. Released, it counts again.
func TestHighWaterMarksLeaveOutWhatIsHeld(t *testing.T) {
	for name, o := range map[string]engine.Options{
		"messages": {MaxUnfiltered: 3}, "octets": {MaxUnfilteredBytes: 25}, "age": {MaxUnfilteredAge: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			clock, fs := queuetest.NewClock(), vfs.NewMem()
			o.Now = clock.Now
			q := openOn(t, fs, o)
			w := newWorld()
			send := func(h *queue.Hold) error {
				return w.send(q, 10, queue.CreateOptions{Stage: "scan", Hold: h}, "a.example")
			}
			var errs []error
			for range 5 {
				errs = append(errs, send(&queue.Hold{By: "filter:scan"}))
			}
			clock.Advance(2 * time.Hour)
			errs = append(errs, send(nil), send(nil), q.Close())
			q = openOn(t, fs, o)
			defer q.Close()
			errs = append(errs, send(&queue.Hold{By: "filter:scan"}))
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			page, err := q.List(t.Context(), queue.Filter{}, "", 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.Apply(t.Context(), queue.Txn{ID: page.Items[0].ID, Ops: []queue.Op{queue.ReleaseHold{}}}); err != nil {
				t.Fatal(err)
			}
			if err := send(nil); !errors.Is(err, queue.ErrHighWater) {
				t.Errorf("with an old one released: %v", err)
			}
		})
	}
}

func TestActiveIsBounded(t *testing.T) {
	q := openOn(t, vfs.NewMem(), engine.Options{ActiveLimit: 3})
	defer q.Close()
	w := newWorld()
	for range 5 {
		if err := w.send(q, 10, queue.CreateOptions{}, "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	s := queue.ClaimSpec{From: queue.Incoming, Max: 10, Lease: time.Minute}
	cs, err := q.Claim(t.Context(), s)
	if err != nil || len(cs) != 3 {
		t.Fatalf("%d claims, %v, want 3", len(cs), err)
	}
	done := make(chan int)
	s.Wait = time.Minute
	go func() {
		more, _ := q.Claim(t.Context(), s)
		done <- len(more)
	}()
	if _, err := q.Apply(t.Context(), queue.Txn{Token: cs[0].Token, Ops: finishing(cs[0].Item)}); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n != 1 {
		t.Errorf("%d claims when one was finished, want 1", n)
	}
}
