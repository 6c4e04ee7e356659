package engine_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

var body10k = bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRST 12345\r\n"), 160)

// benchEngine opens an engine on the real file system and reports the syncs per
// operation.
func benchEngine(b *testing.B) *engine.Engine {
	b.Helper()
	log, err := locallog.Open(b.TempDir(), locallog.Options{Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	var syncs, batches atomic.Int64
	e, err := engine.Open(b.Context(), log, engine.Options{Observe: func(s engine.BatchStats) {
		batches.Add(1)
		if s.Synced {
			syncs.Add(1)
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		b.ReportMetric(float64(syncs.Load())/float64(b.N), "syncs/op")
		b.ReportMetric(float64(batches.Load())/float64(b.N), "batches/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return e
}

func create(b testing.TB, e *engine.Engine, n int64, o queue.CreateOptions, body []byte) {
	env := queue.Envelope{
		ReversePath: "author@example.org",
		Recipients:  []queue.Recipient{{Path: fmt.Sprintf("user%d@example.net", n%1000), Transport: "smtp", NextHop: fmt.Sprintf("hop%d.example.net", n%100)}},
		Client:      queue.Client{Protocol: "ESMTP", Helo: "client.example.org", Address: "192.0.2.1"},
	}
	w, err := e.Create(b.Context(), env, o)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		_, err = w.Commit(b.Context())
	}
	if err != nil {
		b.Error(err)
	}
}

// parallel runs f n times from some goroutines.
func parallel(workers int, n int64, f func(i int64)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range workers {
		wg.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				f(i)
			}
		})
	}
	wg.Wait()
}

func BenchmarkCreate1(b *testing.B) { benchmarkCreate(b, 1) }

func BenchmarkCreate50(b *testing.B) { benchmarkCreate(b, 50) }

func benchmarkCreate(b *testing.B, clients int) {
	e := benchEngine(b)
	b.ReportAllocs()
	b.ResetTimer()
	parallel(clients, int64(b.N), func(i int64) { create(b, e, i, queue.CreateOptions{}, body10k) })
	b.StopTimer()
}

// BenchmarkLifecycle50 is create, claim, verdict, claim, finish: 50 clients, 4
// filters and 4 queue managers at once.
func BenchmarkLifecycle50(b *testing.B) {
	e := benchEngine(b)
	b.ReportAllocs()
	b.ResetTimer()
	var judged, done atomic.Int64
	var wg sync.WaitGroup
	work := func(s queue.ClaimSpec, count *atomic.Int64, ops func(c queue.Claim) []queue.Op) {
		for count.Load() < int64(b.N) {
			cs, err := e.Claim(b.Context(), s)
			if err != nil {
				b.Error(err)
				return
			}
			var sub sync.WaitGroup
			for _, c := range cs {
				sub.Go(func() {
					if _, err := e.Apply(b.Context(), queue.Txn{Token: c.Token, Ops: ops(c)}); err != nil {
						b.Error(err)
					}
					count.Add(1)
				})
			}
			sub.Wait()
		}
	}
	for range 4 {
		wg.Go(func() {
			work(queue.ClaimSpec{From: queue.Unfiltered, Stage: "scan", Max: 30, Lease: time.Minute, Wait: 50 * time.Millisecond}, &judged,
				func(queue.Claim) []queue.Op {
					return []queue.Op{queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}}, queue.Move{To: queue.Incoming}}
				})
		})
		wg.Go(func() {
			work(queue.ClaimSpec{From: queue.Incoming, Max: 30, Lease: time.Minute, Wait: 50 * time.Millisecond}, &done,
				func(queue.Claim) []queue.Op {
					return []queue.Op{queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Status: queue.Relayed, Attempted: true, Reply: "250 2.0.0 ok"}}}, queue.Finish{}}
				})
		})
	}
	parallel(50, int64(b.N), func(i int64) { create(b, e, i, queue.CreateOptions{Stage: "scan", Chain: "in"}, body10k) })
	wg.Wait()
	b.StopTimer()
}

// BenchmarkCreateWith1MDeferred is BenchmarkCreate50 beside a million deferred
// messages; it also measures what opening them takes.
func BenchmarkCreateWith1MDeferred(b *testing.B) {
	if testing.Short() {
		b.Skip("loads a million messages")
	}
	e := benchEngine(b)
	at := time.Now().Add(time.Hour)
	parallel(200, 1_000_000, func(i int64) {
		create(b, e, i, queue.CreateOptions{NextAt: at.Add(time.Duration(i) * time.Millisecond)}, []byte("small\r\n"))
	})
	b.ResetTimer()
	parallel(50, int64(b.N), func(i int64) { create(b, e, i, queue.CreateOptions{}, body10k) })
	b.StopTimer()
}
