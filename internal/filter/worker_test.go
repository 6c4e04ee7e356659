package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mtad/filterproto"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// drive runs an engine in a bubble until f returns.
func drive(t *testing.T, o Options, f func(r *rig)) {
	t.Helper()
	driveOver(t, o, func(q queue.Queue) queue.Queue { return q }, f)
}

// driveOver is drive over a queue that wrap changes.
func driveOver(t *testing.T, o Options, wrap func(queue.Queue) queue.Queue, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Now = time.Now
		o.Queue = wrap(queuetest.NewModel())
		r := newRig(t, o)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- r.e.Run(ctx) }()
		f(r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func answer(v filterproto.Verdict) Kind {
	return KindFunc(func(context.Context, Message) (filterproto.Verdict, error) { return v, nil })
}

func failing(class Class) Kind {
	return KindFunc(func(ctx context.Context, m Message) (filterproto.Verdict, error) {
		switch class {
		case Timeout:
			<-ctx.Done()
			return filterproto.Verdict{}, ctx.Err()
		case Crash:
			panic("kind is broken")
		case Protocol:
			return filterproto.Verdict{Disposition: "nonsense"}, nil
		case OverSize:
			return filterproto.Verdict{}, &Failure{Class: OverSize, Err: errors.New("552")}
		}
		return filterproto.Verdict{}, errors.New("connection refused")
	})
}

func TestADrivenFilterJudges(t *testing.T) {
	seen := make(chan string, 1)
	scanner := KindFunc(func(ctx context.Context, m Message) (filterproto.Verdict, error) {
		c, err := m.Open(ctx, false)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		seen <- string(b)
		w, uerr := m.Upload(ctx)
		if err = errors.Join(err, uerr); err != nil {
			return filterproto.Verdict{}, err
		}
		fmt.Fprint(w, "clean\r\n")
		blob, _, err := w.Seal(ctx)
		return accept(add("X-Scanned", m.Filter), filterproto.Edit{Op: filterproto.BodyReplace, Upload: UploadName(blob)}), err
	})
	drive(t, driven(Definition{Scanner: scanner}), func(r *rig) {
		id := r.commit(plain)
		synctest.Wait()
		if got := <-seen; got != plain {
			t.Errorf("the kind saw %q", got)
		}
		if got := r.content(id); !strings.HasSuffix(got, "X-Scanned: f\r\n\r\nclean\r\n") || r.get(id).State != queue.Incoming {
			t.Errorf("%s %q", r.get(id).State, got)
		}
		if _, err := r.e.Claim(context.Background(), ClaimRequest{Filter: "f"}); !errors.Is(err, ErrNoFilter) {
			t.Errorf("a driven filter was pulled: %v", err)
		}
	})
}

func TestFailureMatrixOfDrivenKinds(t *testing.T) {
	for _, class := range Classes {
		for _, action := range Actions {
			for staged := range 2 {
				t.Run(fmt.Sprintf("%s/%s/staged=%d", class, action, staged), func(t *testing.T) {
					d := Definition{Scanner: failing(class), Timeout: time.Second, Failure: map[Class]Action{class: action}}
					drive(t, driven(d), func(r *rig) {
						var items []queue.Item
						if staged == 1 {
							w := r.stage(plain)
							ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
							defer cancel()
							var err error
							if items, err = w.Wait(ctx); err != nil && want[action][1] != "unfiltered" {
								t.Fatal(err)
							}
							if err := w.Abort(); err != nil {
								t.Fatal(err)
							}
							if items == nil {
								return
							}
						} else {
							id := r.commit(plain)
							time.Sleep(1500 * time.Millisecond)
							synctest.Wait()
							items = r.outcome(id)
						}
						if got := describe(items); got != replyCode(want[action][staged], class) {
							t.Errorf("got %q, want %q", got, want[action][staged])
						}
					})
				})
			}
		}
	}
}

func TestAMessageThatBreaksItsFilterEachTimeBecomesPoison(t *testing.T) {
	d := Definition{Scanner: failing(Crash), RetryDelay: time.Second, Breaker: BreakerSettings{Failures: 100}}
	drive(t, driven(d), func(r *rig) {
		id := r.commit(plain)
		time.Sleep(time.Minute)
		if h := r.get(id).Hold; h == nil || h.Reason != "poison" {
			t.Errorf("hold %+v", h)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	var now, most atomic.Int32
	var gate chan struct{} // made in the bubble
	scanner := KindFunc(func(ctx context.Context, m Message) (filterproto.Verdict, error) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		<-gate
		return accept(), nil
	})
	drive(t, driven(Definition{Scanner: scanner, Concurrency: 3}), func(r *rig) {
		gate = make(chan struct{})
		for range 20 {
			r.commit(plain)
		}
		synctest.Wait()
		if n := now.Load(); n != 3 {
			t.Errorf("%d scans at once, want 3", n)
		}
		stats, err := r.q.Stats(context.Background())
		if err != nil || stats.States[0].Leased != 3 {
			t.Errorf("%d leased, %v", stats.States[0].Leased, err)
		}
		close(gate)
		synctest.Wait()
		if n, err := r.q.Count(context.Background(), queue.Filter{States: []queue.State{queue.Incoming}}); err != nil || n.Messages != 20 {
			t.Errorf("%d judged, %v", n.Messages, err)
		}
		if most.Load() > 3 {
			t.Errorf("%d scans at once", most.Load())
		}
	})
}

func TestTheBreakerSparesADeadFilterAndNoticesItsReturn(t *testing.T) {
	var calls atomic.Int32
	var up atomic.Bool
	scanner := KindFunc(func(ctx context.Context, m Message) (filterproto.Verdict, error) {
		calls.Add(1)
		if up.Load() {
			return accept(), nil
		}
		return filterproto.Verdict{}, errors.New("connection refused")
	})
	d := Definition{Scanner: scanner, RetryDelay: time.Millisecond, Breaker: BreakerSettings{Failures: 3, Open: 10 * time.Second, MaxOpen: 10 * time.Second}, Concurrency: 1}
	drive(t, driven(d), func(r *rig) {
		for range 50 {
			r.commit(plain)
		}
		time.Sleep(35 * time.Second)
		if n := calls.Load(); n < 4 || n > 7 {
			t.Errorf("%d calls of a dead filter in 35 s, want 3 and one each 10 s", n)
		}
		if st, _ := r.e.Status(context.Background()); st[0].Breaker != "open" || st[0].Failures["unreachable"] == 0 {
			t.Errorf("status %+v", st[0])
		}
		up.Store(true)
		time.Sleep(15 * time.Second)
		if n, err := r.q.Count(context.Background(), queue.Filter{States: []queue.State{queue.Incoming}}); err != nil || n.Messages != 50 {
			t.Errorf("%d judged after its return, %v", n.Messages, err)
		}
	})
}

func TestALongScanKeepsItsLease(t *testing.T) {
	scanner := KindFunc(func(ctx context.Context, m Message) (filterproto.Verdict, error) {
		time.Sleep(10 * time.Minute)
		return accept(), nil
	})
	drive(t, driven(Definition{Scanner: scanner, Timeout: time.Hour}), func(r *rig) {
		id := r.commit(plain)
		time.Sleep(11 * time.Minute)
		if it := r.get(id); it.State != queue.Incoming || it.LostClaims != 0 {
			t.Errorf("%s, %d claims lost", it.State, it.LostClaims)
		}
	})
}

func TestStoppingGivesBackWhatIsUnderWay(t *testing.T) {
	scanner := KindFunc(func(ctx context.Context, m Message) (filterproto.Verdict, error) {
		<-ctx.Done()
		return filterproto.Verdict{}, ctx.Err()
	})
	var r2 *rig
	var id queue.ID
	o := driven(Definition{Scanner: scanner, Failure: map[Class]Action{Unreachable: Reject, Timeout: Reject}})
	synctest.Test(t, func(t *testing.T) {
		o.Now, o.Queue = time.Now, queuetest.NewModel()
		r2 = newRig(t, o)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- r2.e.Run(ctx) }()
		id = r2.commit(plain)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if it := r2.get(id); it.State != queue.Unfiltered || it.Lease != nil || it.LostClaims != 0 {
			t.Errorf("%s, lease %v, %d lost", it.State, it.Lease, it.LostClaims)
		}
	})
}

func TestAVerdictOfADrivenFilterFitsTheSameWay(t *testing.T) {
	drive(t, driven(Definition{Scanner: answer(verdict(filterproto.Reject))}), func(r *rig) {
		w := r.stage(plain)
		items, err := w.Wait(context.Background())
		if err != nil || describe(items) != "rejected 550 reject" {
			t.Errorf("%s, %v", describe(items), err)
		}
	})
}

// A store that takes claims but no changes must not make a scanner work in vain
// again and again.
func TestAQueueThatCannotWriteIsNotHammered(t *testing.T) {
	var calls atomic.Int32
	scanner := KindFunc(func(context.Context, Message) (filterproto.Verdict, error) {
		calls.Add(1)
		return accept(), nil
	})
	o := driven(Definition{Scanner: scanner, Failure: map[Class]Action{Unreachable: Reject, Protocol: Reject}})
	driveOver(t, o, func(q queue.Queue) queue.Queue { return readOnly{q} }, func(r *rig) {
		id := r.commit(plain)
		time.Sleep(10 * time.Second)
		if n := calls.Load(); n < 5 || n > 12 {
			t.Errorf("%d scans in 10 s, want one each second", n)
		}
		if it := r.get(id); it.State != queue.Unfiltered {
			t.Errorf("%s", it.State)
		}
	})
}

type readOnly struct{ queue.Queue }

func (readOnly) Apply(context.Context, queue.Txn) ([]queue.Item, error) { return nil, queue.ErrFull }
