package filter

import (
	"context"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

func quarantined(seconds int64, then string) filterproto.Verdict {
	return filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Reason: "odd", Seconds: seconds, Then: then}}
}

func TestQuarantineLastsAsVerdictOrConfigurationSays(t *testing.T) {
	month := Retention{Keep: 30 * 24 * time.Hour, Then: queue.HoldDelete}
	for _, c := range []struct {
		name  string
		kept  Retention
		v     filterproto.Verdict
		until time.Duration // 0: never
		then  queue.HoldEnd
	}{
		{"nobody says", Retention{}, quarantined(0, ""), 0, queue.HoldRelease},
		{"the configuration", month, quarantined(0, ""), month.Keep, queue.HoldDelete},
		{"the verdict's time is a release", month, quarantined(60, ""), time.Minute, queue.HoldRelease},
		{"the verdict", month, quarantined(60, filterproto.ThenBounce), time.Minute, queue.HoldBounce},
		{"the configuration's time, the verdict's end", month, quarantined(0, filterproto.ThenRelease), month.Keep, queue.HoldRelease},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{Retention: c.kept}))
			id := r.commit(plain)
			r.judge("f", r.claim("f").Token, c.v)
			h := r.get(id).Hold
			if h == nil || h.Quarantine() != "f" || h.Reason != "odd" || h.Then != c.then {
				t.Fatalf("hold %+v", h)
			}
			if c.until == 0 && !h.Until.IsZero() || c.until != 0 && !h.Until.Equal(r.clock.Now().Add(c.until)) {
				t.Errorf("until %v", h.Until)
			}
		})
	}
}

func TestCarriedQuarantineKeepsItsEnd(t *testing.T) {
	o := twoFilters()
	o.Filters = map[string]Definition{"f": {Retention: Retention{Keep: time.Hour, Then: queue.HoldBounce}}, "g": {}}
	r := newRig(t, o)
	w := r.stage(plain)
	r.judge("f", r.claim("f").Token, quarantined(0, ""))
	r.judge("g", r.claim("g").Token, accept())
	items, err := w.Wait(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if h := items[0].Hold; h == nil || h.Then != queue.HoldBounce || h.Until.IsZero() {
		t.Errorf("hold %+v", h)
	}
}

// A filter that failed holds a message once: released, it is scanned again, and
// when that fails too it waits for its filter.
func TestReleasedMessageIsNotHeldForTheSameFailureAgain(t *testing.T) {
	for class, fail := range provoke {
		for _, staged := range []bool{false, true} {
			if class == OverSize {
				continue // never scanned: below
			}
			t.Run(string(class), func(t *testing.T) {
				r := newRig(t, oneFilter(Definition{Failure: map[Class]Action{class: Quarantine}, MaxClaims: 2}))
				id := r.hold(staged, fail)
				fail(r)
				if it := r.get(id); it.State != queue.Unfiltered || it.Hold.Quarantine() != "" {
					t.Fatalf("%s, hold %+v; want it to wait", it.State, it.Hold)
				}
				r.clock.Advance(10 * time.Minute)
				if it := r.get(id); it.Hold == nil {
					r.judge("f", r.claim("f").Token, accept())
				}
			})
		}
	}
}

// hold has a message quarantined by a failure of f, and releases it.
func (r *rig) hold(staged bool, fail func(*rig)) queue.ID {
	r.t.Helper()
	var id queue.ID
	if staged {
		w := r.stage(plain)
		fail(r)
		if _, err := w.Wait(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		it, err := w.Commit(context.Background())
		if err != nil {
			r.t.Fatal(err)
		}
		id = it.ID
	} else {
		id = r.commit(plain)
		fail(r)
	}
	if it := r.get(id); it.Hold.Quarantine() != "f" || it.State != queue.Unfiltered || it.Stage != "f" {
		r.t.Fatalf("%s, stage %q, hold %+v", it.State, it.Stage, it.Hold)
	}
	if _, err := r.q.Apply(context.Background(), queue.Txn{ID: id, Ops: []queue.Op{queue.ReleaseHold{}}}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

func TestRescanDoesNotBringAnOldQuarantineBack(t *testing.T) {
	r := newRig(t, twoFilters())
	w := r.stage(plain)
	r.judge("f", r.claim("f").Token, quarantined(0, ""))
	it, err := w.Commit(context.Background()) // its client left
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.q.Apply(context.Background(), queue.Txn{ID: it.ID, Ops: []queue.Op{queue.Move{To: queue.Unfiltered, Stage: "f"}}}); err != nil {
		t.Fatal(err)
	}
	r.judge("f", r.claim("f").Token, accept())
	r.judge("g", r.claim("g").Token, accept())
	if it = r.get(it.ID); it.Hold != nil || it.State != queue.Incoming {
		t.Errorf("%s, hold %+v", it.State, it.Hold)
	}
}
