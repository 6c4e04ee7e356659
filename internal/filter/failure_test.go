package filter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// settled describes what became of a message in one line.
func describe(items []queue.Item) string {
	var out []string
	for _, it := range items {
		s := it.State.String()
		if it.Outcome != nil {
			s = it.Outcome.Disposition.String() + " " + strings.SplitN(it.Outcome.Reply, " ", 2)[0]
		}
		if it.Hold != nil {
			s += " held:" + it.Hold.By
		}
		for _, r := range it.Envelope.Recipients {
			if r.Status == queue.Failed {
				s += " failed"
			}
		}
		if len(it.Verdicts) > 0 {
			s += " " + it.Verdicts[len(it.Verdicts)-1].Disposition
		}
		out = append(out, strings.TrimSpace(s))
	}
	return strings.Join(out, "; ")
}

// want says for each action what a failure leaves, with and without a waiting
// client. Park leaves the message where it is.
var want = map[Action][2]string{
	Park:         {"unfiltered", "unfiltered"},
	Tempfail:     {"unfiltered", "rejected 451 defer"},
	Quarantine:   {"unfiltered held:filter:f", "unfiltered held:filter:f"},
	AcceptMarked: {"incoming accept-marked", "incoming accept-marked"},
	Reject:       {"incoming failed reject", "rejected 554 reject"},
}

// provoke makes the pull filter "f" fail in one class on the message that waits
// for it.
var provoke = map[Class]func(r *rig){
	Unreachable: func(r *rig) {
		r.clock.Advance(6 * time.Minute)
		r.e.sweep(context.Background())
	},
	Timeout: func(r *rig) {
		r.claim("f")
		r.clock.Advance(2 * time.Minute)
		r.e.sweep(context.Background())
	},
	Crash: func(r *rig) {
		for range 2 {
			r.claim("f")
			r.clock.Advance(2 * time.Minute)
		}
		r.claims("f")
	},
	OverSize: func(r *rig) { r.claims("f") },
}

func TestFailureMatrixOfThePullKind(t *testing.T) {
	for class, fail := range provoke {
		for _, action := range Actions {
			for staged := range 2 {
				t.Run(fmt.Sprintf("%s/%s/staged=%d", class, action, staged), func(t *testing.T) {
					d := Definition{Failure: map[Class]Action{class: action}, MaxClaims: 2}
					if class == OverSize {
						d.MaxSize = 10
					}
					r := newRig(t, oneFilter(d))
					var id queue.ID
					var w queue.Writer
					if staged == 1 {
						w = r.stage(plain)
						id = w.ID()
					} else {
						id = r.commit(plain)
					}
					fail(r)
					if staged == 1 {
						ctx, cancel := context.WithCancel(context.Background())
						if want[action][1] == "unfiltered" {
							cancel()
						}
						defer cancel()
						items, err := w.Wait(ctx)
						got := describe(items)
						if err != nil {
							got = "unfiltered"
						}
						if w := replyCode(want[action][1], class); got != w {
							t.Fatalf("got %q, want %q", got, w)
						}
						if _, err := w.Commit(context.Background()); err != nil {
							t.Fatal(err)
						}
					} else if got := describe(r.outcome(id)); got != want[action][0] {
						t.Fatalf("got %q, want %q", got, want[action][0])
					}
					checkMark(t, r, id, action)
				})
			}
		}
	}
}

func replyCode(want string, class Class) string {
	if class == OverSize {
		return strings.Replace(want, "554", "552", 1)
	}
	return want
}

func checkMark(t *testing.T, r *rig, id queue.ID, action Action) {
	t.Helper()
	it := r.outcome(id)[0]
	if (it.Meta[metaUnscanned] == "f") != (action == AcceptMarked) {
		t.Errorf("meta %v", it.Meta)
	}
	if it.Outcome == nil && strings.Contains(r.content(id), "\r\n"+MarkField+": f; ") != (action == AcceptMarked) {
		t.Errorf("content %q", r.content(id))
	}
}

// driven is a configuration with the driven filter "f" in chain "c".
func driven(d Definition) Options {
	if d.Kind == "" {
		d.Kind = "fake"
	}
	return oneFilter(d)
}

func TestAnItemThatTheQueueCalledPoisonFollowsTheCrashRule(t *testing.T) {
	for _, action := range Actions {
		t.Run(string(action), func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{Failure: map[Class]Action{Crash: action}, MaxClaims: 100}))
			id := r.commit(plain)
			for range 3 {
				r.claim("f")
				r.clock.Advance(2 * time.Minute)
			}
			if it := r.get(id); it.Hold == nil || it.Hold.Reason != "poison" {
				t.Fatalf("hold %+v", it.Hold)
			}
			r.e.sweep(context.Background())
			expect := map[Action]string{AcceptMarked: "incoming accept-marked", Reject: "incoming failed reject"}[action]
			if expect == "" {
				expect = "unfiltered held:mtad"
			}
			if got := describe(r.outcome(id)); got != expect {
				t.Errorf("got %q, want %q", got, expect)
			}
		})
	}
}

