package qmgr

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mtad/internal/deliver"
	"mtad/internal/dsn"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// fragile is a queue whose calls can be made to fail.
type fragile struct {
	queue.Queue
	mu    sync.Mutex
	apply func(queue.Txn) (before, after error) // before: without effect
	claim func() error
	ext   func() error
}

func (f *fragile) Apply(ctx context.Context, x queue.Txn) ([]queue.Item, error) {
	f.mu.Lock()
	var before, after error
	if f.apply != nil {
		before, after = f.apply(x)
	}
	f.mu.Unlock()
	if before != nil {
		return nil, before
	}
	its, err := f.Queue.Apply(ctx, x)
	if err == nil && after != nil {
		return nil, after
	}
	return its, err
}

func (f *fragile) Claim(ctx context.Context, s queue.ClaimSpec) ([]queue.Claim, error) {
	if f.claim != nil {
		f.mu.Lock()
		err := f.claim()
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return f.Queue.Claim(ctx, s)
}

func (f *fragile) Extend(ctx context.Context, ts []queue.Token, d time.Duration) []error {
	if f.ext != nil {
		f.mu.Lock()
		err := f.ext()
		f.mu.Unlock()
		if err != nil {
			return slices.Repeat([]error{err}, len(ts))
		}
	}
	return f.Queue.Extend(ctx, ts, d)
}

func finishes(x queue.Txn) bool {
	return slices.ContainsFunc(x.Ops, func(o queue.Op) bool { _, ok := o.(queue.Finish); return ok })
}

// dsns counts the reports that were made.
func (s *stand) dsns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dsnIDs)
}

// TestCrashBetweenReportAndFinishMakesOneDSN ends the lease, as a crash does, at
// every step after the attempt: each change of the item in turn has no effect,
// or has it and the answer is lost.
func TestCrashBetweenReportAndFinishMakesOneDSN(t *testing.T) {
	for step := range 2 {
		for _, took := range []bool{false, true} {
			f := &fragile{}
			n := 0
			synctest.Test(t, func(t *testing.T) {
				f.Queue = queuetest.NewModel()
				f.apply = func(x queue.Txn) (error, error) {
					n++
					if n-1 != step {
						return nil, nil
					}
					if took {
						return nil, queue.ErrLeaseLost
					}
					_ = f.Queue.Release(context.Background(), x.Token, 0, true)
					return queue.ErrLeaseLost, nil
				}
				s := newStand(t, Options{Queue: f, Lease: time.Minute})
				s.answer = permanent
				s.start()
				id := s.put(nil, "b@example.net", "c@example.net")
				pass(10 * time.Minute)
				if !s.finished(id) || s.dsns() != 1 {
					t.Errorf("step %d, took effect %v: finished %v, %d DSNs", step, took, s.finished(id), s.dsns())
				}
				s.stop()
			})
		}
	}
}

// A repeated attempt with another result does not change what was reported.
func TestWhatWasReportedIsNotReportedAgainWithOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{Queue: queuetest.NewModel()}
		n := 0
		f.apply = func(x queue.Txn) (error, error) {
			if n++; n == 2 { // the change after the first report
				_ = f.Queue.Release(context.Background(), x.Token, 0, true)
				return queue.ErrLeaseLost, nil
			}
			return nil, nil
		}
		s := newStand(t, Options{Queue: f})
		tries := 0
		s.answer = func(ctx context.Context, path string) deliver.Result {
			if tries++; path[0] == 'c' && tries < 3 {
				return transient(ctx, path)
			}
			return permanent(ctx, path)
		}
		reported := map[string]int{}
		report := s.o.Report
		s.o.Report = func(ctx context.Context, it queue.Item, k dsn.Kind, is []int) error {
			key := k.String()
			for _, i := range is {
				key += " " + it.Envelope.Recipients[i].Path
			}
			reported[key]++
			return report(ctx, it, k, is)
		}
		s.start()
		id := s.put(nil, "b@example.net", "c@example.net")
		pass(time.Hour)
		s.stop()
		if !s.finished(id) || s.dsns() != 2 || reported["failed b@example.net"] != 2 || reported["failed c@example.net"] != 1 {
			t.Errorf("finished %v, reports %v, %d DSNs", s.finished(id), reported, s.dsns())
		}
	})
}

