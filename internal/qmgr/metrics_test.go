package qmgr

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/deliver"
	"mtad/queue"
)

// values are the counters and gauges of a registry, as name{label} -> value;
// histograms count.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetValue() + "}"
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestMetricsCountResultsAndTrouble(t *testing.T) {
	reg := prometheus.NewRegistry()
	in(t, Options{Registry: reg, DeadAfter: 1, DeadMin: time.Hour}, func(s *stand) {
		s.answer = func(ctx context.Context, path string) deliver.Result {
			switch path[0] {
			case 'g':
				return relayed(ctx, path)
			case 'b':
				return permanent(ctx, path)
			}
			return deliver.Result{Status: queue.Pending, Reply: refused}
		}
		s.put(nil, "good@a.example", "bad@a.example")
		s.put(nil, "later@b.example")
		pass(time.Minute)
		got := values(t, reg)
		for name, want := range map[string]float64{
			"mtad_deliveries_total{relayed}": 2, "mtad_deliveries_total{failed}": 1, "mtad_deliveries_total{transient}": 1,
			"mtad_delivery_latency_seconds": 2, "mtad_destinations{dead}": 1, "mtad_active_items": 0,
		} {
			if got[name] != want {
				t.Errorf("%s: got %v, want %v", name, got[name], want)
			}
		}
	})
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func TestEveryDecisionIsLoggedWithTheQueueID(t *testing.T) {
	var out safeBuffer
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, Options{MinBackoff: time.Minute})
		s.o.Logger = slog.New(slog.NewTextHandler(&out, nil))
		s.answer = func(ctx context.Context, path string) deliver.Result {
			switch path[0] {
			case 'g':
				return relayed(ctx, path)
			case 'b':
				return permanent(ctx, path)
			}
			return transient(ctx, path)
		}
		s.start()
		good, bad, later := s.put(nil, "good@a.example"), s.put(nil, "bad@a.example"), s.put(nil, "later@a.example")
		pass(10 * time.Second)
		s.stop()
		for id, msg := range map[queue.ID]string{good: "finished", bad: "bounced", later: "deferred"} {
			if want := fmt.Sprintf("msg=%s queue_id=%s ", msg, id); !strings.Contains(out.b.String(), want) {
				t.Errorf("no line with %q in\n%s", want, out.b.String())
			}
		}
	})
}
