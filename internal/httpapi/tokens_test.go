package httpapi

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/api"
	"mtad/internal/tokens"
	"mtad/queue"
)

// withTokens gives a rig a store of tokens, and one to make others with.
func (r *rig) withTokens() string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "tokens.json")
	r.openTokens(path)
	return path
}

func (r *rig) openTokens(path string) {
	r.t.Helper()
	var err error
	if r.s.stored, err = tokens.Open(path); err != nil {
		r.t.Fatal(err)
	}
}

// make makes a token; its name is then one of the rig's callers.
func (r *rig) make(body string) api.CreatedToken {
	r.t.Helper()
	res := good[api.CreatedToken](r.t, r.call("root", "POST", "/v1/tokens", body), 201)
	r.tokens[res.Name] = res.Token
	return res
}

func letterFrom(from, to string) string {
	return fmt.Sprintf(`{"from": %q, "to": %q, "text": "x"}`, from, to)
}

func TestATokenIsMadeUsedAndEnded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := newRig(t, rigOptions{now: func() time.Time { return now }})
	path := r.withTokens()
	res := r.make(`{"name": "shop", "scopes": ["submit"], "expires": "2026-02-01T00:00:00Z"}`)
	r.describe("shop", newLetter)
	refused(t, r.call("shop", "GET", "/v1/tokens", nil), "forbidden")
	r.openTokens(path) // a restart
	r.describe("shop", newLetter)
	list := r.call("root", "GET", "/v1/tokens", nil)
	l := good[api.TokenList](t, list, 200)
	var shop api.TokenInfo
	configured := 0
	for _, x := range l.Tokens {
		if x.Name == "shop" {
			shop = x
		}
		if x.Configured {
			configured++
		}
	}
	if shop.CreatedBy != "root" || !shop.Created.Equal(now) || !shop.LastUsed.Equal(now) || configured != len(r.tokens)-1 {
		t.Errorf("%+v, %d configured", shop, configured)
	}
	if secret := strings.TrimPrefix(res.Token, tokenPrefix); strings.Contains(list.Body.String(), secret) {
		t.Error("the list tells the secret")
	}
	now = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	refused(t, r.call("shop", "POST", "/v1/messages", newLetter), "unauthorized")
	now = now.Add(-time.Second)
	r.describe("shop", newLetter)
	if w := r.call("root", "DELETE", "/v1/tokens/shop", nil); w.Code != 204 {
		t.Fatal(w.Code, w.Body)
	}
	refused(t, r.call("shop", "POST", "/v1/messages", newLetter), "unauthorized")
	r.openTokens(path)
	refused(t, r.call("shop", "POST", "/v1/messages", newLetter), "unauthorized")
	refused(t, r.call("root", "DELETE", "/v1/tokens/shop", nil), "no_token")
	refused(t, r.call("root", "DELETE", "/v1/tokens/submit", nil), "token_configured")
}

