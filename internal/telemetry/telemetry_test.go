package telemetry

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
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
	l.Flush()
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

func TestAWarningIsWrittenAtOnceWithWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l, err := NewLog(&b, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		l.Info("one")
		if b.Len() != 0 {
			t.Errorf("written at once: %q", b.String())
		}
		l.With("a", "b").Warn("two")
		if got := b.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "msg=two a=b") {
			t.Errorf("got %q", got)
		}
		l.Info("three")
		time.Sleep(2 * delay) // of the bubble's clock
		synctest.Wait()
		if got := b.String(); !strings.Contains(got, "msg=three") {
			t.Errorf("after the delay: %q", got)
		}
	})
}

func TestLinesStayWholeWhenTheBufferIsFull(t *testing.T) {
	var b bytes.Buffer
	w := newWriter(&b)
	line := strings.Repeat("x", 1000) + "\n"
	for range 200 {
		_, _ = w.Write([]byte(line))
	}
	_, _ = w.Write([]byte(strings.Repeat("y", bufferSize+1)))
	w.Flush()
	if got, want := b.String(), strings.Repeat(line, 200)+strings.Repeat("y", bufferSize+1); got != want {
		t.Errorf("%d octets came out, want %d in order", len(got), len(want))
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
