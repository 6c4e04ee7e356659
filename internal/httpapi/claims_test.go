package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

func statusOf(t *testing.T, code string) int {
	t.Helper()
	for _, e := range api.Errors() {
		if e.Code == code {
			return e.Status
		}
	}
	t.Fatalf("%s is not in spec/errors.json", code)
	return 0
}

func TestClaimTellsEnvelopeClientAndTrace(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter, "b@example.net", "c@example.net")
	c := r.claim("virus", "virus")
	m := c.Message
	if m.ID != string(it.ID) || m.Stage != "virus" || m.Size != int64(len(letter)) || m.Generation != 0 || m.Origin != "smtp" || m.Chain != "in" {
		t.Errorf("message %+v", m)
	}
	if !bytes.Equal(m.Trace, it.Trace) {
		t.Errorf("trace %q, want %q", m.Trace, it.Trace)
	}
	e := m.Envelope
	if e.ReversePath != "a@example.org" || len(e.Recipients) != 2 || e.Recipients[1].Path != "c@example.net" || e.Recipients[0].Notify[0] != "failure" {
		t.Errorf("envelope %+v", e)
	}
	if e.Client != filterproto.ClientInfo(it.Envelope.Client) {
		t.Errorf("client %+v, want %+v", e.Client, it.Envelope.Client)
	}
	if c.Inline || c.Content != nil || c.Lease <= 0 {
		t.Errorf("claim without content has inline %v, lease %v", c.Inline, c.Lease)
	}
}

func TestClaimWithInlineContentAsJSON(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	for _, trace := range []bool{false, true} {
		req := filterproto.ClaimRequest{Content: filterproto.ContentInline, Trace: trace}
		c := good[filterproto.ClaimBatch](t, r.call("virus", "POST", "/v1/filters/virus/claims", req), 200).Claims[0]
		want := letter
		if trace {
			want = string(c.Message.Trace) + letter
		}
		if !c.Inline || string(c.Content) != want {
			t.Errorf("trace %v: inline %v, content %q, want %q", trace, c.Inline, c.Content, want)
		}
		rel := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/release", filterproto.ReleaseRequest{Tokens: []string{c.Token}}), 200)
		if !rel.Results[0].OK {
			t.Fatalf("release: %+v", rel.Results[0].Error)
		}
	}
}

func TestThirtyMessagesWithContentCostOneRequest(t *testing.T) {
	r := newRig(t, rigOptions{})
	want := map[string]string{}
	for i := range 30 {
		content := fmt.Sprintf("Subject: %d\r\n\r\n%s", i, strings.Repeat("x\r\n", i*10_000))
		want[string(r.accept(content, theFilter).ID)] = content
	}
	w := r.call("virus", "POST", "/v1/filters/virus/claims", filterproto.ClaimRequest{Max: 30, Content: filterproto.ContentInline}, "Accept", filterproto.MediaFrames)
	if ct := w.Header().Get("Content-Type"); w.Code != 200 || ct != filterproto.MediaFrames {
		t.Fatalf("%d %s", w.Code, ct)
	}
	cr := filterproto.NewClaimReader(w.Body, 1<<20)
	for {
		c, failed, err := cr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		if !c.Inline || string(c.Content) != want[c.Message.ID] {
			t.Errorf("%s: %d octets, want %d", c.Message.ID, len(c.Content), len(want[c.Message.ID]))
		}
		delete(want, c.Message.ID)
	}
	if len(want) != 0 {
		t.Errorf("%d messages did not come", len(want))
	}
}

func TestVerdictMovesOnAndRepeatsTheSameAnswer(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	req := filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: c.Token, Nonce: "1", Verdict: filterproto.Verdict{
		Disposition: filterproto.Accept, Score: 1.5, Symbols: []string{"OK"},
		Edits: []filterproto.Edit{{Op: filterproto.HeaderAdd, Name: "X-Virus", Value: "clean"}},
	}}}}
	for range 2 {
		res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", req), 200).Results[0]
		if !res.OK || len(res.Items) != 1 || res.Items[0].Stage != "spam" || res.Items[0].State != "unfiltered" {
			t.Fatalf("result %+v %+v", res, res.Error)
		}
	}
	got := r.get(it.ID)
	if got.Stage != "spam" || len(got.Generations) != 2 || len(got.Verdicts) != 1 {
		t.Errorf("stage %s, %d generations, %d verdicts", got.Stage, len(got.Generations), len(got.Verdicts))
	}
	if m := r.claim("spam", "spam").Message; len(m.Verdicts) != 1 || m.Verdicts[0].Filter != "virus" || m.Verdicts[0].Score != 1.5 || m.Generation != 1 {
		t.Errorf("the next filter sees %+v", m.Verdicts)
	}
}