func TestATokenThatCannotBeMade(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.withTokens()
	r.make(`{"name": "maker", "scopes": ["tokens", "filter:virus"]}`)
	for _, c := range []struct{ who, body, code, field string }{
		{"root", `{"name": "", "scopes": ["submit"]}`, "invalid_request", "name"},
		{"root", `{"name": "a b", "scopes": ["submit"]}`, "invalid_request", "name"},
		{"root", `{"name": "../x", "scopes": ["submit"]}`, "invalid_request", "name"},
		{"root", `{"name": "a", "scopes": []}`, "invalid_request", "scopes"},
		{"root", `{"name": "a", "scopes": ["all"]}`, "invalid_request", "scopes[0]"},
		{"root", `{"name": "a", "scopes": ["submit"], "expires": "2001-01-01T00:00:00Z"}`, "invalid_request", "expires"},
		{"root", `{"name": "a", "scopes": ["submit"], "submit": {"senders": ["own"]}}`, "", ""}, // a domain of one label
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"senders": ["a@b\r\n"]}}`, "invalid_request", "submit.senders[0]"},
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"senders": ["@"]}}`, "invalid_request", "submit.senders[0]"},
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"rate": -1}}`, "invalid_request", "submit.rate"},
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"rate_per": "minute"}}`, "invalid_request", "submit.rate_per"},
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"rate": 1, "rate_per": "year"}}`, "invalid_request", "submit.rate_per"},
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"message_size": -1}}`, "invalid_request", "submit.message_size"},
		{"root", `{"name": "b", "scopes": ["submit"], "submit": {"recipients_per_day": -1}}`, "invalid_request", "submit.recipients_per_day"},
		{"root", `{"name": "maker", "scopes": ["submit"]}`, "token_exists", ""},
		{"root", `{"name": "submit", "scopes": ["submit"]}`, "token_exists", ""},
		{"maker", `{"name": "b", "scopes": ["submit"]}`, "forbidden", "scopes[0]"},
		{"maker", `{"name": "b", "scopes": ["filter:virus", "filter:*"]}`, "forbidden", "scopes[1]"},
		{"maker", `{"name": "b", "scopes": ["filter:virus"]}`, "", ""},
		{"submit", `{"name": "c", "scopes": ["submit"]}`, "forbidden", ""},
	} {
		w := r.call(c.who, "POST", "/v1/tokens", c.body)
		if c.code == "" {
			good[api.CreatedToken](t, w, 201)
		} else if e := refused(t, w, c.code); e.Field != c.field {
			t.Errorf("%s: %+v, want %s", c.body, e, c.field)
		}
	}
}

func TestATokenBoundsItsMessages(t *testing.T) {
	for _, c := range []struct {
		submit   string
		from, to string
		field    string // "" is taken
	}{
		{`"senders": ["@example.org"]`, "a@example.org", "b@x.example", ""},
		{`"senders": ["@example.org"]`, "a@sub.example.org", "b@x.example", "sender"},
		{`"senders": ["*@example.org"]`, "a@EXAMPLE.org", "b@x.example", ""},
		{`"senders": ["@*.example.org"]`, "a@sub.example.org", "b@x.example", ""},
		{`"senders": ["@*.example.org"]`, "a@example.org", "b@x.example", "sender"},
		{`"senders": ["a@bücher.example"]`, "a@bücher.example", "b@x.example", ""},
		{`"senders": ["a@example.org", "c@example.org"]`, "b@example.org", "b@x.example", "sender"},
		{`"recipients": ["@example.org"]`, "a@x.example", "b@example.org", ""},
		{`"recipients": ["@example.org"]`, "a@x.example", "b@example.com", "recipient"},
		{`"recipients": ["b@example.org"]`, "a@x.example", "c@example.org", "recipient"},
	} {
		r := newRig(t, rigOptions{})
		r.withTokens()
		r.make(`{"name": "t", "scopes": ["submit"], "submit": {` + c.submit + `}}`)
		w := r.call("t", "POST", "/v1/messages", letterFrom(c.from, c.to))
		if c.field == "" {
			good[api.Submitted](t, w, 201)
		} else if e := refused(t, w, "submission_forbidden"); e.Field != c.field {
			t.Errorf("%s: %+v", c.submit, e)
		}
	}
}

func TestATokenHasARateASizeAndADay(t *testing.T) {
	now := time.Date(2026, 1, 2, 23, 0, 0, 0, time.UTC)
	r := newRig(t, rigOptions{now: func() time.Time { return now }})
	r.withTokens()
	r.make(`{"name": "rate", "scopes": ["submit"], "submit": {"rate": 2, "rate_per": "hour"}}`)
	r.make(`{"name": "day", "scopes": ["submit"], "submit": {"recipients_per_day": 2}}`)
	r.make(`{"name": "size", "scopes": ["submit"], "submit": {"message_size": 2000}}`)
	for range 2 {
		r.describe("rate", newLetter)
	}
	if e := refused(t, r.call("rate", "POST", "/v1/messages", newLetter), "rate_limited"); e.RetryAfter != 1800 {
		t.Errorf("%+v", e)
	}
	refused(t, r.call("day", "POST", "/v1/messages", `{"from": "a@b.example", "to": ["1@c.example", "2@c.example", "3@c.example"], "text": ""}`), "quota_exceeded")
	r.describe("day", newLetter, "Idempotency-Key", "k")
	r.describe("day", newLetter, "Idempotency-Key", "k") // a repetition uses nothing up
	r.describe("day", newLetter)
	w := r.call("day", "POST", "/v1/messages", newLetter)
	if e := refused(t, w, "quota_exceeded"); e.RetryAfter != 3600 || w.Header().Get("Retry-After") != "3600" {
		t.Errorf("%+v", e)
	}
	now = now.Add(time.Hour)
	r.describe("day", newLetter)
	long, _ := json.Marshal(strings.Repeat("x\n", 1000))
	refused(t, r.call("size", "POST", "/v1/messages", `{"from": "a@b.example", "to": "c@d.example", "text": `+string(long)+`}`), "message_too_large")
	r.describe("size", newLetter)
}

