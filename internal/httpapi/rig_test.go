package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/filter"
	"mtad/internal/intake"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// rig is a Server over the model queue and a real filter engine, with a token for
// each kind of caller.
type rig struct {
	t      *testing.T
	q      queue.Queue
	engine *filter.Engine
	s      *Server
	reg    *prometheus.Registry
	door   *admission.Door
	tokens map[string]string // plain, by what they are for
}

type rigOptions struct {
	queue   queue.Queue
	filters func(Filters) Filters
	limits  Limits
	now     func() time.Time
	plan    func(chain string) intake.Plan
}

const theFilter = "virus"

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, q: o.queue, reg: prometheus.NewRegistry(), tokens: map[string]string{}}
	if r.q == nil {
		r.q = queuetest.NewModel()
	}
	var err error
	r.engine, err = filter.New(filter.Options{
		Queue:   r.q,
		Chains:  map[string]filter.Chain{"in": {Filters: []string{theFilter, "spam"}}},
		Filters: map[string]filter.Definition{theFilter: {}, "spam": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.door = admission.New(admission.Options{
		Intake:   intake.New(intake.Options{Queue: r.q, Hostname: "mx.example.org", Plan: o.plan}),
		Hostname: "mx.example.org", Local: func(d string) bool { return d == "example.org" }, Now: o.now, History: r.q.History,
	})
	opts := Options{Queue: r.q, Filters: r.engine, Door: r.door, Limits: o.limits, Now: o.now, Registry: r.reg, Gatherer: r.reg, Peers: []Peer{}}
	if o.filters != nil {
		opts.Filters = o.filters(r.engine)
	}
	for name, scopes := range map[string][]string{
		"virus": {"filter:virus"}, "spam": {"filter:spam"}, "filters": {"filter:*"}, "read": {"queue:read"},
		"write": {"queue:write"}, "operator": {"queue:read", "queue:write"}, "metrics": {"metrics"}, "events": {"events"}, "submit": {"submit"}, "submitter": {"submit"}, "limited": {"submit"}, "expired": AllScopes(), "root": AllScopes(),
	} {
		plain, stored := NewToken(scopes...)
		stored.Name = name
		stored.Submit = grants[name]
		if name == "expired" {
			stored.Expires = time.Now().Add(-time.Second)
		}
		r.tokens[name] = plain
		opts.Tokens = append(opts.Tokens, stored)
	}
	if r.s, err = New(opts); err != nil {
		t.Fatal(err)
	}
	return r
}

const letter = "Subject: hello\r\nFrom: <a@example.org>\r\n\r\nbody\r\n"

// accept puts a message into the queue at a stage of the chain.
func (r *rig) accept(content, stage string, rcpt ...string) queue.Item {
	r.t.Helper()
	w := r.create(content, stage, rcpt...)
	it, err := w.Commit(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return it
}

func (r *rig) create(content, stage string, rcpt ...string) queue.Writer {
	r.t.Helper()
	if len(rcpt) == 0 {
		rcpt = []string{"b@example.net"}
	}
	env := queue.Envelope{ReversePath: "a@example.org", Client: queue.Client{
		Protocol: "ESMTPS", Helo: "mail.example.org", Name: "mail.example.org", Address: "192.0.2.1", Port: 25252,
		TLSProtocol: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256", TLSKeySize: 128, Listener: "smtp",
	}}
	for _, p := range rcpt {
		env.Recipients = append(env.Recipients, queue.Recipient{Path: p, Transport: "smtp", NextHop: p[strings.Index(p, "@")+1:], Notify: queue.NotifyFailure})
	}
	w, err := r.q.Create(context.Background(), env, queue.CreateOptions{Chain: "in", Stage: stage, Trace: func(id queue.ID) []byte {
		return []byte("Received: by mx.example.net id " + string(id) + "\r\n")
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		r.t.Fatal(err)
	}
	return w
}

// call sends a request through the handler. body is marshalled unless it is a
// string, []byte or nil.
func (r *rig) call(who, method, path string, body any, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(method, path, bodyReader(r.t, body))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.ContentLength = 0
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+r.tokens[who])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	return w
}

func bodyReader(t *testing.T, body any) io.Reader {
	t.Helper()
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(b)
	case []byte:
		return bytes.NewReader(b)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

// good decodes an answer of the status wanted.
func good[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}

// refused checks that an answer is an error of this code, with the status that
// spec/errors.json gives it.
func refused(t *testing.T, w *httptest.ResponseRecorder, code string) filterproto.Error {
	t.Helper()
	var e filterproto.Error
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatalf("not an error body: %v: %d %s", err, w.Code, w.Body)
	}
	if e.Code != code || w.Code != statusOf(t, code) {
		t.Fatalf("got %d %s, want %d %s", w.Code, w.Body, statusOf(t, code), code)
	}
	return e
}

// claim claims one message as JSON.
func (r *rig) claim(who, name string) filterproto.Claim {
	r.t.Helper()
	b := good[filterproto.ClaimBatch](r.t, r.call(who, "POST", "/v1/filters/"+name+"/claims", filterproto.ClaimRequest{}), 200)
	if len(b.Claims) != 1 {
		r.t.Fatalf("%d claims, want 1", len(b.Claims))
	}
	return b.Claims[0]
}

func (r *rig) get(id queue.ID) queue.Item {
	r.t.Helper()
	it, err := r.q.Get(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return it
}

// run serves the rig on a TCP and a unix socket until the test ends.
func (r *rig) run() (tcp, unix string, stop context.CancelFunc, done <-chan error) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.t.TempDir(), "s")
	u, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- r.s.Run(ctx, l, u) }()
	r.t.Cleanup(cancel)
	return l.Addr().String(), path, cancel, end
}

// serveUnix serves s on a unix socket.
func serveUnix(t testing.TB, s *Server) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	return path, func() { cancel(); <-done }
}

func unixClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// spy tells of calls of the filter engine.
type spy struct {
	Filters
	claim, extend chan struct{}
}

func (s *spy) on(f Filters) Filters { s.Filters = f; return s }

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Claim tells before it waits.
func (s *spy) Claim(ctx context.Context, r filter.ClaimRequest) ([]queue.Claim, error) {
	tell(s.claim)
	return s.Filters.Claim(ctx, r)
}

// Extend tells when it is done.
func (s *spy) Extend(ctx context.Context, name string, tokens []queue.Token, d time.Duration) []error {
	defer tell(s.extend)
	return s.Filters.Extend(ctx, name, tokens, d)
}

// grants are what the callers with the scope submit may do.
var grants = map[string]admission.Grant{
	"submitter": {ClientAttributes: true, Chain: "in"},
	"limited":   {Senders: []string{"example.org"}, From: true, LocalOnly: true, MaxSize: 1000, Rate: 2},
}
