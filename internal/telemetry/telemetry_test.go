package telemetry

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestLevelChangesWhileInUse(t *testing.T) {
	var b bytes.Buffer
	l, err := NewLog(&b, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	l.Info("one")
	if err := l.SetLevel("debug"); err != nil {
		t.Fatal(err)
	}
	l.Debug("two")
	if got := b.String(); strings.Contains(got, "one") || !strings.Contains(got, `"msg":"two"`) {
		t.Errorf("got %q", got)
	}
	if l.SetLevel("loud") == nil {
		t.Error("level loud was accepted")
	}
	if _, err := NewLog(&b, "xml", "info"); err == nil {
		t.Error("format xml was accepted")
	}
}

func TestTwoDaemonsHaveRegistriesOfTheirOwn(t *testing.T) {
	for range 2 {
		r := NewRegistry("v")
		s, l := NewStore(r), NewLife(r)
		s.Synced(3, time.Millisecond)
		l.Reloaded(true)
		l.Unsafe([]string{"a", "b"})
		l.Unsafe([]string{"a"})
		if n := count(t, r, "mtad_unsafe_setting"); n != 1 {
			t.Errorf("%d unsafe settings are shown, want 1", n)
		}
		if n := count(t, r, "mtad_store_sync_seconds"); n != 1 {
			t.Errorf("no sync latency")
		}
	}
}

func count(t *testing.T, r *prometheus.Registry, name string) int {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return len(f.Metric)
		}
	}
	return 0
}
