package engine_test

import (
	"context"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
)

// A hundred messages of 50 MB at once, on the real file system: the process
// stays below 512 MB. It writes 5 GB, and so is asked for by name only.
func TestHundredLargeMessagesAtOnceStayBelowTheirMemory(t *testing.T) {
	if os.Getenv("MTAD_LARGE") == "" {
		t.Skip("writes gigabytes: set MTAD_LARGE")
	}
	log, err := locallog.Open(t.TempDir(), locallog.Options{Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	q, err := engine.Open(context.Background(), log, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	debug.FreeOSMemory()
	stop := make(chan struct{})
	peak := make(chan int)
	go func() {
		most := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
				most = max(most, rss())
			}
		}
	}()
	before := rss()
	octets := int64(50 << 20)
	if os.Getenv("MTAD_LARGE") == "small" {
		octets = 5 << 20
	}
	parallel(100, 100, func(int64) {
		w, err := q.Create(t.Context(), queue.Envelope{Recipients: []queue.Recipient{{Path: "b@example.net"}}}, queue.CreateOptions{})
		for n := int64(0); err == nil && n < octets; n += int64(len(body10k)) {
			_, err = w.Write(body10k)
		}
		if err == nil {
			_, err = w.Commit(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
	})
	close(stop)
	most := <-peak
	t.Logf("%d MB before, %d MB at the peak", before, most)
	if most > 512 {
		t.Errorf("%d MB at the peak", most)
	}
}