func TestSweepLeavesFreshMailAndOthersLeasesAlone(t *testing.T) {
	r := newRig(t, oneFilter(Definition{Failure: map[Class]Action{Unreachable: Reject}}))
	old := r.commit(plain)
	r.clock.Advance(4 * time.Minute)
	fresh := r.commit(plain)
	r.clock.Advance(2 * time.Minute)
	r.e.sweep(context.Background())
	if got := describe(r.outcome(old)); got != "incoming failed reject" {
		t.Errorf("old: %s", got)
	}
	if got := describe(r.outcome(fresh)); got != "unfiltered" || r.get(fresh).LostClaims != 0 {
		t.Errorf("fresh: %s", got)
	}
	r.clock.Advance(sweepRest)
	c := r.claim("f")
	r.e.sweep(context.Background())
	r.judge("f", c.Token, accept())
}

func TestAClientIsNotKeptWaitingForAFilterThatIsGone(t *testing.T) {
	r := newRig(t, oneFilter(Definition{Failure: map[Class]Action{Unreachable: Tempfail}}))
	r.clock.Advance(6 * time.Minute)
	w := r.stage(plain)
	r.e.sweep(context.Background())
	items, err := w.Wait(context.Background())
	if err != nil || describe(items) != "rejected 451 defer" {
		t.Errorf("%s, %v", describe(items), err)
	}
}

func TestAPollingScannerIsNotUnreachable(t *testing.T) {
	r := newRig(t, oneFilter(Definition{Failure: map[Class]Action{Unreachable: Reject}}))
	r.clock.Advance(time.Hour)
	r.claims("f")
	id := r.commit(plain)
	r.clock.Advance(4 * time.Minute)
	r.e.sweep(context.Background())
	if got := describe(r.outcome(id)); got != "unfiltered" {
		t.Error(got)
	}
}

func TestAMessageOfAChainOrFilterThatIsGoneIsNotAccepted(t *testing.T) {
	r := newRig(t, twoFilters())
	id := r.commit(plain)
	c := r.claim("f")
	renew := func(o Options) {
		o.Queue, o.Now = r.q, r.clock.Now
		var err error
		if r.e, err = New(o); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("filter gone", func(t *testing.T) {
		renew(Options{Filters: map[string]Definition{"g": {}}, Chains: map[string]Chain{"c": {Filters: []string{"g"}}}})
		if _, err := r.e.Judge(context.Background(), "f", c.Token, "", accept()); err == nil {
			t.Error("judged by a filter that is gone")
		}
		r.clock.Advance(time.Hour)
		r.e.sweep(context.Background())
		list, err := r.e.Status(context.Background())
		if err != nil || len(list) != 2 || !list[1].Orphan || list[1].Name != "f" || list[1].Depth != 1 {
			t.Errorf("status %+v, %v", list, err)
		}
	})
	t.Run("stage left the chain: it starts again", func(t *testing.T) {
		renew(Options{Filters: map[string]Definition{"f": {}, "g": {}}, Chains: map[string]Chain{"c": {Filters: []string{"g"}}}})
		r.judge("f", r.claim("f").Token, accept())
		if it := r.get(id); it.Stage != "g" {
			t.Errorf("%s at %q", it.State, it.Stage)
		}
	})
	t.Run("chain gone: it is held", func(t *testing.T) {
		renew(Options{Filters: map[string]Definition{"g": {}}})
		r.judge("g", r.claim("g").Token, accept())
		it := r.get(id)
		if it.State != queue.Unfiltered || it.Hold == nil || it.Hold.By != "mtad" {
			t.Errorf("%s, hold %+v", it.State, it.Hold)
		}
	})
	t.Run("a door that names it parks its mail", func(t *testing.T) {
		if stage, timing, _ := r.e.Plan("c"); stage == "" || timing != int(After) {
			t.Errorf("stage %q, timing %d", stage, timing)
		}
		if stage, _, _ := r.e.Plan(""); stage != "" {
			t.Errorf("no chain gives stage %q", stage)
		}
	})
}

func TestConfigurationIsChecked(t *testing.T) {
	q := queuetest.NewModel()
	defer q.Close()
	for name, o := range map[string]Options{
		"no queue":         {},
		"unknown filter":   {Queue: q, Chains: map[string]Chain{"c": {Filters: []string{"x"}}}},
		"filter twice":     {Queue: q, Filters: map[string]Definition{"f": {}}, Chains: map[string]Chain{"c": {Filters: []string{"f", "f"}}}},
		"name":             {Queue: q, Filters: map[string]Definition{"no-such-chain:c": {}}},
		"class":            {Queue: q, Filters: map[string]Definition{"f": {Failure: map[Class]Action{"bored": Park}}}},
		"action":           {Queue: q, Filters: map[string]Definition{"f": {Failure: map[Class]Action{Crash: "accept"}}}},
		"timing":           {Queue: q, Chains: map[string]Chain{"c": {Timing: 7}}},
		"negative maximum": {Queue: q, Filters: map[string]Definition{"f": {MaxSize: -1}}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFailVerdictsAreValid(t *testing.T) {
	for _, a := range []Action{Tempfail, AcceptMarked, Reject} {
		for _, c := range Classes {
			if err := Validate(failVerdict(strings.Repeat("f", maxName), c, a)); err != nil {
				t.Errorf("%s %s: %v", c, a, err)
			}
		}
	}
	if err := Validate(filterproto.Verdict{Disposition: filterproto.Accept}); err != nil {
		t.Error(err)
	}
}
