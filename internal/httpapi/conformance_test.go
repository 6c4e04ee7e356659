package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/submission"
)

const specFile = "../../api/openapi.yaml"

// contract checks requests and answers against openapi.yaml.
type contract struct {
	router routers.Router
	doc    *openapi3.T
}

func loadContract(t *testing.T) *contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(specFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("message/rfc822", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder(submission.MediaType, openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder(filterproto.MediaFrames, openapi3filter.FileBodyDecoder)
	doc.Servers = openapi3.Servers{{URL: "http://example.com"}}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{router, doc}
}

// check validates one exchange. A request that is meant to be wrong is not.
func (c *contract) check(t *testing.T, req *http.Request, body []byte, w *httptest.ResponseRecorder, wrong bool) {
	t.Helper()
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	opts := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: opts}
	if !wrong {
		req.Body = io.NopCloser(bytes.NewReader(body))
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			t.Errorf("request %s %s: %v", req.Method, req.URL, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header(), Options: opts}
	out.SetBodyBytes(w.Body.Bytes())
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		t.Errorf("answer to %s %s: %d %s: %v", req.Method, req.URL, w.Code, w.Body, err)
	}
}

// Every operation is called, well and badly, and what goes over the wire is what
// openapi.yaml says.
func TestEveryOperationKeepsTheContract(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{StreamTime: 10 * time.Millisecond}})
	r.s.webhooks = &hooks{}
	c := loadContract(t)
	it := r.accept(letter, theFilter, "b@example.net", "c@example.com")
	id := string(it.ID)
	r.accept(letter, theFilter)
	done := map[string]bool{}
	do := func(who, method, path string, body any, status int, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		var raw []byte
		if body != nil {
			raw, _ = io.ReadAll(bodyReader(t, body))
		}
		w := r.call(who, method, path, bodyOf(body, raw), header...)
		if w.Code != status {
			t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
		}
		req := httptest.NewRequest(method, "http://example.com"+path, nil)
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		c.check(t, req, raw, w, status >= 400)
		route, _, _ := c.router.FindRoute(req)
		done[route.Operation.OperationID] = true
		return w
	}

	claim := filterproto.ClaimRequest{Max: 1, Lease: 60, Wait: 0.1, Holder: "test", Content: filterproto.ContentInline, MaxBytes: 1 << 20, InlineMax: 1000}
	b := good[filterproto.ClaimBatch](t, do("virus", "POST", "/v1/filters/virus/claims", claim, 200), 200)
	token := b.Claims[0].Token
	do("virus", "GET", "/v1/claims/"+token+"/content?trace=true&offset=3", nil, 200)
	do("virus", "POST", "/v1/claims/"+token+"/uploads", "octets", 201, "Content-Type", "application/octet-stream")
	u := good[filterproto.Upload](t, do("virus", "PUT", "/v1/claims/"+token+"/uploads", "octets", 201, "Content-Type", "application/octet-stream"), 201)
	do("virus", "POST", "/v1/claims/renew", filterproto.RenewRequest{Tokens: []string{token, "x"}, Lease: 100}, 200)
	do("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{
		{Token: token, Nonce: "n", Verdict: filterproto.Verdict{
			Disposition: filterproto.Accept, Score: 2.5, Symbols: []string{"A"}, Reason: "why",
			Edits:      []filterproto.Edit{{Op: filterproto.HeaderChange, Name: "Subject", Value: "x", Index: 1}, {Op: filterproto.BodyReplace, Upload: u.Upload}},
			Quarantine: &filterproto.Quarantine{Reason: "look", Seconds: 60},
			Recipients: []filterproto.RecipientVerdict{{Recipients: []string{"c@example.com"}, Verdict: filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}}}},
		}},
		{Token: "forged", Verdict: filterproto.Verdict{Disposition: filterproto.Defer, RetryAfter: 5}},
	}}, 200)
	w := do("virus", "POST", "/v1/filters/virus/claims", claim, 200, "Accept", filterproto.MediaFrames)
	rc, _, err := filterproto.NewClaimReader(w.Body, 1<<20).Next()
	if err != nil {
		t.Fatal(err)
	}
	do("virus", "POST", "/v1/claims/release", filterproto.ReleaseRequest{Tokens: []string{rc.Token}, Delay: 1, Lost: true}, 200)
	do("virus", "GET", "/v1/claims/"+rc.Token+"/content", nil, 409)
	do("read", "GET", "/v1/filters", nil, 200)
	do("read", "GET", "/v1/queue/messages?filter=state%3Dunfiltered+age%3C1h&limit=10", nil, 200)
	do("read", "GET", "/v1/queue/messages?filter=colour%3Dred", nil, 400)
	do("read", "GET", "/v1/queue/messages/"+id, nil, 200)
	do("read", "GET", "/v1/queue/messages/"+id+"/content?generation=0&header=true", nil, 200)
	do("read", "GET", "/v1/queue/messages/"+id+"/generations", nil, 200)
	do("read", "GET", "/v1/queue/messages/"+id+"/trace", nil, 200)
	do("operator", "POST", "/v1/queue/messages/"+id+"/actions", api.ActionRequest{Action: api.ActionKindFlush}, 200)
	do("read", "POST", "/v1/queue/messages/"+id+"/actions", api.ActionRequest{Action: api.ActionKindHold}, 403)
	one := int64(99)
	do("operator", "POST", "/v1/queue/jobs", api.JobRequest{Filter: new(""), Action: api.ActionKindHold, DryRun: true}, 200)
	do("operator", "POST", "/v1/queue/jobs", api.JobRequest{Filter: new(""), Action: api.ActionKindHold, ExpectedCount: &one}, 409)
	j := good[api.Job](t, do("operator", "POST", "/v1/queue/jobs", api.JobRequest{Filter: new("held"), Action: api.ActionKindRelease, Force: true}, 202), 202)
	do("read", "GET", "/v1/queue/jobs/"+j.ID, nil, 200)
	do("read", "GET", "/v1/queue/jobs/none", nil, 404)
	do("read", "GET", "/v1/queue/count?filter=next_hop%3Dexample.net", nil, 200)
	do("read", "GET", "/v1/queue/shape?state=unfiltered&state=deferred&age=300&age=600", nil, 200)
	do("read", "GET", "/v1/queue/stats", nil, 200)
	do("read", "GET", "/v1/status", nil, 200)
	do("events", "GET", "/v1/events?since=1970-01-01T00:00:00Z&type=accepted&type=held", nil, 200)
	do("events", "GET", "/v1/events?after=x", nil, 400)
	do("read", "GET", "/v1/webhooks", nil, 200)
	do("write", "POST", "/v1/webhooks/crm/replay", api.WebhookReplay{After: "1a-1.0"}, 204)
	do("write", "POST", "/v1/webhooks/none/replay", api.WebhookReplay{After: "1a-1.0"}, 404)
	do("write", "POST", "/v1/webhooks/crm/test", nil, 200)
	do("", "GET", "/v1/status", nil, 401)
	do("", "GET", "/healthz", nil, 200)
	do("", "GET", "/readyz", nil, 200)
	do("metrics", "GET", "/metrics", nil, 200)
	sub := good[api.Submitted](t, do("submit", "POST", "/v1/messages?from=a%40example.org&to=b%40example.net&to=c%40example.com&notify=never&ret=full&envid=x", letter, 201,
		"Content-Type", "message/rfc822", "Idempotency-Key", "k"), 201)
	do("submit", "POST", "/v1/messages", "sender: <>\nrecipient: b@example.net\n\n"+letter, 201, "Content-Type", submission.MediaType)
	do("submit", "POST", "/v1/messages", "sender: <>\n\n"+letter, 422, "Content-Type", submission.MediaType)
	do("submit", "GET", "/v1/messages/"+sub.ID, nil, 200)
	do("submit", "POST", "/v1/messages", newLetter, 201)
	do("submit", "POST", "/v1/messages/batch", `{"template": {"from": "a@example.org", "text": "{{n}}"}, "messages": [{"to": "b@example.net", "vars": {"n": "1"}}, {"to": "x"}]}`, 200)
	later := good[api.Submitted](t, do("submit", "POST", "/v1/messages?from=a@example.org&to=b@example.net&send_at=2000-01-01T00:00:00Z", letter, 201, "Content-Type", "message/rfc822"), 201)
	do("submit", "DELETE", "/v1/messages/"+later.ID, nil, 204)
	do("submitter", "DELETE", "/v1/messages/"+later.ID, nil, 404)
	r.withTokens()
	do("root", "POST", "/v1/tokens", `{"name": "t", "scopes": ["submit"], "submit": {"senders": ["@example.org"], "rate": 1, "rate_per": "hour"}}`, 201)
	do("root", "GET", "/v1/tokens", nil, 200)
	do("root", "DELETE", "/v1/tokens/t", nil, 204)
	do("root", "DELETE", "/v1/tokens/t", nil, 404)
	do("submitter", "GET", "/v1/messages/"+sub.ID, nil, 404)

	for _, op := range api.Operations() {
		if !done[op.ID] {
			t.Errorf("%s was not called", op.ID)
		}
	}
}

