package httpapi

import (
	"testing"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// quarantine has a message held by the filter virus.
func (r *rig) quarantine(q filterproto.Quarantine) string {
	r.t.Helper()
	it := r.accept(letter, theFilter, "b@example.net", "c@example.com")
	v := filterproto.Verdict{Disposition: filterproto.Accept, Score: 4.5, Symbols: []string{"EICAR"}, Quarantine: &q}
	res := good[filterproto.Results](r.t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{
		Verdicts: []filterproto.VerdictEntry{{Token: r.claim("virus", "virus").Token, Verdict: v}},
	}), 200)
	if !res.Results[0].OK || !res.Results[0].Items[0].Held {
		r.t.Fatalf("%+v", res)
	}
	return string(it.ID)
}

func TestAHoldTellsItsFilterScoreAndEnd(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.quarantine(filterproto.Quarantine{Reason: "eicar", Seconds: 60, Then: filterproto.ThenBounce})
	m := good[api.Message](t, r.call("read", "GET", "/v1/queue/messages/"+id, nil), 200)
	if h := m.Hold; h.Filter != "virus" || h.Reason != "eicar" || h.Score != 4.5 || len(h.Symbols) != 1 || h.Then != api.HoldThenBounce || h.Until.IsZero() {
		t.Errorf("%+v", h)
	}
	id = r.quarantine(filterproto.Quarantine{})
	good[api.ActionResult](t, r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", api.ActionRequest{Action: api.ActionKindHold}), 200)
	m = good[api.Message](t, r.call("read", "GET", "/v1/queue/messages/"+id, nil), 200)
	if h := m.Hold; h.Filter != "" || h.Score != 0 || h.Then != "" {
		t.Errorf("an operator's hold: %+v", h)
	}
	p := good[api.MessagePage](t, r.call("read", "GET", "/v1/queue/messages?filter=quarantined", nil), 200)
	if len(p.Messages) != 1 {
		t.Errorf("%d messages in quarantine, want 1", len(p.Messages))
	}
}

func TestAVerdictWithAnUnknownEndIsRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	v := filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Then: "forget"}}
	res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{
		Verdicts: []filterproto.VerdictEntry{{Token: r.claim("virus", "virus").Token, Verdict: v}},
	}), 200)
	if e := res.Results[0].Error; e == nil || e.Code != filterproto.CodeVerdictInvalid || e.Field != "verdict.quarantine.then" {
		t.Errorf("%+v", res.Results[0])
	}
}

func TestActionsOnWhatIsNotInQuarantineAreRefusedWhereAsked(t *testing.T) {
	r := newRig(t, rigOptions{})
	free := string(r.accept(letter, "").ID)
	held := r.quarantine(filterproto.Quarantine{})
	for _, b := range []api.ActionRequest{
		{Action: api.ActionKindRelease, Quarantined: true}, {Action: api.ActionKindDelete, Quarantined: true},
		{Action: api.ActionKindRequeue, Filter: true, Quarantined: true}, {Action: api.ActionKindRedirect, To: "x@example.org", Quarantined: true},
	} {
		refused(t, r.call("write", "POST", "/v1/queue/messages/"+free+"/actions", b), filterproto.CodeConflict)
	}
	for _, b := range []api.ActionRequest{
		{Action: api.ActionKindRedirect}, {Action: api.ActionKindRelease, To: "x@example.org"}, {Action: api.ActionKindRedirect, To: "postmaster"},
		{Action: api.ActionKindRedirect, To: "@a:x@"}, {Action: api.ActionKindRedirect, To: "<>"},
	} {
		if e := refused(t, r.call("write", "POST", "/v1/queue/messages/"+held+"/actions", b), filterproto.CodeInvalidRequest); e.Field != "to" {
			t.Errorf("%+v: %+v", b, e)
		}
	}
	refused(t, r.call("write", "POST", "/v1/queue/jobs", api.JobRequest{Filter: new("quarantined"), Action: api.ActionKindRedirect}), filterproto.CodeInvalidRequest)
	refused(t, r.call("read", "POST", "/v1/queue/messages/"+held+"/actions", api.ActionRequest{Action: api.ActionKindRedirect, To: "x@example.org"}), filterproto.CodeForbidden)
	if r.count(queueFilter(t, "quarantined")) != 1 {
		t.Error("something was changed")
	}
	res := good[api.ActionResult](t, r.call("write", "POST", "/v1/queue/messages/"+held+"/actions", api.ActionRequest{Action: api.ActionKindRedirect, To: `"x y"@example.org`, Quarantined: true}), 200)
	if m := res.Messages[0]; m.ID != held || m.State != "incoming" || m.Hold.By != "" || m.RecipientCount != 3 {
		t.Errorf("%+v", m)
	}
}

func queueFilter(t *testing.T, expr string) queue.Filter {
	t.Helper()
	f, err := queue.ParseFilter(expr)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
