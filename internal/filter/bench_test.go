package filter

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"mtad/filterproto"
	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

// BenchmarkVerdict is accept, claim in batches of 30, and judge, on the real engine
// over memory: what a verdict costs besides the disk.
func BenchmarkVerdict(b *testing.B) {
	for name, v := range map[string]filterproto.Verdict{"accept": accept(), "header": accept(add("X-Scanned", "yes"))} {
		b.Run(name, func(b *testing.B) { benchmarkVerdict(b, v) })
	}
}

func benchmarkVerdict(b *testing.B, v filterproto.Verdict) {
	log, err := locallog.Open("queue", locallog.Options{FS: vfs.NewMem(), Ballast: -1, FreeFloor: -1})
	if err != nil {
		b.Fatal(err)
	}
	q, err := engine.Open(context.Background(), log, engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	o := oneFilter(Definition{})
	o.Queue = q
	e, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	content := []byte("From: a@example.org\r\nSubject: one\r\n\r\n" + strings.Repeat("body\r\n", 1700))
	fill(b, q, e, content, b.N)
	b.ResetTimer()
	for done := 0; done < b.N; {
		claims, err := e.Claim(ctx, ClaimRequest{Filter: "f", Max: 30, Lease: time.Minute, Wait: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, c := range claims {
			wg.Go(func() {
				if _, err := e.Judge(ctx, "f", c.Token, "", v); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		done += len(claims)
	}
}

func fill(b *testing.B, q queue.Queue, e *Engine, content []byte, n int) {
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for k := i; k < n; k += 50 {
				w, err := q.Create(context.Background(), envelope("b@example.net"), queue.CreateOptions{Chain: "c", Stage: e.First("c")})
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = w.Write(content)
				if _, err := w.Commit(context.Background()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
