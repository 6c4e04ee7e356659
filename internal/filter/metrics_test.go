package filter

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/filterproto"
	"mtad/queue"
)

// gathered returns one sample by name and labels, "" when there is none.
func gathered(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(f.GetName(), "mtad_filter_")
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			switch {
			case m.GetGauge() != nil:
				out[key] = m.GetGauge().GetValue()
			case m.GetCounter() != nil:
				out[key] = m.GetCounter().GetValue()
			case m.GetHistogram() != nil:
				out[key] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return out
}

func TestMetricsAndLogTellWhatHappens(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	o := oneFilter(Definition{MaxSize: 1000, Failure: map[Class]Action{OverSize: Reject}})
	o.Registry, o.Logger = reg, slog.New(slog.NewTextHandler(&log, nil))
	r := newRig(t, o)
	r.commit(plain)
	judged := r.claim("f")
	r.judge("f", judged.Token, filterproto.Verdict{Disposition: filterproto.Accept, Score: 1.5})
	waiting := r.commit(plain)
	large := r.commit(strings.Repeat("x", 1001))
	r.claim("f") // leases one, refuses the other
	r.clock.Advance(10 * time.Second)
	// A new engine over the same registry goes on counting.
	o.Queue, o.Now = r.q, r.clock.Now
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	r.e.sweep(context.Background())
	got := gathered(t, reg)
	for key, want := range map[string]float64{
		"depth f": 1, "leased f": 1, "oldest_seconds f": 10, "claims_total f": 2, "verdicts_total accept f": 1,
		"failures_total reject over-size f": 1, "verdict_seconds f": 1, "breaker_state f": 0,
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	for _, line := range []string{
		"msg=verdict queue_id=" + string(judged.Item.ID) + " filter=f disposition=accept",
		`msg="filter failed" queue_id=` + string(large) + " filter=f class=over-size action=reject",
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no line %q in\n%s", line, log.String())
		}
	}
	if it := r.get(waiting); it.State != queue.Unfiltered {
		t.Errorf("%s", it.State)
	}
}
