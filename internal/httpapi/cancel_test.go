package httpapi

import (
	"fmt"
	"testing"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/intake"
	"mtad/queue"
)

func TestAMessageIsTakenBack(t *testing.T) {
	const two = `{"from": "a@example.org", "to": ["b@example.net", "c@example.com"], "text": ""}`
	scan := func(string) intake.Plan { return intake.Plan{Stage: theFilter} }
	for name, c := range map[string]struct {
		plan   func(string) intake.Plan
		before func(*rig, queue.ID)
		who    string
		code   string // "" is gone
	}{
		"waiting":          {nil, nil, "submitter", ""},
		"by an operator":   {nil, nil, "write", ""},
		"unfiltered":       {scan, nil, "submitter", ""},
		"at a filter":      {scan, func(r *rig, _ queue.ID) { r.claim("virus", theFilter) }, "submitter", ""},
		"another's":        {nil, nil, "submit", "no_message"},
		"a reader's":       {nil, nil, "read", "forbidden"},
		"on its way":       {nil, func(r *rig, _ queue.ID) { r.take() }, "submitter", "not_cancellable"},
		"half delivered":   {nil, func(r *rig, _ queue.ID) { r.deliver(r.take()) }, "submitter", "not_cancellable"},
		"taken back twice": {nil, func(r *rig, id queue.ID) { r.call("submitter", "DELETE", "/v1/messages/"+string(id), nil) }, "submitter", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{plan: c.plan})
			id := r.describe("submitter", two).ID
			if c.before != nil {
				c.before(r, queue.ID(id))
			}
			w := r.call(c.who, "DELETE", "/v1/messages/"+id, nil)
			if c.code != "" {
				refused(t, w, c.code)
				if r.queued() == 0 {
					t.Error("it is gone")
				}
				return
			}
			if w.Code != 204 || r.queued() != 0 {
				t.Fatalf("%d %s, %d left", w.Code, w.Body, r.queued())
			}
			if s := good[api.Submission](t, r.call("submitter", "GET", "/v1/messages/"+id, nil), 200); s.Status != "deleted" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// take claims an item for delivery.
func (r *rig) take() queue.Claim {
	r.t.Helper()
	claims, err := r.q.Claim(r.t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: 1, Lease: queue.MaxLease})
	if err != nil || len(claims) != 1 {
		r.t.Fatalf("%d claims, %v", len(claims), err)
	}
	return claims[0]
}

// deliver ends an item as delivered.
func (r *rig) deliver(c queue.Claim) {
	r.t.Helper()
	for _, ops := range [][]queue.Op{
		{queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: 0, Status: queue.Relayed, Attempted: true, Reply: "250 ok"}}}},
		{queue.Finish{Disposition: queue.Done}},
	} {
		if _, err := r.q.Apply(r.t.Context(), queue.Txn{Token: c.Token, By: "qmgr", Ops: ops}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestAMessageWaitsForItsTime(t *testing.T) {
	at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	stamp := at.Format(time.RFC3339)
	for name, hand := range map[string]func(*rig) api.Submitted{
		"JSON": func(r *rig) api.Submitted {
			return r.describe("submitter", fmt.Sprintf(`{"from": "a@example.org", "to": "b@example.net", "text": "", "send_at": %q}`, stamp))
		},
		"raw": func(r *rig) api.Submitted {
			return good[api.Submitted](r.t, r.call("submitter", "POST", "/v1/messages?from=a@example.org&to=b@example.net&send_at="+stamp, letter, "Content-Type", "message/rfc822"), 201)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			id := queue.ID(hand(r).ID)
			if it := r.get(id); !it.NextAt.Equal(at) || it.State != queue.Incoming {
				t.Errorf("without filters: %v in %v", it.NextAt, it.State)
			}
			r = newRig(t, rigOptions{plan: func(string) intake.Plan { return intake.Plan{Stage: theFilter} }})
			id = queue.ID(hand(r).ID)
			if s := good[api.Submission](t, r.call("submitter", "GET", "/v1/messages/"+string(id), nil), 200); !s.SendAt.Equal(at) {
				t.Errorf("%+v", s)
			}
			for _, f := range []string{theFilter, "spam"} { // it is judged at once
				r.judge(f)
			}
			if it := r.get(id); !it.NextAt.Equal(at) || it.State != queue.Incoming {
				t.Errorf("after its filters: %v in %v", it.NextAt, it.State)
			}
		})
	}
	r := newRig(t, rigOptions{})
	far := time.Now().Add(31 * 24 * time.Hour).Format(time.RFC3339)
	for _, v := range []string{far, "tomorrow"} {
		code := "invalid_submission"
		if v == "tomorrow" {
			code = "invalid_request"
		}
		refused(t, r.call("submit", "POST", "/v1/messages", fmt.Sprintf(`{"from": "a@example.org", "to": "b@example.net", "text": "", "send_at": %q}`, v)), code)
	}
	refused(t, r.call("submit", "POST", "/v1/messages?from=a@b&to=c@d&send_at=tomorrow", letter, "Content-Type", "message/rfc822"), "invalid_submission")
}

// judge accepts a message as a filter.
func (r *rig) judge(name string) {
	r.t.Helper()
	who := map[string]string{theFilter: "virus", "spam": "spam"}[name]
	c := r.claim(who, name)
	res := good[filterproto.Results](r.t, r.call(who, "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{
		{Token: c.Token, Verdict: filterproto.Verdict{Disposition: filterproto.Accept}},
	}}), 200)
	if !res.Results[0].OK {
		r.t.Fatalf("%+v", res)
	}
}
