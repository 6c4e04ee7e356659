package httpapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

func (r *rig) act(id queue.ID, a api.ActionRequest) []api.Message {
	r.t.Helper()
	w := r.call("operator", "POST", "/v1/queue/messages/"+string(id)+"/actions", a)
	return good[api.ActionResult](r.t, w, 200).Messages
}

func TestActionsOnOneMessage(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	m := r.act(it.ID, api.ActionRequest{Action: api.ActionKindHold, Reason: "look", Until: until})[0]
	if m.Hold.By != "operator:operator" || m.Hold.Reason != "look" || !m.Hold.Until.Equal(until) {
		t.Errorf("hold: %+v", m.Hold)
	}
	if m = r.act(it.ID, api.ActionRequest{Action: api.ActionKindRelease, Rev: m.Rev})[0]; m.Hold.By != "" {
		t.Errorf("release: %+v", m.Hold)
	}
	r.act(it.ID, api.ActionRequest{Action: api.ActionKindHold})
	if m = r.act(it.ID, api.ActionRequest{Action: api.ActionKindRequeue})[0]; m.State != "incoming" || m.Hold.By != "" {
		t.Errorf("requeue: %s, held by %q", m.State, m.Hold.By)
	}
	if m = r.act(it.ID, api.ActionRequest{Action: api.ActionKindRequeue, Filter: true})[0]; m.State != "unfiltered" || m.Stage != theFilter {
		t.Errorf("requeue through the filters: %s %s", m.State, m.Stage)
	}
	r.act(it.ID, api.ActionRequest{Action: api.ActionKindFlush})
	if m = r.act(it.ID, api.ActionRequest{Action: api.ActionKindBounce, Reason: "not wanted"})[0]; m.Envelope.Recipients[0].Status != "failed" || m.Envelope.Recipients[0].LastReply != "550 5.0.0 not wanted" {
		t.Errorf("bounce: %+v", m.Envelope.Recipients[0])
	}
	if m = r.act(it.ID, api.ActionRequest{Action: api.ActionKindDelete})[0]; m.Outcome.Disposition != "deleted" || m.State != "" {
		t.Errorf("delete: %+v", m.Outcome)
	}
	refused(t, r.call("read", "GET", "/v1/queue/messages/"+string(it.ID), nil), "no_message")
	tr := good[api.Trace](t, r.call("read", "GET", "/v1/queue/messages/"+string(it.ID)+"/trace", nil), 200)
	if len(tr.Items) != 1 || tr.Items[0].Outcome.Disposition != "deleted" {
		t.Errorf("trace: %+v", tr)
	}
}

func TestForceBreaksALease(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	refused(t, r.call("operator", "POST", "/v1/queue/messages/"+string(it.ID)+"/actions", api.ActionRequest{Action: api.ActionKindHold}), "leased")
	r.act(it.ID, api.ActionRequest{Action: api.ActionKindHold, Force: true})
	refused(t, r.call("virus", "GET", "/v1/claims/"+c.Token+"/content", nil), "lease_lost")
}

func TestAJobChangesWhatMatches(t *testing.T) {
	r := newRig(t, rigOptions{})
	for range 5 {
		r.accept(letter, theFilter)
	}
	r.accept(letter, "", "x@other.example")
	n := int64(5)
	req := api.JobRequest{Filter: new("state=unfiltered"), Action: api.ActionKindHold, Reason: "wait", DryRun: true}
	if j := good[api.Job](t, r.call("write", "POST", "/v1/queue/jobs", req), 200); j.Matched != n || !j.DryRun || j.ID != "" {
		t.Errorf("dry run: %+v", j)
	}
	if r.count(queue.Filter{Reason: "wait"}) != 0 {
		t.Error("a dry run changed something")
	}
	req.DryRun, req.ExpectedCount = false, &n
	j := good[api.Job](t, r.call("write", "POST", "/v1/queue/jobs", req), 202)
	r.until("held", func() bool { return r.count(queue.Filter{Reason: "wait"}) == n })
	if j = good[api.Job](t, r.call("read", "GET", "/v1/queue/jobs/"+j.ID, nil), 200); j.Changed != n || j.Action != api.ActionKindHold || j.By != "operator:write" {
		t.Errorf("job: %+v", j)
	}
	r.call("write", "POST", "/v1/queue/jobs", api.JobRequest{Filter: new("reason=wait"), Action: api.ActionKindRequeue, Rescan: true})
}

func TestPagesAreOneSnapshot(t *testing.T) {
	r := newRig(t, rigOptions{})
	for range 25 {
		r.accept(letter, theFilter)
	}
	seen := map[string]bool{}
	cursor := ""
	for pages := 0; ; pages++ {
		p := good[api.MessagePage](t, r.call("read", "GET", "/v1/queue/messages?limit=10&cursor="+cursor, nil), 200)
		for _, m := range p.Messages {
			if seen[m.ID] {
				t.Errorf("%s came twice", m.ID)
			}
			seen[m.ID] = true
		}
		r.accept(letter, theFilter)
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d messages, want 25", len(seen))
	}
}

