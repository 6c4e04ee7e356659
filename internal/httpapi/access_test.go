package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mtad/api"
	"mtad/queue"
)

func TestATokenIsStoredAsAHash(t *testing.T) {
	plain, stored := NewToken(ScopeQueueRead)
	other, _ := NewToken(ScopeQueueRead)
	if plain == other || len(plain) < 43 {
		t.Errorf("weak tokens: %q %q", plain, other)
	}
	if strings.Contains(fmt.Sprintf("%+v", stored), plain) || stored.Hash != HashToken(plain) {
		t.Error("the secret is stored")
	}
}

// For every operation and every kind of caller: what the table of scopes says, and
// nothing else.
func TestEveryOperationNeedsItsScope(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Failures: 1000, StreamTime: 10 * time.Millisecond}})
	may := map[string]string{ // caller -> scopes in the words of openapi.yaml
		"virus": "filter:{filter}", "filters": "filter:{filter}", "read": "queue:read", "write": "queue:write",
		"operator": "queue:read queue:write", "metrics": "metrics", "events": "events",
	}
	fill := strings.NewReplacer("{filter}", "virus", "{token}", "x", "{id}", "01HF8ZQ4Z8M2T", "{job}", "x", "{name}", "x")
	for _, op := range api.Operations() {
		path := fill.Replace(op.Path)
		for _, who := range []string{"", "expired"} {
			w := r.call(who, op.Method, path, nil)
			if open := op.Scope == ""; open != (w.Code != 401) {
				t.Errorf("%s by %q: %d", op.ID, who, w.Code)
			}
		}
		for who, scopes := range may {
			w := r.call(who, op.Method, path, nil)
			allowed := op.Scope == "" || strings.Contains(scopes, op.Scope) ||
				op.ID == "getSubmission" && strings.Contains(scopes, "queue:read") ||
				op.ID == "cancelMessage" && strings.Contains(scopes, "queue:write")
			if allowed == (w.Code == 403) || w.Code == 401 {
				t.Errorf("%s by %s: %d %s", op.ID, who, w.Code, w.Body)
			}
		}
	}
	refused(t, r.call("spam", "POST", "/v1/filters/virus/claims", "{}"), "forbidden")
}

func TestMalformedCredentialsAreRefused(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{Failures: 1000}})
	good := r.tokens["read"]
	for _, h := range []string{"", "Bearer", "Bearer ", "Basic " + good, good, "Bearer " + good[1:], "Bearer " + good + "x", "Bearer " + strings.ToUpper(good), "Bearer " + good + "," + good} {
		w := r.call("", "GET", "/v1/queue/count", nil, "Authorization", h)
		refused(t, w, "unauthorized")
		if w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%q: no WWW-Authenticate", h)
		}
	}
	req := httptest.NewRequest("GET", "/v1/queue/count", nil)
	req.Header["Authorization"] = []string{"Bearer " + good, "Bearer x"}
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	refused(t, w, "unauthorized")
	// In a query or a cookie it is no credential.
	refused(t, r.call("", "GET", "/v1/queue/count?access_token="+good, nil, "Cookie", "token="+good), "unauthorized")
}

func TestATokenExpiresWhileTheServerRuns(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, rigOptions{now: func() time.Time { return now }})
	plain, stored := NewToken(ScopeQueueRead)
	stored.Expires = now.Add(time.Minute)
	if err := r.s.SetAccess([]Token{stored}, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after  time.Duration
		status int
	}{{0, 200}, {59 * time.Second, 200}, {time.Minute, 401}} {
		now = stored.Expires.Add(c.after - time.Minute)
		if w := r.call("", "GET", "/v1/queue/count", nil, "Authorization", "Bearer "+plain); w.Code != c.status {
			t.Errorf("after %v: %d, want %d", c.after, w.Code, c.status)
		}
	}
}

func TestAccessThatMeansNothingIsRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	_, ok := NewToken(ScopeQueueRead)
	for name, f := range map[string]func() error{
		"scope":      func() error { _, tok := NewToken("queue:admin"); return r.s.SetAccess([]Token{tok}, nil) },
		"filter":     func() error { _, tok := NewToken("filter:"); return r.s.SetAccess([]Token{tok}, nil) },
		"no hash":    func() error { return r.s.SetAccess([]Token{{Scopes: ok.Scopes}}, nil) },
		"everybody":  func() error { return r.s.SetAccess(nil, []Peer{{UID: -1, GID: -1, Scopes: ok.Scopes}}) },
		"peer scope": func() error { return r.s.SetAccess(nil, []Peer{{Scopes: []string{"root"}}}) },
	} {
		if f() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if w := r.call("read", "GET", "/v1/queue/count", nil); w.Code != 200 {
		t.Errorf("a refused change took effect: %d", w.Code)
	}
}

func TestWebPagesAreRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, h := range [][2]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-origin"}} {
		w := r.call("operator", "GET", "/v1/queue/count", nil, h[0], h[1])
		refused(t, w, "cross_site")
		for k := range w.Header() {
			if strings.HasPrefix(k, "Access-Control") {
				t.Errorf("answers with %s", k)
			}
		}
	}
	if w := r.call("operator", "GET", "/v1/queue/count", nil, "Sec-Fetch-Site", "none"); w.Code != 200 {
		t.Errorf("a person's own request: %d", w.Code)
	}
	// What names the server decides nothing.
	req := httptest.NewRequest("GET", "http://localhost/v1/queue/count", nil)
	req.Host = "localhost"
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	refused(t, w, "unauthorized")
}

func TestFailuresAreBoundedByAddressAndGoodTokensPass(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, rigOptions{limits: Limits{Failures: 2, FailureTime: 10 * time.Second}, now: func() time.Time { return now }})
	from := func(addr, token string) int {
		req := httptest.NewRequest("GET", "/v1/queue/count", nil)
		req.RemoteAddr = addr
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		r.s.ServeHTTP(w, req)
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return w.Code
	}
	for i, want := range []int{401, 401, 429, 429} {
		if got := from("192.0.2.1:1000", "guess"); got != want {
			t.Errorf("failure %d: %d, want %d", i, got, want)
		}
	}
	if got := from("192.0.2.1:1000", r.tokens["read"]); got != 200 {
		t.Errorf("a good token from there: %d", got)
	}
	if got := from("192.0.2.2:1000", "guess"); got != 401 {
		t.Errorf("another address: %d", got)
	}
	for _, a := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"} {
		from(a, "guess")
	}
	if got := from("[2001:db8::4]:1", "guess"); got != 429 {
		t.Errorf("the same /64: %d", got)
	}
	now = now.Add(10 * time.Second)
	if got := from("192.0.2.1:1000", "guess"); got != 401 {
		t.Errorf("after a while: %d", got)
	}
}

func TestFailuresOfManyAddressesTakeBoundedMemory(t *testing.T) {
	f := failures{burst: 1, interval: time.Hour}
	now := time.Now()
	for i := range 3 * maxAddresses {
		f.allow(fmt.Sprint(i), now)
	}
	if len(f.addr) > maxAddresses {
		t.Errorf("%d addresses kept", len(f.addr))
	}
}

func FuzzClaimToken(f *testing.F) {
	s, err := newSeal(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("virus", "token", "x")
	f.Add("a.b-c_d", "\x00\xff", s.wrap("spam", "y"))
	all := &caller{scopes: []string{"filter:*"}}
	f.Fuzz(func(t *testing.T, name, token, forged string) {
		if !filterName(name) || len(token) > 200 {
			return
		}
		w := s.wrap(name, queue.Token(token))
		got, tok, err := s.unwrap(w, all)
		if err != nil || got != name || string(tok) != token {
			t.Errorf("%q %q: %q %q %v", name, token, got, tok, err)
		}
		if _, _, err := s.unwrap(w, &caller{scopes: []string{"filter:" + name + "x"}}); err == nil {
			t.Error("another filter may use it")
		}
		if n, tok, err := s.unwrap(forged, all); err == nil && s.wrap(n, tok) != forged {
			t.Errorf("%q has another spelling", forged)
		}
	})
}