func TestASandboxMarksItsMessages(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.withTokens()
	r.make(`{"name": "test", "scopes": ["submit"], "submit": {"sandbox": true}}`)
	res := r.describe("test", newLetter)
	if it := r.get(queue.ID(res.ID)); !it.Sandbox() {
		t.Errorf("%+v", it.Meta)
	}
	if s := good[api.Submission](t, r.call("test", "GET", "/v1/messages/"+res.ID, nil), 200); !s.Sandbox {
		t.Errorf("%+v", s)
	}
	if it := r.get(queue.ID(r.describe("submit", newLetter).ID)); it.Sandbox() {
		t.Error("everything is marked")
	}
}

// Whoever makes tokens cannot make one that hands in more than it may itself.
func TestAMakerThatIsBoundedDoesNotUnbindItself(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.withTokens()
	mint := `{"name": "minted", "scopes": ["submit"]}`
	for name, grant := range map[string]string{
		"sandboxed": `{"sandbox": true}`, "sender": `{"senders": ["a@example.org"]}`, "rated": `{"rate": 1, "rate_per": "day"}`,
		"small": `{"message_size": 1000}`, "daily": `{"recipients_per_day": 1}`, "reader": `{"recipients": ["b@example.org"]}`,
	} {
		r.make(`{"name": "` + name + `", "scopes": ["tokens", "submit"], "submit": ` + grant + `}`)
		refused(t, r.call(name, "POST", "/v1/tokens", mint), "forbidden")
	}
	r.make(`{"name": "free", "scopes": ["tokens", "submit"]}`)
	good[api.CreatedToken](t, r.call("free", "POST", "/v1/tokens", mint), 201)
}

// A token that ends makes none that outlives it.
func TestATokenThatEndsMakesNoneThatOutlivesIt(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, rigOptions{now: func() time.Time { return now }})
	r.withTokens()
	r.make(`{"name": "brief", "scopes": ["tokens", "submit"], "expires": "2026-01-02T00:00:00Z"}`)
	for _, expires := range []string{``, `, "expires": "2026-01-02T00:00:01Z"`} {
		refused(t, r.call("brief", "POST", "/v1/tokens", `{"name": "later", "scopes": ["submit"]`+expires+`}`), "forbidden")
	}
	good[api.CreatedToken](t, r.call("brief", "POST", "/v1/tokens", `{"name": "sooner", "scopes": ["submit"], "expires": "2026-01-02T00:00:00Z"}`), 201)
}

// A token that takes a revoked one's name takes none of its messages.
func TestATokenOfTheSameNameIsAnother(t *testing.T) {
	now := time.Now().UTC()
	r := newRig(t, rigOptions{now: func() time.Time { return now }})
	r.withTokens()
	const shop = `{"name": "shop", "scopes": ["submit"]}`
	r.make(shop)
	now = now.Add(2 * time.Second)
	old := r.describe("shop", newLetter)
	mine := r.call("shop", "GET", "/v1/messages/"+old.ID, nil)
	if mine.Code != 200 {
		t.Fatal(mine.Code, mine.Body)
	}
	now = now.Add(time.Hour)
	if res := r.call("root", "DELETE", "/v1/tokens/shop", nil); res.Code != 204 {
		t.Fatal(res.Code, res.Body)
	}
	r.make(shop)
	refused(t, r.call("shop", "GET", "/v1/messages/"+old.ID, nil), "no_message")
	refused(t, r.call("shop", "DELETE", "/v1/messages/"+old.ID, nil), "no_message")
}