func TestOneBadEntryDoesNotSpoilTheOthers(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	r.accept(letter, theFilter)
	a, b := r.claim("virus", "virus"), r.claim("virus", "virus")
	accept := filterproto.Verdict{Disposition: filterproto.Accept}
	res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{
		{Token: a.Token, Verdict: accept},
		{Token: "forged", Verdict: accept},
		{Token: b.Token, Verdict: filterproto.Verdict{Disposition: "maybe"}},
		{Token: b.Token, Verdict: filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.BodyReplace, Upload: "7"}}}},
	}}), 200).Results
	var codes []string
	for _, r := range res {
		code := "ok"
		if !r.OK {
			code = r.Error.Code
		}
		codes = append(codes, code)
	}
	if got, want := strings.Join(codes, " "), "ok lease_lost verdict_invalid upload_unknown"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if res[2].Error.Field != "verdict.disposition" {
		t.Errorf("field %q", res[2].Error.Field)
	}
	// The lease of the refused one still runs.
	again := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: b.Token, Verdict: accept}}}), 200)
	if !again.Results[0].OK {
		t.Errorf("a better verdict: %+v", again.Results[0].Error)
	}
}

func TestUploadReplacesTheBody(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	body := strings.Repeat("replaced\r\n", 300_000) // past the inline bound
	for _, method := range []string{"POST", "PUT"} {
		u := good[filterproto.Upload](t, r.call("virus", method, "/v1/claims/"+c.Token+"/uploads", body, "Content-Type", "application/octet-stream"), 201)
		if u.Size != int64(len(body)) {
			t.Fatalf("size %d, want %d", u.Size, len(body))
		}
		if method == "POST" {
			continue // one that no verdict names
		}
		res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{
			Token: c.Token, Verdict: filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.BodyReplace, Upload: u.Upload}}},
		}}}), 200).Results[0]
		if !res.OK {
			t.Fatal(res.Error)
		}
	}
	w := r.call("read", "GET", "/v1/queue/messages/"+string(it.ID)+"/content", nil)
	head, _, _ := strings.Cut(letter, "\r\n\r\n")
	if want := head + "\r\n\r\n" + body; w.Body.String() != want {
		t.Errorf("%d octets, want %d", w.Body.Len(), len(want))
	}
}

func TestClaimContentWithTraceAndOffset(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	whole := string(c.Message.Trace) + letter
	for query, want := range map[string]string{"": letter, "?trace=true": whole, "?offset=5": letter[5:], "?trace=true&offset=7": whole[7:]} {
		w := r.call("virus", "GET", "/v1/claims/"+c.Token+"/content"+query, nil)
		if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "message/rfc822" || w.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
			t.Errorf("%s: %d %q %v, want %q", query, w.Code, w.Body, w.Header(), want)
		}
	}
}

func TestRenewKeepsALease(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/renew", filterproto.RenewRequest{Tokens: []string{c.Token, "x"}, Lease: 1200}), 200).Results
	if !res[0].OK || res[1].OK || res[1].Error.Code != filterproto.CodeLeaseLost {
		t.Errorf("results %+v", res)
	}
}

func TestAStagedMessageIsClaimedAndRejected(t *testing.T) {
	r := newRig(t, rigOptions{})
	w := r.create(letter, theFilter)
	if err := w.Stage(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.claim("virus", "virus")
	if !c.Message.Staged {
		t.Error("not told that it is staged")
	}
	res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{
		Token: c.Token, Verdict: filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}},
	}}}), 200).Results[0]
	if !res.OK || len(res.Items) != 1 || res.Items[0].Outcome != "rejected" {
		t.Fatalf("result %+v %v", res, res.Error)
	}
	items, err := w.Wait(t.Context())
	if err != nil || len(items) != 1 || items[0].Outcome == nil || items[0].Outcome.Disposition != queue.Rejected {
		t.Errorf("the client's side: %+v %v", items, err)
	}
}
