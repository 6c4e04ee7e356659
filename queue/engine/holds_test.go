package engine_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/queuetest"
)

// More holds run out at once than end in one batch, and the power fails while they
// do: each ends as it says, once, and what was deleted leaves nothing.
func TestManyHoldsEndAcrossACrash(t *testing.T) {
	const n = 1700
	fs, clock := vfs.NewCrashableMem(), queuetest.NewClock()
	q := openOn(t, fs, engine.Options{Now: clock.Now})
	until := clock.Now().Add(time.Minute)
	ends := map[queue.ID]queue.HoldEnd{}
	holding(t, q, n, func(i int64) *queue.Hold {
		return &queue.Hold{By: "filter:f", Reason: "spam", Until: until, Then: queue.HoldEnd(i % 3)}
	}, ends)
	s, err := q.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(2 * time.Minute)
	if _, err := s.Next(t.Context()); err != nil { // the first of them ended
		t.Fatal(err)
	}
	_ = s.Close()
	next := crashed(fs, 1)
	_ = q.Close()
	q = openOn(t, next, engine.Options{Now: clock.Now})
	defer q.Close()
	q.Settle()
	left, want := map[queue.HoldEnd]int{}, map[queue.HoldEnd]int{}
	for id, then := range ends {
		if then != queue.HoldDelete {
			want[then]++
		}
		it, err := q.Get(t.Context(), id)
		if err != nil {
			continue
		}
		left[then]++
		if failed := it.Envelope.Recipients[0].Status == queue.Failed; it.Hold != nil || failed != (then == queue.HoldBounce) || it.State != queue.Incoming {
			t.Errorf("%s, then %s: %s, hold %+v, recipient %s", id, then, it.State, it.Hold, it.Envelope.Recipients[0].Status)
		}
	}
	if !maps.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
}

// holding makes n held messages and notes what is to become of each.
func holding(t *testing.T, q *engine.Engine, n int64, hold func(int64) *queue.Hold, ends map[queue.ID]queue.HoldEnd) {
	t.Helper()
	made := make(chan queue.Item, n)
	parallel(32, n, func(i int64) {
		h := hold(i)
		env := queue.Envelope{Recipients: []queue.Recipient{{Path: fmt.Sprintf("user%d@example.net", i), Transport: "smtp", NextHop: "example.net"}}}
		w, err := q.Create(context.Background(), env, queue.CreateOptions{Hold: h})
		if err == nil {
			_, err = w.Write([]byte("body\r\n"))
		}
		var it queue.Item
		if err == nil {
			it, err = w.Commit(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
		made <- it
	})
	close(made)
	for it := range made {
		ends[it.ID] = it.Hold.Then
	}
}
