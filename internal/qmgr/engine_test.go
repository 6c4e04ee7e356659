package qmgr

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"mtad/internal/deliver"
	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

func openEngine(tb testing.TB) queue.Queue {
	tb.Helper()
	log, err := locallog.Open(tb.TempDir(), locallog.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	e, err := engine.Open(context.Background(), log, engine.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

// fill accepts n messages to one of so many next hops, 50 at a time.
func fill(tb testing.TB, q queue.Queue, n, hops int) {
	var wg sync.WaitGroup
	for k := range 50 {
		wg.Go(func() {
			for i := k; i < n; i += 50 {
				if err := accept(q, fmt.Sprintf("h%d.example", i%hops)); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func accept(q queue.Queue, hop string) error {
	w, err := q.Create(context.Background(), queue.Envelope{
		ReversePath: "a@example.com", Recipients: []queue.Recipient{{Path: "b@" + hop, Transport: "smtp", NextHop: hop}},
	}, queue.CreateOptions{})
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(w, "Subject: test\r\n\r\nBody.\r\n"); err == nil {
		_, err = w.Commit(context.Background())
	}
	return err
}

// waitFor counts deliveries.
type waitFor struct {
	instant
	left sync.WaitGroup
}

func (w *waitFor) Deliver(ctx context.Context, j deliver.Job) []deliver.Result {
	defer w.left.Done()
	return w.instant.Deliver(ctx, j)
}

// BenchmarkManagerOverEngine takes mail that is there already through the real
// queue, with a transport that costs nothing.
func BenchmarkManagerOverEngine(b *testing.B) {
	for _, hops := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d-hops", hops), func(b *testing.B) {
			q := openEngine(b)
			fill(b, q, b.N, hops)
			w := &waitFor{}
			w.left.Add(b.N)
			m := New(Options{Queue: q, Transports: map[string]deliver.Transport{"smtp": w}})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			b.ResetTimer()
			go func() { _ = m.Run(ctx); close(ended) }()
			w.left.Wait()
			cancel()
			<-ended
			b.StopTimer()
			st, err := q.Stats(context.Background())
			if err != nil || st.States[1].Messages+st.States[2].Messages+st.States[3].Messages > 0 {
				b.Errorf("left behind: %+v %v", st, err)
			}
		})
	}
}

func TestManagerEmptiesTheRealQueue(t *testing.T) {
	q := openEngine(t)
	const n = 300
	fill(t, q, n, 7)
	w := &waitFor{}
	w.left.Add(n)
	m := New(Options{Queue: q, Transports: map[string]deliver.Transport{"smtp": w}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = m.Run(ctx); close(ended) }()
	w.left.Wait()
	cancel()
	<-ended
	st, err := q.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range st.States {
		if s.Messages != 0 || s.Leased != 0 {
			t.Errorf("%s: %d left, %d leased", s.State, s.Messages, s.Leased)
		}
	}
}
