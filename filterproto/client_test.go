package filterproto

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// serve starts a server that answers with f and a client for it.
func serve(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c, err := NewClient(ClientOptions{URL: s.URL + "/", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestURLsThatSayNothingAreRefused(t *testing.T) {
	for _, u := range []string{"", "localhost:80", "ftp://x", "http://", "::"} {
		if _, err := NewClient(ClientOptions{URL: u}); err == nil {
			t.Errorf("%q taken", u)
		}
	}
}

func TestATruncatedAnswerIsNoClaim(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Accept") != MediaFrames {
			t.Errorf("headers %v", r.Header)
		}
		io.WriteString(w, "claim 13\n{\"token\":\"t\"}")
	})
	if got, err := c.Claim(t.Context(), "virus", ClaimRequest{}); !errors.Is(err, io.ErrUnexpectedEOF) || got != nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestErrorsOfTheServerKeepCodeAndDelay(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":"storage_full","message":"x"}`: CodeStorageFull, `<html>`: CodeInternal, `{}`: CodeInternal, ``: CodeInternal,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(503)
			io.WriteString(w, body)
		})
		_, err := c.Renew(t.Context(), []string{"t"}, time.Minute)
		var e *Error
		if !errors.As(err, &e) || e.Code != want || e.RetryAfter != 7 || e.Status != 503 {
			t.Errorf("%s: %+v", body, err)
		}
	}
}

func TestARedirectDoesNotTakeTheTokenAway(t *testing.T) {
	var reached atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer other.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Claim(t.Context(), "virus", ClaimRequest{}); err == nil || reached.Load() {
		t.Errorf("followed: %v", err)
	}
}

func TestResultsThatDoNotMatchAreAnError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"results":[]}`) })
	if _, err := c.Verdicts(t.Context(), make([]VerdictEntry, 2)); err == nil {
		t.Error("two verdicts without a result are taken for sent")
	}
}

// fakeServer hands out one message and answers verdicts as a script says.
type fakeServer struct {
	t       *testing.T
	claimed atomic.Bool
	answers chan string // code of each verdict request's result; "" is OK, "503" fails it whole
	nonces  chan string
	paths   chan string
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/filters/virus/claims":
		_, _ = io.Copy(io.Discard, r.Body) // the server then notices when the client goes
		if f.claimed.Swap(true) {
			<-r.Context().Done()
			return
		}
		claim := `{"token":"t","lease":300,"inline":true,"message":{"id":"x","size":2}}`
		w.Write(append(AppendFrame(nil, FrameClaim, len(claim)), claim+"data 2\nhidone 0\nend 0\n"...))
	case "/v1/claims/verdicts":
		var req VerdictRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			f.t.Error(err)
		}
		f.nonces <- req.Verdicts[0].Nonce
		res := Result{Token: "t", OK: true}
		switch code := <-f.answers; code {
		case "":
		case "503":
			w.WriteHeader(503)
			io.WriteString(w, `{"code":"unavailable","message":"x"}`)
			return
		default:
			res = Result{Token: "t", Error: &Error{Code: code}}
		}
		_ = json.NewEncoder(w).Encode(Results{Results: []Result{res}})
	default:
		f.paths <- r.URL.Path
		io.WriteString(w, `{"results":[{"token":"t","ok":true}]}`)
	}
}

func (f *fakeServer) run(h Handler) (stop func() error) {
	c := serve(f.t, f.ServeHTTP)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Options{Client: c, Filter: "virus"}, h) }()
	return func() error { cancel(); return <-done }
}

func accept(context.Context, *Message) (Verdict, error) { return Verdict{Disposition: Accept}, nil }

func TestAVerdictIsRepeatedWithTheSameNonceUntilItIsTaken(t *testing.T) {
	f := &fakeServer{t: t, answers: make(chan string, 4), nonces: make(chan string, 4), paths: make(chan string, 4)}
	for _, a := range []string{"503", CodeUncertain, CodeStorageFull, ""} {
		f.answers <- a
	}
	stop := f.run(accept)
	first := <-f.nonces
	for range 3 {
		if n := <-f.nonces; n != first || n == "" {
			t.Errorf("nonce %q, then %q", first, n)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(f.paths) != 0 {
		t.Errorf("released as well: %s", <-f.paths)
	}
}

func TestAVerdictThatIsRefusedGivesTheMessageBack(t *testing.T) {
	f := &fakeServer{t: t, answers: make(chan string, 1), nonces: make(chan string, 1), paths: make(chan string, 1)}
	f.answers <- CodeVerdictInvalid
	stop := f.run(accept)
	if p := <-f.paths; p != "/v1/claims/release" {
		t.Errorf("%s, want a release", p)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAVerdictThatComesTooLateIsDropped(t *testing.T) {
	f := &fakeServer{t: t, answers: make(chan string, 1), nonces: make(chan string, 1), paths: make(chan string, 1)}
	f.answers <- CodeLeaseLost
	stop := f.run(accept)
	<-f.nonces
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(f.nonces) != 0 || len(f.paths) != 0 {
		t.Error("something was sent for a message of somebody else")
	}
}

func TestInlineContentIsReadWithAndWithoutTrace(t *testing.T) {
	m := &Message{MessageInfo: MessageInfo{Size: 2, Trace: []byte("T\r\n")}, content: []byte("hi"), inline: true}
	for trace, want := range map[bool]string{false: "hi", true: "T\r\nhi"} {
		r, err := m.Open(t.Context(), trace)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != want || err != nil {
			t.Errorf("%q %v, want %q", b, err, want)
		}
	}
	if _, err := m.Bytes(t.Context(), 1); !errors.Is(err, ErrTooLong) {
		t.Errorf("two octets within a bound of one: %v", err)
	}
}

// A server that has gone away holds a scanner's end up for a bounded time.
func TestStoppingIsBoundedWhenTheServerTakesNoVerdicts(t *testing.T) {
	tried := make(chan struct{}, 1000)
	f := &fakeServer{t: t}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/claims/verdicts" {
			tried <- struct{}{}
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.ServeHTTP(w, r)
	})
	c.timeout = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Client: c, Filter: "virus", Drain: 20 * time.Millisecond, Wait: time.Minute}, accept)
	}()
	<-tried
	cancel()
	if err := <-done; err != nil { // the lease would run for five minutes
		t.Error(err)
	}
}
