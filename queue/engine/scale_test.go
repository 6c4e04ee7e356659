package engine_test

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

// rss is the resident memory of this process in MB.
func rss() int {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n >> 10
		}
	}
	return 0
}

// BenchmarkBacklog opens, lists, counts and claims beside a backlog of as many
// deferred messages as MTAD_BACKLOG says (20000 if unset), to 1000 next hops.
func BenchmarkBacklog(b *testing.B) {
	n, _ := strconv.ParseInt(os.Getenv("MTAD_BACKLOG"), 10, 64)
	if n == 0 {
		n = 20000
	}
	dir := b.TempDir()
	open := func() *engine.Engine {
		log, err := locallog.Open(dir, locallog.Options{Ballast: -1})
		if err != nil {
			b.Fatal(err)
		}
		e, err := engine.Open(context.Background(), log, engine.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	e := open()
	at := time.Now().Add(time.Hour)
	start := time.Now()
	parallel(256, n, func(i int64) {
		create(b, e, i, queue.CreateOptions{NextAt: at.Add(time.Duration(i) * time.Millisecond)}, []byte("small\r\n"))
	})
	b.Logf("loaded %d in %v, %d MB", n, time.Since(start), rss())
	for b.Loop() {
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		step := time.Now()
		lap := func(what string) {
			b.Logf("%-22s %v", what, time.Since(step))
			step = time.Now()
		}
		e = open()
		lap("open")
		create(b, e, 1, queue.CreateOptions{}, body10k)
		lap("first accept")
		cs, err := e.Claim(context.Background(), queue.ClaimSpec{From: queue.Incoming, Max: 10, Lease: time.Minute, Wait: 10 * time.Second})
		if err != nil || len(cs) != 1 {
			b.Fatalf("%d claims, %v", len(cs), err)
		}
		lap("first claim")
		sh, err := e.Shape(context.Background(), queue.ShapeSpec{})
		if err != nil || len(sh.Rows) < 100 {
			b.Fatalf("%d rows, %v", len(sh.Rows), err)
		}
		lap("shape")
		for _, f := range []queue.Filter{{NextHop: "hop7.example.net"}, {Recipient: "user999@example.net"}, {States: []queue.State{queue.Active}}, {Sender: "*nobody*"}} {
			if _, err := e.List(context.Background(), f, "", 100); err != nil {
				b.Fatal(err)
			}
			lap("list " + f.String())
		}
		parallel(50, 30000, func(i int64) { create(b, e, i, queue.CreateOptions{Stage: "x"}, body10k) })
		b.Logf("accepts %v each beside it", time.Since(step)/30000)
		b.Logf("%d MB", rss())
	}
	b.ReportMetric(float64(rss()), "MB")
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
