package engine_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// backlog commits n messages to one host.
func backlog(t *testing.T, q queue.Queue, n int, host string, o queue.CreateOptions) {
	t.Helper()
	w := newWorld()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range n / 20 {
				if err := w.send(q, 10, o, host); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Thousands to one next hop do not fit its window: they are found in the index,
// each once, the oldest first, also after a restart; and another next hop's
// message is in the very next claim.
func TestBacklogBeyondTheWindowIsClaimedInOrderAndFairly(t *testing.T) {
	const n = 1000
	fs := vfs.NewMem()
	q := openOn(t, fs, engine.Options{})
	backlog(t, q, n, "big.example", queue.CreateOptions{})
	backlog(t, q, 20, "small.example", queue.CreateOptions{})
	for _, restart := range []bool{false, true} {
		if restart {
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = openOn(t, fs, engine.Options{})
		}
		cs, err := q.Claim(t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: 4, Lease: time.Minute, Wait: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		hops := map[string]int{}
		for _, c := range cs {
			hops[c.Item.Envelope.Recipients[0].NextHop]++
		}
		if hops["small.example"] != 2 || hops["big.example"] != 2 {
			t.Errorf("restart %v: claimed %v, want two of each", restart, hops)
		}
		for _, c := range cs {
			if err := q.Release(t.Context(), c.Token, 0, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[queue.ID]bool{}
	last := queue.ID("")
	for len(seen) < n {
		cs, err := q.Claim(t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: 70, Lease: time.Minute, NotNextHops: map[string]bool{"small.example": true}})
		if err != nil || len(cs) == 0 {
			t.Fatalf("%d of %d claimed, then %d, %v", len(seen), n, len(cs), err)
		}
		for _, c := range cs {
			if seen[c.Item.ID] || c.Item.ID < last {
				t.Fatalf("%s after %s, seen %v", c.Item.ID, last, seen[c.Item.ID])
			}
			seen[c.Item.ID], last = true, c.Item.ID
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestHigherPriorityGoesFirstBeyondTheWindow(t *testing.T) {
	q := openOn(t, vfs.NewMem(), engine.Options{})
	defer q.Close()
	backlog(t, q, 400, "big.example", queue.CreateOptions{})
	backlog(t, q, 20, "big.example", queue.CreateOptions{Priority: 5})
	backlog(t, q, 20, "other.example", queue.CreateOptions{Priority: -5})
	want := []int8{5, 0, -5}
	for _, n := range []int{20, 400, 20} {
		cs, err := q.Claim(t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: n, Lease: time.Minute})
		if err != nil || len(cs) != n {
			t.Fatalf("%d claims, %v, want %d", len(cs), err, n)
		}
		for _, c := range cs {
			if c.Item.Priority != want[0] {
				t.Fatalf("priority %d, want %d", c.Item.Priority, want[0])
			}
		}
		want = want[1:]
	}
}

// Deferred items become claimable by the clock alone, all of them.
func TestDeferredBecomeDueByTheClock(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	q := openOn(t, vfs.NewMem(), engine.Options{Now: clock})
	defer q.Close()
	backlog(t, q, 1000, "a.example", queue.CreateOptions{NextAt: clock().Add(time.Hour)})
	s := queue.ClaimSpec{From: queue.Incoming, Max: 1000, Lease: time.Minute}
	if cs, err := q.Claim(t.Context(), s); err != nil || len(cs) != 0 {
		t.Fatalf("%d claims before it is time, %v", len(cs), err)
	}
	now.Add(int64(time.Hour))
	q.Settle()
	if cs, err := q.Claim(t.Context(), s); err != nil || len(cs) != 1000 {
		t.Errorf("%d claims when it is time, %v", len(cs), err)
	}
}

// Fifty clients share their syncs; one alone has each of its own.
func TestCommitsShareSyncs(t *testing.T) {
	for clients, most := range map[int]float64{1: 1.05, 50: 0.2} {
		var syncs atomic.Int64
		q := openOn(t, slowSyncs{vfs.NewMem()}, engine.Options{Observe: func(s engine.BatchStats) {
			if s.Synced {
				syncs.Add(1)
			}
		}})
		const n = 1000
		parallel(clients, n, func(i int64) { create(t, q, i, queue.CreateOptions{}, []byte("x")) })
		if got := float64(syncs.Load()) / n; got > most {
			t.Errorf("%d clients: %.2f syncs per message, want at most %.2f", clients, got, most)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// slowSyncs gives other goroutines a turn in every sync, as a disk does.
type slowSyncs struct{ vfs.FS }

func (s slowSyncs) Create(n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(n, c)
	return slowFile{f}, err
}

func (s slowSyncs) Unwrap() vfs.FS { return nil }

type slowFile struct{ vfs.File }

func (f slowFile) Sync() error     { waitABit(); return f.File.Sync() }
func (f slowFile) SyncData() error { waitABit(); return f.File.SyncData() }

func waitABit() {
	t := time.NewTimer(200 * time.Microsecond)
	<-t.C
}

// A message of 50 MB passes through little memory, and comes out as it went in.
func TestLargeMessageIsStreamed(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 50 MB")
	}
	q := openOn(t, vfs.NewMem(), engine.Options{})
	defer q.Close()
	w := newWorld()
	if err := w.send(q, 50<<20, queue.CreateOptions{}, "a.example"); err != nil {
		t.Fatal(err)
	}
	w.check(t, q, "50 MB")
}
