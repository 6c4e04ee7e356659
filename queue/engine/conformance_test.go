package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
	"mtad/queue/queuetest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// openOn opens an engine over a store on fs.
func openOn(t testing.TB, fs vfs.FS, o engine.Options) *engine.Engine {
	t.Helper()
	log, err := locallog.Open("queue", locallog.Options{FS: fs, Ballast: -1, FreeFloor: -1, MemTableSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), log, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// crashed is what a power cut leaves of fs: all that was synced, and some of the
// rest.
func crashed(fs *vfs.MemFS, seed uint64) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, seed))})
}

func TestConformance(t *testing.T) {
	queuetest.RunSubject(t, func(t *testing.T) *queuetest.Subject {
		fs := vfs.NewCrashableMem()
		clock := queuetest.NewClock()
		q := openOn(t, fs, engine.Options{Now: clock.Now})
		seed := uint64(0)
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
