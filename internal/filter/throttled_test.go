package filter

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/filterproto"
)

// A scanner that fails is asked by fewer at a time, and by all again when it is well.
func TestAFailingScannerIsAskedByFewerAtATime(t *testing.T) {
	const concurrency = 8
	var running, most, scans atomic.Int64
	broken := make(chan bool, 1)
	broken <- true
	scanner := KindFunc(func(context.Context, Message) (filterproto.Verdict, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		scans.Add(1)
		time.Sleep(time.Second)
		bad := <-broken
		broken <- bad
		if bad {
			return filterproto.Verdict{}, errors.New("connection refused")
		}
		return accept(), nil
	})
	o := oneFilter(Definition{Kind: "test", Scanner: scanner, Concurrency: concurrency, Breaker: BreakerSettings{Failures: 1000}})
	reg := prometheus.NewRegistry()
	o.Registry = reg
	drive(t, o, func(r *rig) {
		for range 200 {
			r.commit(plain)
		}
		round := func() int64 {
			most.Store(running.Load())
			time.Sleep(time.Second)
			return most.Load()
		}
		time.Sleep(500 * time.Millisecond) // in the midst of a round from here on
		if n := most.Load(); n != concurrency {
			t.Fatalf("%d scans at first, want %d", n, concurrency)
		}
		time.Sleep(time.Second)
		for _, want := range []int64{4, 2, 1, 1} {
			if n := running.Load(); n != want {
				t.Errorf("%d scans at a time, want %d", n, want)
			}
			time.Sleep(time.Second)
		}
		<-broken
		broken <- false
		for n, i := int64(0), 0; n < concurrency; i++ {
			if n = round(); i > 20 {
				t.Fatalf("%d scans at a time, %d rounds after the scanner recovered, want %d", n, i, concurrency)
			}
		}
		st, err := r.e.Status(t.Context())
		if err != nil || st[0].Limit != concurrency {
			t.Errorf("limit in the status: %+v, %v; want %d", st, err, concurrency)
		}
		if n := gathered(t, reg)["concurrency_limit f"]; n != concurrency {
			t.Errorf("limit in the metrics: %v, want %d", n, concurrency)
		}
	})
}