func TestContentOfAQueuedMessage(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	v := filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.HeaderAdd, Name: "X-Seen", Value: "1"}}}
	good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: c.Token, Verdict: v}}}), 200)
	edited := strings.Replace(letter, "\r\n\r\n", "\r\nX-Seen: 1\r\n\r\n", 1)
	head, _, _ := strings.Cut(letter, "\r\n\r\n")
	for query, want := range map[string]string{
		"": edited, "?generation=0": letter, "?generation=1": edited, "?generation=0&header=true": head + "\r\n",
		"?trace=true&generation=0": string(it.Trace) + letter, "?offset=9": edited[9:],
	} {
		if w := r.call("read", "GET", "/v1/queue/messages/"+string(it.ID)+"/content"+query, nil); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", query, w.Code, w.Body, want)
		}
	}
	g := good[api.GenerationList](t, r.call("read", "GET", "/v1/queue/messages/"+string(it.ID)+"/generations", nil), 200)
	if len(g.Generations) != 2 || g.Generations[1].By == "" || len(g.Verdicts) != 1 || g.Verdicts[0].Filter != "virus" {
		t.Errorf("%+v", g)
	}
}

func TestHeaderSectionEndsWhereItEnds(t *testing.T) {
	long := "A: " + strings.Repeat("x", 40<<10) + "\r\n"
	for in, want := range map[string]string{
		"A: b\r\n\r\nbody": "A: b\r\n", "\r\nbody": "", "": "", "A: b\r\n": "A: b\r\n", long + "\r\n\r\nbody": long,
		"A: b\n\nbody\r\n\r\n": "A: b\n\nbody\r\n", strings.Repeat("x", 2<<20): strings.Repeat("x", maxHeaderRead),
	} {
		got, err := headerSection(strings.NewReader(in))
		if err != nil || string(got) != want {
			t.Errorf("%.20q: %.40q %v, want %.40q", in, got, err, want)
		}
	}
}

func TestStatusAndFilters(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	r.s.process = Process{Version: "1.2.3", Hostname: "mx", Started: time.Now().Add(-time.Minute), Unsafe: func() []string { return []string{"sync"} },
		Listeners: func() []api.Listener {
			return []api.Listener{{Name: "smtp", Protocol: "smtp", Address: "127.0.0.1:25"}}
		}}
	r.s.states = func(context.Context) []api.FilterState { return []api.FilterState{{Name: "zebra", Kind: "pull"}} }
	st := good[api.Status](t, r.call("read", "GET", "/v1/status", nil), 200)
	if st.Version != "1.2.3" || !st.Ready || st.Uptime < 60 || st.Unsafe[0] != "sync" || st.Listeners[0].Name != "smtp" || st.Problems == nil {
		t.Errorf("%+v", st)
	}
	f := good[api.FilterList](t, r.call("read", "GET", "/v1/filters", nil), 200).Filters
	if len(f) != 2 || f[0].Name != theFilter || f[0].Waiting != 1 || f[1].Kind != "pull" {
		t.Errorf("%+v", f)
	}
}

func TestMetricsCountTheQueueAndRequests(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	r.call("read", "GET", "/v1/queue/count", nil)
	r.call("", "GET", "/v1/queue/count", nil)
	body := r.call("metrics", "GET", "/metrics", nil).Body.String()
	for _, want := range []string{
		`mtad_queue_messages{state="unfiltered"} 1`, `mtad_queue_bytes{state="unfiltered"} 47`, `mtad_queue_stage_messages{filter="virus"} 1`,
		`mtad_queue_oldest_age_seconds{state="deferred"} 0`, `mtad_queue_ready 1`, `mtad_queue_up 1`,
		`mtad_http_requests_total{operation="countMessages",status="200"} 1`, `mtad_http_requests_total{operation="none",status="401"} 1`,
		`mtad_http_denied_total{code="unauthorized"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	r := newRig(t, rigOptions{})
	w := r.call("operator", "DELETE", "/v1/claims/x/uploads", nil)
	refused(t, w, "method_not_allowed")
	if got := w.Header().Get("Allow"); got != "POST, PUT" {
		t.Errorf("Allow: %q", got)
	}
}

func TestAPanicIsAnsweredAndContained(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.s.states = func(context.Context) []api.FilterState { panic("boom") }
	w := r.call("read", "GET", "/v1/filters", nil)
	if refused(t, w, "internal"); strings.Contains(w.Body.String(), "boom") {
		t.Errorf("told the peer: %s", w.Body)
	}
}
