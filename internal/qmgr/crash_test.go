package qmgr

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mtad/internal/deliver"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// TestACrashAtAnyChangeLosesNothingAndRepeatsNoDSN cuts the power at the first,
// second, third … change that the manager makes, before it or after it, with
// some or all of the changes that were not synced undone; until a run gets
// through. After the restart each message ends, and each failure made one DSN.
func TestACrashAtAnyChangeLosesNothingAndRepeatsNoDSN(t *testing.T) {
	for at := 1; ; at++ {
		crashed := false
		for _, after := range []bool{false, true} {
			for undo := range 3 {
				synctest.Test(t, func(t *testing.T) { crashed = crash(t, at, after, undo) || crashed })
			}
		}
		if !crashed {
			return
		}
		if at > 200 {
			t.Fatal("no run gets through")
		}
	}
}

func crash(t *testing.T, at int, after bool, undo int) (crashed bool) {
	model := queuetest.NewModel(queuetest.ModelOptions{KeepLazy: true})
	f := &fragile{Queue: model}
	cut, n := make(chan struct{}), 0
	f.apply = func(x queue.Txn) (error, error) {
		if x.By == "qmgr" {
			n++
		}
		switch {
		case n < at || n == at && after:
			return nil, nil
		case n == at || n == at+1 && after:
			close(cut)
		}
		return queue.ErrUnavailable, nil
	}
	s := newStand(t, Options{Queue: f, Concurrency: 1, MinBackoff: time.Minute, DrainTimeout: time.Second})
	s.answer = mixed
	ids := []queue.ID{
		s.put(nil, "bad@a.example", "bad2@a.example"), s.put(nil, "good@a.example", "bad@b.example"),
		s.put(nil, "late@a.example", "bad@a.example"), s.put(nil, "good@b.example"),
	}
	s.apply(s.put(func(_ *queue.Envelope, o *queue.CreateOptions) { o.NextAt = time.Now().Add(time.Hour) }, "x@c.example"),
		queue.FailPending{Reply: "550 5.7.1 no"})
	s.start()
	select {
	case <-cut:
		crashed = true
	case <-time.After(time.Minute):
	}
	lost := min(undo, model.Lazy())
	if undo == 2 {
		lost = model.Lazy()
	}
	rest := model.Crash(lost)
	s.stop()

	s2 := newStand(t, Options{Queue: rest, MinBackoff: time.Minute})
	s2.dsnIDs, s2.answer = s.dsnIDs, deliveredLater
	s2.start()
	pass(5 * time.Minute)
	for _, id := range ids {
		if !s2.finished(id) {
			t.Errorf("crash at %d, after %v, %d undone: %s is not finished: %+v", at, after, lost, id, s2.history(id))
		}
	}
	// One for each part with failures: bad+bad2@a, bad@b, bad@a beside late, x@c.
	if s2.dsns() != 4 {
		t.Errorf("crash at %d, after %v, %d undone: %d DSNs, want 4", at, after, lost, s2.dsns())
	}
	s2.stop()
	return crashed
}

// TestAnyCallMayFailOnce lets the first, second, third … call of each method
// fail, without or with effect, until a run gets through.
func TestAnyCallMayFailOnce(t *testing.T) {
	for _, op := range []string{"Claim", "Apply", "Extend", "Open", "Content.Read", "Create", "Writer.Write", "Writer.Commit"} {
		for _, fail := range []func(string, int) queuetest.Plan{
			func(op string, n int) queuetest.Plan { return queuetest.Fail(op, n, queue.ErrUnavailable) },
			queuetest.Uncertain,
		} {
			for n, more := 1, true; more && n < 30; n++ {
				synctest.Test(t, func(t *testing.T) { more = failing(t, op, n, fail(op, n)) })
			}
		}
	}
}

// failing reports whether the run came to the call that fails.
func failing(t *testing.T, op string, n int, plan queuetest.Plan) bool {
	model := queuetest.NewModel()
	f := queuetest.Faulty(model, plan)
	s := newStand(t, Options{Queue: f, MinBackoff: time.Minute, Lease: time.Minute})
	s.answer = func(ctx context.Context, path string) deliver.Result {
		time.Sleep(30 * time.Second) // leases are renewed
		if s.tried(path) > 1 {
			return deliveredLater(ctx, path)
		}
		return mixed(ctx, path)
	}
	s.q = model
	ids := []queue.ID{s.put(nil, "bad@a.example", "bad2@a.example"), s.put(nil, "late@b.example")}
	s.q = f
	s.start()
	pass(20 * time.Minute)
	s.stop()
	for _, id := range ids {
		if !s.finished(id) {
			t.Errorf("%s fails at call %d: %s is not finished: %+v", op, n, id, s.history(id))
		}
	}
	if s.dsns() != 1 {
		t.Errorf("%s fails at call %d: %d DSNs, want 1", op, n, s.dsns())
	}
	return f.Calls(op) >= n
}

func mixed(ctx context.Context, path string) deliver.Result {
	switch path[0] {
	case 'b', 'x':
		return permanent(ctx, path)
	case 'l':
		return transient(ctx, path)
	}
	return relayed(ctx, path)
}

func deliveredLater(ctx context.Context, path string) deliver.Result {
	if path[0] == 'l' {
		return relayed(ctx, path)
	}
	return mixed(ctx, path)
}
