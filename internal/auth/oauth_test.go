package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer is an authorization server that knows some tokens.
type issuer struct {
	*httptest.Server
	answers map[string]string // by token; others are not active

	mu    sync.Mutex
	asked []string // the forms
}

func (s *issuer) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func newIssuer(t testing.TB, answers map[string]string) *issuer {
	t.Helper()
	s := &issuer{answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := new(bytes.Buffer)
	_, _ = body.ReadFrom(r.Body)
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.String()+" "+body.String())
	s.mu.Unlock()
	user, secret, _ := r.BasicAuth()
	if user != "mtad%3A1" || secret != "a+%26b" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := ""
	for _, pair := range strings.Split(body.String(), "&") {
		if v, ok := strings.CutPrefix(pair, "token="); ok {
			token = v
		}
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	if a, ok := s.answers[token]; ok {
		fmt.Fprint(w, a)
		return
	}
	fmt.Fprint(w, `{"active": false}`)
}

func newOAuth(t testing.TB, o OAuthOptions) *OAuth {
	t.Helper()
	if o.Client == "" {
		o.Client, o.Secret = "mtad:1", "a &b"
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute // the machine may be busy
	}
	a, err := NewOAuth(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func bearerArg(login, token string) string {
	return "OAUTHBEARER " + b64("n,a="+login+",\x01host=mx.test\x01port=465\x01auth=Bearer "+token+"\x01\x01")
}

func TestTokensAreLogins(t *testing.T) {
	s := newIssuer(t, map[string]string{
		"good":      `{"active": true, "username": "Ann@Example.org", "scope": "openid mail", "aud": ["x", "mtad"], "exp": 2000000000.5, "unknown": {"a": [1]}}`,
		"one":       `{"active": true, "username": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"bare":      `{"active": true, "username": "ann", "scope": "mail", "aud": "mtad"}`,
		"expired":   `{"active": true, "username": "ann@example.org", "scope": "mail", "aud": "mtad", "exp": 1000000000}`,
		"never":     `{"active": true, "username": "ann@example.org", "scope": "mail", "aud": "mtad", "exp": "2000000000"}`,
		"noscope":   `{"active": true, "username": "ann@example.org", "scope": "mailbox e-mail", "aud": "mtad"}`,
		"scopeless": `{"active": true, "username": "ann@example.org", "aud": "mtad"}`,
		"other":     `{"active": true, "username": "ann@example.org", "scope": "mail", "aud": ["mtad2", "https://mtad"]}`,
		"aimless":   `{"active": true, "username": "ann@example.org", "scope": "mail"}`,
		"nobody":    `{"active": true, "sub": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"cased":     `{"active": true, "Username": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"number":    `{"active": true, "username": 17, "scope": "mail", "aud": "mtad"}`,
		"blank":     `{"active": true, "username": "ann b", "scope": "mail", "aud": "mtad"}`,
		"inactive":  `{"active": false, "username": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"text":      `{"active": "true", "username": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"null":      `{"active": null, "username": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"silent":    `{"username": "ann@example.org", "scope": "mail", "aud": "mtad"}`,
		"cut":       `{"active": true, "username": "ann@example.org", "scope": "mail", "aud": "mtad"`,
		"list":      `[true]`,
		"nothing":   `null`,
		"long":      `{"active": true, "username": "ann@example.org", "scope": "mail", "aud": "mtad"}` + strings.Repeat(" ", maxIntrospection),
	})
	a := newOAuth(t, OAuthOptions{Introspection: s.URL + "/introspect?realm=1", Scopes: []string{"mail"}, Audience: "mtad", Realm: "example.org", Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	service := &Service{Backend: &Local{OAuth: a}, Failures: 1000}
	if got := service.Keyword(t.Context(), &Peer{}); got != "AUTH OAUTHBEARER XOAUTH2" {
		t.Errorf("offered %q", got)
	}
	for _, c := range []struct {
		token, login string
		code         int
	}{
		{"good", "ann@example.org", 235}, {"good", "", 235}, {"good", "ANN", 235}, {"one", "ann@example.org", 235}, {"bare", "ann", 235},
		{"bare", "ann@example.org", 235}, {"good", "bob@example.org", 535}, {"good", "ann@example.com", 535},
		{"expired", "", 535}, {"never", "", 535}, {"noscope", "", 535}, {"scopeless", "", 535}, {"other", "", 535}, {"aimless", "", 535},
		{"nobody", "", 535}, {"cased", "", 535}, {"number", "", 535}, {"blank", "", 535}, {"inactive", "", 535}, {"stranger", "", 535},
		{"text", "", 454}, {"null", "", 454}, {"silent", "", 454}, {"cut", "", 454}, {"list", "", 454}, {"nothing", "", 454}, {"long", "", 454},
	} {
		for _, mechanism := range []string{OAuthBearer, XOAuth2} {
			arg := bearerArg(c.login, c.token)
			if c.login == "" {
				arg = "OAUTHBEARER " + b64("n,,\x01auth=bearer  "+c.token+"\x01\x01")
			}
			if mechanism == XOAuth2 {
				if c.login == "" {
					continue
				}
				arg = "XOAUTH2 " + b64("user="+c.login+"\x01auth=Bearer "+c.token+"\x01\x01")
			}
			login, code, _ := dialogueOf(service, session("192.0.2.1"), arg, b64("\x01"))
			if code != c.code || (code == 235) != (login == "ann@example.org") {
				t.Errorf("%s, %q as %q: got %d for %q, want %d", mechanism, c.token, c.login, code, login, c.code)
			}
		}
	}
	if want := "POST /introspect?realm=1 token=good&token_type_hint=access_token"; s.questions()[0] != want {
		t.Errorf("asked %q, want %q", s.questions()[0], want)
	}
}

// TestClientsAreToldWhyATokenFails: RFC 7628 §3.2.2, and the client's answer,
// whatever it is, is followed by the refusal.
func TestClientsAreToldWhyATokenFails(t *testing.T) {
	s := newIssuer(t, map[string]string{"weak": `{"active": true, "username": "ann"}`})
	service := &Service{Failures: 1000, Backend: &Local{OAuth: newOAuth(t, OAuthOptions{
		Introspection: s.URL, Scopes: []string{"mail.send", "openid"}, Discovery: "https://id.example.org/.well-known/openid-configuration",
	})}}
	for _, c := range []struct{ arg, want string }{
		{bearerArg("ann", "bad"), `{"status":"invalid_token","scope":"mail.send openid","openid-configuration":"https://id.example.org/.well-known/openid-configuration"}`},
		{bearerArg("ann", "weak"), `{"status":"insufficient_scope","scope":"mail.send openid","openid-configuration":"https://id.example.org/.well-known/openid-configuration"}`},
		{"OAUTHBEARER " + b64("n,a=ann,\x01host=mx.test\x01port=587\x01auth=\x01\x01"), `{"status":"invalid_token","scope":"mail.send openid","openid-configuration":"https://id.example.org/.well-known/openid-configuration"}`},
		{"OAUTHBEARER " + b64("n,,\x01\x01"), `{"status":"invalid_token","scope":"mail.send openid","openid-configuration":"https://id.example.org/.well-known/openid-configuration"}`},
		{"XOAUTH2 " + b64("user=ann\x01auth=Bearer bad\x01\x01"), `{"status":"401","schemes":"bearer","scope":"mail.send openid"}`},
	} {
		for answer, code := range map[string]int{b64("\x01"): 535, "": 535, b64("n,a=ann,\x01auth=Bearer bad\x01\x01"): 535, "*": 501, "%": 501} {
			_, got, challenges := dialogueOf(service, session("192.0.2.1"), c.arg, answer)
			if got != code || len(challenges) != 1 {
				t.Fatalf("%q, then %q: got %d after %q", c.arg, answer, got, challenges)
			}
			if told, _ := base64.StdEncoding.DecodeString(challenges[0]); string(told) != c.want || !json.Valid(told) {
				t.Errorf("%q: told %s, want %s", c.arg, told, c.want)
			}
		}
	}
}

func TestTokenMessagesThatAreNone(t *testing.T) {
	s := newIssuer(t, map[string]string{"good": `{"active": true, "username": "ann"}`})
	service := &Service{Backend: &Local{OAuth: newOAuth(t, OAuthOptions{Introspection: s.URL})}, Failures: 1000}
	for _, msg := range []string{
		"", "\x01", "n,,", "n,,\x01", "n,,\x01auth=Bearer good", "n,,\x01auth=Bearer good\x01", "p=tls-exporter,,\x01auth=Bearer good\x01\x01",
		"n,a=,\x01auth=Bearer good\x01\x01", "n,ann,\x01auth=Bearer good\x01\x01", "n,a=a=b,\x01auth=Bearer good\x01\x01", "n,a=ann,x\x01auth=Bearer good\x01\x01",
		"n,,\x01auth=Bearer good\x01auth=Bearer good\x01\x01", "n,,\x01auth=Basic good\x01\x01", "n,,\x01auth=Bearer\x01\x01", "n,,\x01auth=Bearer ==\x01\x01",
		"n,,\x01auth=Bearer go od\x01\x01", "n,,\x01auth=Bearer good\r\n\x01\x01", "n,,\x01auth=Bearer good&a=b\x01\x01", "n,,\x01auth=Bearer gööd\x01\x01", "n,,\x01=x\x01\x01",
		"n,,\x01auth=Bearer good\x00\x01\x01", "n,,\x01auth=Bearer good\x01\x01\x01", "F,n,,\x01auth=Bearer good\x01\x01",
	} {
		if _, code, _ := dialogueOf(service, session("192.0.2.1"), "OAUTHBEARER", b64(msg)); code != 501 {
			t.Errorf("%q: got %d", msg, code)
		}
	}
	for _, msg := range []string{"", "user=ann\x01auth=Bearer good", "auth=Bearer good\x01\x01", "user=\x01auth=Bearer good\x01\x01", "user=ann\x01user=ann\x01auth=Bearer good\x01\x01"} {
		if _, code, _ := dialogueOf(service, session("192.0.2.1"), "XOAUTH2", b64(msg)); code != 501 {
			t.Errorf("%q: got %d", msg, code)
		}
	}
	if len(s.questions()) > 0 {
		t.Errorf("asked %q", s.questions())
	}
	for _, msg := range []string{"y,a=ann,\x01x=\x01auth=BEARER good\x01\x01", "n,a=an=2Cn=3D,\x01auth=Bearer good\x01\x01"} {
		if m, err := parseBearer([]byte(msg)); err != nil || m.token != "good" || m.identity != "ann" && m.identity != "an,n=" {
			t.Errorf("%q: %+v, %v", msg, m, err)
		}
	}
}

// TestTroubleWithIntrospectionIsTransient: nobody is refused because of it, and
// nobody is let in.
func TestTroubleWithIntrospectionIsTransient(t *testing.T) {
	elsewhere := newIssuer(t, map[string]string{"good": `{"active": true, "username": "ann"}`})
	const yes = `{"active": true, "username": "ann"}`
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"our credentials": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"not found":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"error": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, yes)
		},
		"created": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, yes)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, yes)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, yes)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			service := &Service{Backend: &Local{OAuth: newOAuth(t, OAuthOptions{Introspection: s.URL})}}
			if login, code, told := dialogueOf(service, session("192.0.2.1"), bearerArg("ann", "good"), b64("\x01")); code != 454 || login != "" || told != nil {
				t.Errorf("got %d for %q, told %v", code, login, told)
			}
		})
	}
	if len(elsewhere.questions()) > 0 {
		t.Error("a redirect was followed")
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	service := &Service{Backend: &Local{OAuth: newOAuth(t, OAuthOptions{Introspection: gone.URL})}}
	if _, code, _ := dialogueOf(service, session("192.0.2.1"), bearerArg("ann", "good")); code != 454 {
		t.Errorf("down: got %d", code)
	}
}

func TestIntrospectionThatHangsIsLeft(t *testing.T) {
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(end)
	service := &Service{Backend: &Local{OAuth: newOAuth(t, OAuthOptions{Introspection: s.URL, Timeout: 50 * time.Millisecond})}}
	if login, code, _ := dialogueOf(service, session("192.0.2.1"), bearerArg("ann", "good")); code != 454 || login != "" {
		t.Errorf("got %d for %q", code, login)
	}
}

// TestTheEnvironmentDoesNotSeeTokens: a proxy that it names is not used.
func TestTheEnvironmentDoesNotSeeTokens(t *testing.T) {
	if a := newOAuth(t, OAuthOptions{Introspection: "https://id.example.org/"}); a.http.Transport.(*http.Transport).Proxy != nil {
		t.Error("there is a proxy")
	}
}

func TestIntrospectionOverTLSVerifiesTheServer(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"active": true, "username": "ann"}`)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for _, c := range []struct {
		ca   []byte
		code int
	}{{ca, 235}, {nil, 454}} {
		service := &Service{Backend: &Local{OAuth: newOAuth(t, OAuthOptions{Introspection: s.URL, Authorities: c.ca})}}
		if _, code, _ := dialogueOf(service, session("192.0.2.1"), bearerArg("ann", "good")); code != c.code {
			t.Errorf("got %d, want %d", code, c.code)
		}
	}
}

// TestTokensInClearTextStayHere: whatever address a name has.
func TestTokensInClearTextStayHere(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "127.9.9.9:1": true, "192.0.2.1:80": false, "[::ffff:192.0.2.1]:80": false, "[fe80::1%lo]:80": false, "x": false} {
		if err := loopbackOnly("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	a := newOAuth(t, OAuthOptions{Introspection: "http://192.0.2.1/"})
	if _, err := a.Login(t.Context(), "good"); err == nil || !strings.Contains(err.Error(), "not this machine") {
		t.Errorf("got %v", err)
	}
}

func TestNoTokenIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newIssuer(t, map[string]string{"hunter2good": `{"active": true, "username": "ann"}`})
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, url := range []string{s.URL, gone.URL + "/?key=hunter2"} {
		service := &Service{
			Backend: &Local{OAuth: newOAuth(t, OAuthOptions{Introspection: url})}, Failures: 100,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}
		for _, arg := range []string{bearerArg("ann", "hunter2good"), bearerArg("ann", "hunter2"), bearerArg("hunter2", "hunter2good"), bearerArg("ann", "hunter2 x")} {
			dialogueOf(service, session("192.0.2.1"), arg, b64("\x01"))
		}
		dialogueOf(service, session("192.0.2.1"), bearerArg("ann", "hunter2")) // leaves when it hears why
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log holds what the client sent:\n%s", &log)
	}
	if n := strings.Count(log.String(), `outcome=refused reason="the token is not active"`); n != 2 {
		t.Errorf("%d tokens that are not active, want 2:\n%s", n, &log)
	}
	for _, want := range []string{`reason="the token is of another login"`, "login=ann outcome=passed"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in\n%s", want, &log)
		}
	}
}

// FuzzTokenMessage: what is read has a token of the grammar, and an identity
// only where the client gave one.
func FuzzTokenMessage(f *testing.F) {
	f.Add([]byte("n,a=ann,\x01host=mx.test\x01port=587\x01auth=Bearer abc=\x01\x01"))
	f.Add([]byte("n,,\x01auth=\x01\x01"))
	f.Add([]byte("user=ann\x01auth=Bearer abc\x01\x01"))
	f.Add([]byte("\x01"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, parse := range []func([]byte) (tokenMessage, error){parseBearer, parseXOAuth2} {
			m, err := parse(msg)
			if err != nil {
				continue
			}
			if strings.ContainsAny(m.token, " \x01\r\n&,") || len(m.token) > len(msg) || !kvValue(m.identity) {
				t.Fatalf("%q: %+v", msg, m)
			}
			if m.token != "" {
				back, err := parseBearer([]byte("n,,\x01auth=Bearer " + m.token + "\x01\x01"))
				if err != nil || back.token != m.token {
					t.Fatalf("%q: %+v, %v", msg, back, err)
				}
			}
		}
	})
}

// FuzzIntrospection: only an answer that says so lets somebody in.
func FuzzIntrospection(f *testing.F) {
	f.Add([]byte(`{"active": true, "username": "ann", "scope": "mail", "aud": ["mtad"], "exp": 2000000000}`))
	f.Add([]byte(`{"active": 1, "username": null, "exp": -1e400}`))
	a := newOAuth(f, OAuthOptions{Introspection: "https://id.example.org/", Scopes: []string{"mail"}, Audience: "mtad"})
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := parseClaims(answer)
		if err != nil {
			return
		}
		login, err := a.judge(c)
		if err == nil && (!ValidLogin(login) || string(c["active"]) != "true" || !bytes.Contains(c["scope"], []byte("m")) || c["aud"] == nil) {
			t.Fatalf("%s: in as %q", answer, login)
		}
	})
}
