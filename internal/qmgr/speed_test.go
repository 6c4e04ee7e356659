package qmgr

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"mtad/internal/deliver"
	"mtad/queue"
)

// endless is a queue that costs nothing: it hands out n items, for as many next
// hops as it is told, and takes whatever is done to them.
type endless struct {
	queue.Queue
	n, hops  int64
	finished atomic.Int64
	made     atomic.Int64
	done     chan struct{}
}

func (e *endless) Claim(ctx context.Context, s queue.ClaimSpec) ([]queue.Claim, error) {
	var cs []queue.Claim
	for i := int64(0); s.From == queue.Incoming && len(cs) < s.Max && i < 300; i++ {
		hop := "h" + strconv.FormatInt(i%e.hops, 10)
		if s.NotNextHops[hop] {
			continue
		}
		if e.made.Add(1) > e.n {
			break
		}
		cs = append(cs, queue.Claim{Token: queue.Token(hop), Item: queue.Item{
			ID: "0PMNQH2000G07", Created: time.Now(), Generations: []queue.Generation{{}},
			Envelope: queue.Envelope{ReversePath: "a@example.com", Recipients: []queue.Recipient{{Path: "b@" + hop, Transport: "smtp", NextHop: hop}}},
		}})
	}
	if len(cs) == 0 && s.Wait > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(s.Wait):
		}
	}
	return cs, nil
}

func (e *endless) Apply(context.Context, queue.Txn) ([]queue.Item, error) {
	if e.finished.Add(1) == e.n {
		close(e.done)
	}
	return nil, nil
}

func (e *endless) Extend(_ context.Context, ts []queue.Token, _ time.Duration) []error {
	return make([]error, len(ts))
}

func (e *endless) Release(context.Context, queue.Token, time.Duration, bool) error { return nil }

type instant struct{}

func (instant) Deliver(_ context.Context, j deliver.Job) []deliver.Result {
	return []deliver.Result{{Index: j.Recipients[0], Status: queue.Relayed, Reply: ok, Remote: "mx"}}
}

// BenchmarkManager is the manager's own cost for an item, with a queue and a
// transport that cost nothing.
func BenchmarkManager(b *testing.B) {
	for _, hops := range []int64{1, 100} {
		b.Run(strconv.FormatInt(hops, 10)+"-hops", func(b *testing.B) {
			b.ReportAllocs()
			e := &endless{n: int64(b.N), hops: hops, done: make(chan struct{})}
			m := New(Options{Queue: e, Transports: map[string]deliver.Transport{"smtp": instant{}}})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { _ = m.Run(ctx); close(ended) }()
			<-e.done
			cancel()
			<-ended
		})
	}
}
