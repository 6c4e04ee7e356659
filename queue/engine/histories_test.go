package engine_test

import (
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/queuetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Random operation lists, with power cuts among them, beside the model.
func TestRandomHistories(t *testing.T) {
	seed := uint64(0)
	queuetest.RunHistories(t, func(t *testing.T) *queuetest.Subject {
		fs := vfs.NewCrashableMem()
		clock := queuetest.NewClock()
		q := openOn(t, fs, engine.Options{Now: clock.Now})
		return &queuetest.Subject{
			Queue: q,
			Now:   clock.Now,
			Advance: func(d time.Duration) {
				clock.Advance(d)
				q.Settle()
			},
			Crash: func() queue.Queue {
				seed++
				next := crashed(fs, seed)
				_ = q.Close()
				fs = next
				q = openOn(t, fs, engine.Options{Now: clock.Now})
				return q
			},
		}
	})
}
