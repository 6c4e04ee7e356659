package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/intake"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// failing is a queue whose Count and Job end with err.
type failing struct {
	queue.Queue
	err error
}

func (f failing) Count(context.Context, queue.Filter) (queue.Tally, error) {
	return queue.Tally{}, f.err
}

func (f failing) List(context.Context, queue.Filter, queue.Cursor, int) (queue.Page, error) {
	return queue.Page{}, f.err
}

// countWith counts on a queue that fails with err.
func countWith(err error) func(*testing.T) *httptest.ResponseRecorder {
	return func(t *testing.T) *httptest.ResponseRecorder {
		r := newRig(t, rigOptions{queue: failing{queuetest.NewModel(), err}})
		return r.call("read", "GET", "/v1/queue/count", nil)
	}
}

// verdictWith claims a message, sends a verdict and gives its error the form of a
// whole answer.
func verdictWith(content string, v filterproto.Verdict) func(*testing.T) *httptest.ResponseRecorder {
	return func(t *testing.T) *httptest.ResponseRecorder {
		r := newRig(t, rigOptions{})
		r.accept(content, theFilter)
		c := r.claim("virus", "virus")
		w := r.call("virus", "POST", "/v1/claims/verdicts", filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: c.Token, Verdict: v}}})
		res := good[filterproto.Results](t, w, 200).Results[0]
		if res.OK {
			t.Fatal("taken")
		}
		out := httptest.NewRecorder()
		writeError(out, res.Error)
		return out
	}
}

func ask(who, method, path string, body any, header ...string) func(*testing.T) *httptest.ResponseRecorder {
	return func(t *testing.T) *httptest.ResponseRecorder {
		return newRig(t, rigOptions{}).call(who, method, path, body, header...)
	}
}