func TestAnItemIsNotFinishedBeforeItsReport(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, Options{})
		report := s.o.Report
		s.o.Report = func(ctx context.Context, it queue.Item, k dsn.Kind, is []int) error {
			if broken.Load() {
				if rand.IntN(2) == 0 {
					panic("boom")
				}
				return queue.ErrFull
			}
			return report(ctx, it, k, is)
		}
		s.answer = permanent
		s.start()
		id := s.put(nil, "b@example.net")
		pass(10 * time.Minute)
		it := s.only(id)
		if it.Outcome != nil || it.Envelope.Recipients[0].Status != queue.Failed || s.tried("b@example.net") != 1 {
			t.Errorf("item %+v after %d attempts", it, s.tried("b@example.net"))
		}
		broken.Store(false)
		pass(2 * time.Minute)
		if !s.finished(id) || s.dsns() != 1 {
			t.Errorf("finished %v, %d DSNs", s.finished(id), s.dsns())
		}
		s.stop()
	})
}

func TestAResultIsKeptUntilTheStoreTakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{Queue: queuetest.NewModel()}
		until := time.Now().Add(30 * time.Minute)
		trouble := func() error {
			if time.Now().Before(until) {
				return queue.ErrUnavailable
			}
			return nil
		}
		f.apply = func(queue.Txn) (error, error) { return trouble(), nil }
		s := newStand(t, Options{Queue: f})
		s.start()
		id := s.put(nil, "b@example.net")
		pass(29 * time.Minute)
		if s.finished(id) {
			t.Fatal("finished in a store that is down")
		}
		pass(2 * time.Minute)
		if !s.finished(id) || s.tried("b@example.net") != 1 {
			t.Errorf("finished %v after %d attempts", s.finished(id), s.tried("b@example.net"))
		}
		s.stop()
	})
}

func TestResultsThatTheQueueRefusesForGoodDoNotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{Queue: queuetest.NewModel()}
		f.apply = func(x queue.Txn) (error, error) {
			if finishes(x) {
				return queue.ErrInvalid, nil
			}
			return nil, nil
		}
		s := newStand(t, Options{Queue: f, MinBackoff: time.Minute})
		s.start()
		id := s.put(nil, "b@example.net")
		pass(10 * time.Minute)
		if it := s.only(id); it.State != queue.Deferred || s.tried("b@example.net") > 5 {
			t.Errorf("state %s, %d attempts", it.State, s.tried("b@example.net"))
		}
		s.stop()
	})
}

// Under random trouble of every kind nothing is lost, nothing stays claimed, and
// each failure is reported once.
func TestEveryClaimedItemEndsInAResultOrARelease(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) { trouble(t, seed) })
	}
}

func trouble(t *testing.T, seed uint64) {
	f := &fragile{Queue: queuetest.NewModel(queuetest.ModelOptions{MaxClaims: 1 << 20})}
	rnd := rand.New(rand.NewPCG(seed, 1))
	calm := false
	some := func(errs ...error) error {
		if calm || rnd.IntN(4) > 0 {
			return nil
		}
		return errs[rnd.IntN(len(errs))]
	}
	strange := errors.New("something nobody classified")
	f.apply = func(queue.Txn) (error, error) {
		return some(queue.ErrUnavailable, strange, queue.ErrFull), some(queue.ErrUncertain)
	}
	f.claim = func() error { return some(queue.ErrUnavailable, strange) }
	f.ext = func() error { return some(queue.ErrUnavailable) }
	s := newStand(t, Options{Queue: f, Concurrency: 6, ActiveLimit: 16, Lease: time.Minute, MinBackoff: time.Second, MaxBackoff: time.Minute, DeadMin: 5 * time.Second, DeadMax: time.Minute})
	s.answer = func(ctx context.Context, path string) deliver.Result {
		f.mu.Lock()
		n := rnd.IntN(6)
		f.mu.Unlock()
		switch {
		case strings.HasPrefix(path, "bad"):
			return permanent(ctx, path)
		case n == 0:
			panic("sometimes")
		case n == 1:
			return deliver.Result{Status: queue.Pending, Reply: refused}
		case n == 2:
			time.Sleep(2 * time.Minute)
		}
		return relayed(ctx, path)
	}
	s.start()
	var ids []queue.ID
	for i := range 60 {
		ids = append(ids, s.put(nil, "bad@"+string(rune('a'+i%5))+".example", "good@"+string(rune('a'+i%7))+".example"))
		pass(time.Second)
	}
	pass(5 * time.Minute)
	f.mu.Lock()
	calm = true
	f.mu.Unlock()
	pass(10 * time.Minute)
	for _, id := range ids {
		if !s.finished(id) {
			t.Errorf("seed %d: %s is not finished: %+v", seed, id, s.history(id))
		}
	}
	if n := s.dsns(); n != len(ids) {
		t.Errorf("seed %d: %d DSNs for %d failures", seed, n, len(ids))
	}
	s.stop()
	st, err := f.Stats(context.Background())
	if err != nil || slices.ContainsFunc(st.States, func(x queue.StateStats) bool { return x.Messages+x.Leased > 0 }) {
		t.Errorf("seed %d: left behind: %+v %v", seed, st, err)
	}
}