func bodyOf(body any, raw []byte) any {
	if body == nil {
		return nil
	}
	return raw
}

func TestEveryJSONBodyHasATypeAndABound(t *testing.T) {
	for _, op := range api.Operations() {
		if op.ID == "createMessage" || op.ID == "createBatch" {
			continue // long strings go to a file, and the rest has a bound: spill
		}
		if slices.Contains(op.Consumes, "application/json") && (bodies[op.ID] == nil || op.MaxBody <= 0) {
			t.Errorf("%s: type %v, bound %d", op.ID, bodies[op.ID], op.MaxBody)
		}
	}
}

// The wire types of filterproto and the schemas of openapi.yaml have the same
// fields, so that neither grows without the other.
func TestFilterTypesAreThoseOfTheContract(t *testing.T) {
	c := loadContract(t)
	for name, fields := range map[string]map[string]bool{
		"NewBatch": jsonFields[newBatch](), "BatchEntry": jsonFields[batchEntry](),
		"NewMessage": jsonFields[newMessage](), "NewAttachment": jsonFields[newAttachment](), "NewHeader": jsonFields[newField](),
		"NewEnvelope": jsonFields[newEnvelope](), "MailboxObject": jsonFields[addressObject](),
		"ClaimRequest": jsonFields[filterproto.ClaimRequest](), "Claim": jsonFields[filterproto.Claim](),
		"ClaimBatch": jsonFields[filterproto.ClaimBatch](), "FilterMessage": jsonFields[filterproto.MessageInfo](),
		"FilterEnvelope": jsonFields[filterproto.Envelope](), "FilterRecipient": jsonFields[filterproto.Recipient](),
		"ClientInfo": jsonFields[filterproto.ClientInfo](), "PastVerdict": jsonFields[filterproto.PastVerdict](),
		"Upload": jsonFields[filterproto.Upload](), "RenewRequest": jsonFields[filterproto.RenewRequest](),
		"ReleaseRequest": jsonFields[filterproto.ReleaseRequest](), "VerdictRequest": jsonFields[filterproto.VerdictRequest](),
		"VerdictEntry": jsonFields[filterproto.VerdictEntry](), "Verdict": jsonFields[filterproto.Verdict](),
		"RecipientVerdict": jsonFields[filterproto.RecipientVerdict](), "Reply": jsonFields[filterproto.Reply](),
		"Quarantine": jsonFields[filterproto.Quarantine](), "Edit": jsonFields[filterproto.Edit](),
		"ClaimResults": jsonFields[filterproto.Results](), "ClaimResult": jsonFields[filterproto.Result](),
		"ResultItem": jsonFields[filterproto.ResultItem](), "Error": jsonFields[filterproto.Error](),
	} {
		schema := c.doc.Components.Schemas[name]
		if schema == nil {
			t.Errorf("no schema %s", name)
			continue
		}
		for p := range schema.Value.Properties {
			if !fields[p] {
				t.Errorf("%s.%s is in openapi.yaml only", name, p)
			}
			delete(fields, p)
		}
		for f := range fields {
			t.Errorf("%s.%s is in filterproto only", name, f)
		}
	}
}

// The generated files are those that openapi.yaml and errors.json give now.
func TestErrorCodesOfTheContract(t *testing.T) {
	b, err := os.ReadFile("../../spec/errors.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range api.Errors() {
		if !strings.Contains(string(b), `"`+e.Code+`", "http": `) {
			t.Errorf("%s is not in spec/errors.json", e.Code)
		}
		if api.StatusOf(e.Code) != e.Status {
			t.Errorf("StatusOf(%s) = %d, want %d", e.Code, api.StatusOf(e.Code), e.Status)
		}
	}
}