func TestEveryErrorCodeIsReached(t *testing.T) {
	accept := filterproto.Verdict{Disposition: filterproto.Accept}
	cases := map[string]func(*testing.T) *httptest.ResponseRecorder{
		"invalid_json":       ask("virus", "POST", "/v1/filters/virus/claims", "{"),
		"unknown_field":      ask("virus", "POST", "/v1/filters/virus/claims", `{"maximum":1}`),
		"invalid_request":    ask("virus", "POST", "/v1/filters/virus/claims", `{"max":1001}`),
		"invalid_parameter":  ask("read", "GET", "/v1/queue/messages/nonsense", nil),
		"invalid_filter":     ask("read", "GET", "/v1/queue/count?filter=colour%3Dred", nil),
		"unauthorized":       ask("", "GET", "/v1/queue/count", nil),
		"forbidden":          ask("virus", "GET", "/v1/queue/count", nil),
		"cross_site":         ask("read", "GET", "/v1/queue/count", nil, "Origin", "https://evil.example"),
		"not_found":          ask("read", "GET", "/v1/nothing", nil),
		"no_message":         ask("read", "GET", "/v1/queue/messages/01HF8ZQ4Z8M2T", nil),
		"no_filter":          ask("filters", "POST", "/v1/filters/nobody/claims", "{}"),
		"no_webhook":         ask("write", "POST", "/v1/webhooks/nothing/test", nil),
		"no_job":             ask("read", "GET", "/v1/queue/jobs/nothing", nil),
		"method_not_allowed": ask("read", "DELETE", "/v1/queue/count", nil),
		"not_acceptable":     ask("read", "GET", "/v1/queue/count", nil, "Accept", "text/html"),
		"lease_lost":         ask("virus", "GET", "/v1/claims/forged/content", nil),
		"count_mismatch":     ask("write", "POST", "/v1/queue/jobs", `{"filter":"","action":"hold","expected_count":5}`),
		"cursor_expired": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{queue: failing{queuetest.NewModel(), queue.ErrExpired}})
			return r.call("read", "GET", "/v1/queue/messages?cursor=old", nil)
		},
		"body_too_large":         ask("virus", "POST", "/v1/filters/virus/claims", `{"holder":"`+strings.Repeat("x", 65536)+`"}`),
		"unsupported_media_type": ask("virus", "POST", "/v1/filters/virus/claims", "{}", "Content-Type", "text/plain"),
		"internal":               countWith(errors.New("disk on fire")),
		"corrupt":                countWith(queue.ErrCorrupt),
		"unavailable":            countWith(queue.ErrUnavailable),
		"uncertain":              countWith(queue.ErrUncertain),
		"storage_full":           countWith(queue.ErrFull),
		"message_too_large":      countWith(queue.ErrTooLarge),
		"already_accepted":       countWith(&queue.DuplicateError{ID: "01HF8ZQ4Z8M2T"}),
		"verdict_invalid":        verdictWith(letter, filterproto.Verdict{Disposition: "perhaps"}),
		"verdict_too_large":      verdictWith(letter, filterproto.Verdict{Disposition: filterproto.Accept, Symbols: make([]string, filterproto.MaxSymbols+1)}),
		"upload_unknown":         verdictWith(letter, filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.BodyReplace, Upload: "99"}}}),
		"recipient_unknown":      verdictWith(letter, filterproto.Verdict{Disposition: filterproto.Accept, Recipients: []filterproto.RecipientVerdict{{Recipients: []string{"nobody@example.net"}, Verdict: accept}}}),
		"header_too_large":       verdictWith("X: "+strings.Repeat("x", 2<<20)+"\r\n\r\n", filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.HeaderChange, Name: "X", Value: "y", Index: 1}}}),
		"conflict": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			return r.call("write", "POST", "/v1/queue/messages/"+string(r.accept(letter, theFilter).ID)+"/actions", `{"action":"hold","rev":"other"}`)
		},
		"leased": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			it := r.accept(letter, theFilter)
			r.claim("virus", "virus")
			return r.call("write", "POST", "/v1/queue/messages/"+string(it.ID)+"/actions", `{"action":"delete"}`)
		},
		"rate_limited": func(t *testing.T) (w *httptest.ResponseRecorder) {
			r := newRig(t, rigOptions{limits: Limits{Failures: 3}})
			for range 4 {
				w = r.call("", "GET", "/v1/queue/count", nil)
			}
			return w
		},
		"request_timeout": func(t *testing.T) *httptest.ResponseRecorder {
			return slowBody(t, newRig(t, rigOptions{limits: Limits{BodyTime: 50 * time.Millisecond}}), "/v1/filters/virus/claims", "application/json")
		},
		"queue_full": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{queue: queuetest.NewModel(queuetest.ModelOptions{MaxMessages: 1})})
			r.accept(letter, theFilter)
			return r.call("", "GET", "/readyz", nil)
		},
		"invalid_submission":   hand("submit", "from=a%40example.org&to=b", ""),
		"submission_forbidden": hand("limited", "from=a%40example.com&to=b%40example.org", letter),
		"not_cancellable": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			id := r.describe("submit", newLetter).ID
			if _, err := r.q.Claim(t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: 1, Lease: queue.MaxLease}); err != nil {
				t.Fatal(err)
			}
			return r.call("submit", "DELETE", "/v1/messages/"+id, nil)
		},
		"no_token": func(t *testing.T) *httptest.ResponseRecorder {
			return newRig(t, rigOptions{}).call("root", "DELETE", "/v1/tokens/x", nil)
		},
		"token_configured": func(t *testing.T) *httptest.ResponseRecorder {
			return newRig(t, rigOptions{}).call("root", "DELETE", "/v1/tokens/submit", nil)
		},
		"token_exists": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			r.withTokens()
			return r.call("root", "POST", "/v1/tokens", `{"name": "submit", "scopes": ["submit"]}`)
		},
		"quota_exceeded": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			r.withTokens()
			r.make(`{"name": "day", "scopes": ["submit"], "submit": {"recipients_per_day": 1}}`)
			r.describe("day", newLetter)
			return r.call("day", "POST", "/v1/messages", newLetter)
		},
		"idempotency_conflict": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			r.describe("submit", newLetter, "Idempotency-Key", "k")
			return r.call("submit", "POST", "/v1/messages", newLetter+" ", "Idempotency-Key", "k")
		},
		"idempotency_in_progress": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			end := r.busy("k")
			defer end()
			return r.call("submit", "POST", "/v1/messages", newLetter, "Idempotency-Key", "k")
		},
		"mail_loop":        hand("submit", "from=a%40example.org&to=b", strings.Repeat("Received: x\r\n", 51)+letter),
		"message_rejected": judged(filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "spam"}}),
		"message_deferred": func(t *testing.T) *httptest.ResponseRecorder { // nobody judges
			r := newRig(t, rigOptions{plan: func(string) intake.Plan {
				return intake.Plan{Stage: theFilter, Timing: intake.Inline, Wait: time.Millisecond}
			}})
			return r.call("submitter", "POST", "/v1/messages?from=a%40example.org&to=b%40example.net", letter, "Content-Type", "message/rfc822")
		},
		"shutting_down": func(t *testing.T) *httptest.ResponseRecorder {
			r := newRig(t, rigOptions{})
			r.s.drain()
			return r.call("", "GET", "/readyz", nil)
		},
	}
	for code, request := range unreadable {
		cases[code] = func(t *testing.T) *httptest.ResponseRecorder {
			addr, _, _, _ := newRig(t, rigOptions{}).run()
			c := dial(t, addr)
			go io.WriteString(c, request)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			w.Code = res.StatusCode
			io.Copy(w.Body, res.Body)
			return w
		}
	}
	for _, e := range api.Errors() {
		f := cases[e.Code]
		if f == nil {
			t.Errorf("nothing here reaches %s", e.Code)
			continue
		}
		delete(cases, e.Code)
		t.Run(e.Code, func(t *testing.T) { refused(t, f(t), e.Code) })
	}
	for code := range cases {
		t.Errorf("%s is not in spec/errors.json", code)
	}
}

func TestAnUnknownErrorStaysInside(t *testing.T) {
	w := countWith(errors.New("/var/spool/secret: permission denied"))(t)
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("told the peer: %s", w.Body)
	}
}

func TestNotReadyHasReasonAndRetryAfter(t *testing.T) {
	r := newRig(t, rigOptions{queue: queuetest.NewModel(queuetest.ModelOptions{MaxMessages: 1})})
	r.accept(letter, theFilter)
	w := r.call("", "GET", "/readyz", nil)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if e := refused(t, w, "queue_full"); e.RetryAfter == 0 {
		t.Error("no retry_after in the body")
	}
}

// What is wrong in whatever way leaves the queue as it was.
func TestBadInputLeavesTheQueueAsItWas(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	id := string(it.ID)
	c := r.claim("virus", "virus")
	other := r.accept(letter, "spam")
	oc := r.claim("spam", "spam")
	before := r.state()
	wrap := func(v string) string { return `{"verdicts":[{"token":"` + c.Token + `","verdict":` + v + `}]}` }
	flip := func(s string) string { return s[:len(s)-2] + string(s[len(s)-2]^1) + s[len(s)-1:] }
	for name, w := range map[string]*httptest.ResponseRecorder{
		"broken JSON":           r.call("virus", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard"`)),
		"unknown field":         r.call("virus", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard","dispositon":"accept"}`)),
		"deep nesting":          r.call("virus", "POST", "/v1/claims/verdicts", wrap(nested(5000))),
		"huge number":           r.call("virus", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard","retry_after":1e400}`)),
		"wrong type":            r.call("virus", "POST", "/v1/claims/verdicts", wrap(`{"disposition":["discard"]}`)),
		"null body":             r.call("virus", "POST", "/v1/claims/verdicts", "null"),
		"no entries":            r.call("virus", "POST", "/v1/claims/verdicts", `{"verdicts":[]}`),
		"too many entries":      r.call("virus", "POST", "/v1/claims/verdicts", `{"verdicts":[{"token":"x","verdict":{"disposition":"accept"}}`+strings.Repeat(`,{"token":"x","verdict":{"disposition":"accept"}}`, 1000)+`]}`),
		"long nonce":            r.call("virus", "POST", "/v1/claims/verdicts", `{"verdicts":[{"token":"`+c.Token+`","nonce":"`+strings.Repeat("n", 65)+`","verdict":{"disposition":"discard"}}]}`),
		"over-limit body":       r.call("virus", "POST", "/v1/claims/verdicts", strings.Repeat(" ", 9<<20)),
		"expired token":         r.call("expired", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard"}`)),
		"wrong scope":           r.call("read", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard"}`)),
		"read may not write":    r.call("read", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"delete","force":true}`),
		"write with a bad rev":  r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"delete","force":true,"rev":"x"}`),
		"write a leased one":    r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"delete"}`),
		"no such action":        r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"explode"}`),
		"hold until the past":   r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"hold","until":"2001-01-01T00:00:00Z"}`),
		"bounce with a 250":     r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"bounce","reason":"250 2.0.0 ok"}`),
		"reason with CR LF":     r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"bounce","reason":"550 a\r\nb"}`),
		"release what is not":   r.call("write", "POST", "/v1/queue/messages/"+id+"/actions", `{"action":"release"}`),
		"path traversal":        r.call("write", "POST", "/v1/queue/messages/../messages/"+id+"/actions", `{"action":"delete","force":true}`),
		"escaped traversal":     r.call("read", "POST", "/v1/queue/count%2f..%2fmessages%2f"+id+"/actions", `{"action":"delete","force":true}`),
		"escaped dots":          r.call("read", "GET", "/v1/queue/%2e%2e/claims/"+c.Token+"/content", nil),
		"doubled slash":         r.call("write", "POST", "//v1/queue/messages/"+id+"/actions", `{"action":"delete","force":true}`),
		"dot id":                r.call("read", "GET", "/v1/queue/messages/..", nil),
		"bulk with a bad expr":  r.call("write", "POST", "/v1/queue/jobs", `{"filter":"state=","action":"delete","force":true}`),
		"bulk, wrong count":     r.call("write", "POST", "/v1/queue/jobs", `{"filter":"","action":"delete","force":true,"expected_count":7}`),
		"bulk, filter misspelt": r.call("write", "POST", "/v1/queue/jobs", `{"filtre":"state=deferred","action":"delete","force":true}`),
		"bulk, no filter":       r.call("write", "POST", "/v1/queue/jobs", `{"action":"delete","force":true}`),
		"bulk, filter null":     r.call("write", "POST", "/v1/queue/jobs", `{"action":"delete","filter":null,"force":true}`),
		"negative offset":       r.call("virus", "GET", "/v1/claims/"+c.Token+"/content?offset=-1", nil),
		"huge offset":           r.call("virus", "GET", "/v1/claims/"+c.Token+"/content?offset=99999999999999999999", nil),
		"repeated parameter":    r.call("virus", "GET", "/v1/claims/"+c.Token+"/content?offset=1&offset=2", nil),
		"unknown parameter":     r.call("virus", "GET", "/v1/claims/"+c.Token+"/content?from=2", nil),
		"malformed query":       r.call("virus", "GET", "/v1/claims/"+c.Token+"/content?offset=1;x=2", nil),
		"body where none is":    r.call("read", "GET", "/v1/queue/count", "{}"),
		"malformed cursor":      r.call("read", "GET", "/v1/queue/messages?cursor=nonsense", nil),
		"limit out of bounds":   r.call("read", "GET", "/v1/queue/messages?limit=1001", nil),
		"filter name":           r.call("filters", "POST", "/v1/filters/a%20b/claims", "{}"),
		"compressed body":       r.call("virus", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard"}`), "Content-Encoding", "gzip"),
		"other charset":         r.call("virus", "POST", "/v1/claims/verdicts", wrap(`{"disposition":"discard"}`), "Content-Type", "application/json; charset=utf-16"),
	} {
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), `"code":`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for name, token := range map[string]string{
		"forged lease": "AAAA", "empty": "", "changed": flip(c.Token), "not base64": "%%%", "long": strings.Repeat("A", 1000),
		"another filter's": oc.Token, "raw queue token": string(other.Rev),
	} {
		body, _ := json.Marshal(filterproto.VerdictRequest{Verdicts: []filterproto.VerdictEntry{{Token: token, Verdict: filterproto.Verdict{Disposition: filterproto.Discard}}}})
		for path, body := range map[string]string{
			"verdicts": string(body), "renew": `{"tokens":[` + quote(token) + `]}`, "release": `{"tokens":[` + quote(token) + `],"lost":true}`,
		} {
			res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/"+path, body), 200).Results[0]
			if res.OK || res.Error.Code != filterproto.CodeLeaseLost {
				t.Errorf("%s token, %s: %+v", name, path, res)
			}
		}
	}
	for _, method := range []string{"POST", "PUT"} {
		refused(t, r.call("virus", method, "/v1/claims/"+oc.Token+"/uploads", "x", "Content-Type", "application/octet-stream"), "lease_lost")
	}
	refused(t, r.call("virus", "GET", "/v1/claims/"+oc.Token+"/content", nil), "lease_lost")
	if after := r.state(); after != before {
		t.Errorf("the queue changed:\n%s\n%s", before, after)
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// state is all that is in the queue, as text.
func (r *rig) state() string {
	r.t.Helper()
	p, err := r.q.List(context.Background(), queue.Filter{}, "", 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := json.Marshal(p.Items)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// hand hands a message in.
func hand(who, query, content string) func(*testing.T) *httptest.ResponseRecorder {
	return ask(who, "POST", "/v1/messages?"+query, content, "Content-Type", "message/rfc822")
}

// judged hands in a message whose chain judges it at once.
func judged(v filterproto.Verdict) func(*testing.T) *httptest.ResponseRecorder {
	return func(t *testing.T) *httptest.ResponseRecorder {
		r := newRig(t, rigOptions{plan: func(string) intake.Plan { return intake.Plan{Stage: theFilter, Timing: intake.Inline} }})
		done := make(chan error, 1)
		go func() {
			claims, err := r.engine.Claim(t.Context(), filter.ClaimRequest{Filter: theFilter, Max: 1, Wait: time.Minute})
			if err == nil {
				_, err = r.engine.Judge(t.Context(), theFilter, claims[0].Token, "", v)
			}
			done <- err
		}()
		w := r.call("submitter", "POST", "/v1/messages?from=a%40example.org&to=b%40example.net", letter, "Content-Type", "message/rfc822")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return w
	}
}
