package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/queue"
)

// rest speaks to an App's API as a program does.
type rest struct {
	t     *testing.T
	url   string
	token string
}

func newREST(t *testing.T, a *app.App, token string) *rest {
	return &rest{t, "http://" + a.Addr("api").String(), token}
}

func (r *rest) do(method, path, body string, want int, header ...string) (out struct {
	ID, Status string
	Sandbox    bool
	Recipients []struct{ Status, LastReply string }
}, h http.Header) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		r.t.Fatalf("%s %s: %d %s, %v; want %d", method, path, res.StatusCode, b, err, want)
	}
	_ = json.Unmarshal(b, &out) // some have no body
	return out, res.Header
}

// makeToken makes a token with mtactl.
func makeToken(t *testing.T, a *app.App, args ...string) string {
	t.Helper()
	mtactl(t)
	status, out, words := runHelper(t, a.Addr("api.unix").String(), strings.NewReader(""), append([]string{"token", "create"}, args...)...)
	if status != 0 {
		t.Fatalf("%d %s", status, words)
	}
	return strings.TrimSpace(out)
}

const plainLetter = `{"from": "Ann <ann@example.org>", "to": "bob@example.net", "subject": "hello", "text": "body\n"}`

func TestALetterInJSONArrives(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), relayConfig(next.addr)))
	r := newREST(t, a, makeToken(t, a, "shop", "--from", "@example.org", "--rate", "100/m", "--size", "1M", "--expires", "90d"))
	res, _ := r.do("POST", "/v1/messages", plainLetter, 201)
	got := next.wait(t)
	if got.from != "ann@example.org" || fmt.Sprint(got.to) != "[bob@example.net]" || !bytes.Contains(got.data, []byte("Subject: hello\r\n")) {
		t.Errorf("%s %v %s", got.from, got.to, got.data)
	}
	finished(t, a.Queue(), queue.ID(res.ID))
	if s, _ := r.do("GET", "/v1/messages/"+res.ID, "", 200); s.Status != "done" || s.Recipients[0].Status != "relayed" {
		t.Errorf("%+v", s)
	}
	r.do("POST", "/v1/messages", strings.ReplaceAll(plainLetter, "ann@example.org", "ann@example.com"), 403)
	r.do("DELETE", "/v1/messages/"+res.ID, "", 409)
	status, out, words := runHelper(t, a.Addr("api.unix").String(), strings.NewReader(""), "token", "list")
	if status != 0 || !strings.Contains(out, "shop") || !strings.Contains(out, "example.org") || strings.Contains(out, r.token) {
		t.Errorf("%d %s %s", status, out, words)
	}
	if status, _, words := runHelper(t, a.Addr("api.unix").String(), strings.NewReader(""), "token", "revoke", "shop"); status != 0 {
		t.Error(words)
	}
	r.do("POST", "/v1/messages", plainLetter, 401)
}

// A sandbox is judged as others are, and nothing of it leaves: not the message, and
// no report either.
func TestASandboxDeliversNothing(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), filterConfig(next.addr, "after")+"submission: {chain: scan}\n"))
	r := newREST(t, a, makeToken(t, a, "test", "--sandbox"))
	events := watch(t, a.Queue())
	res, _ := r.do("POST", "/v1/messages", plainLetter, 201)
	s := newScanner(t, a)
	s.judge(s.claim().Token, filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{{Op: filterproto.RecipientAdd, Value: "carol@example.net"}}})
	if e := events.await(queue.EventDelivered); e.Facts == nil || e.Facts.Meta[queue.MetaSandbox] == "" {
		t.Errorf("%+v", e)
	}
	finished(t, a.Queue(), queue.ID(res.ID))
	st, _ := r.do("GET", "/v1/messages/"+res.ID, "", 200)
	if !st.Sandbox || st.Status != "done" || len(st.Recipients) != 2 || st.Recipients[0].Status != "sandbox" || st.Recipients[1].Status != "sandbox" {
		t.Errorf("%+v", st)
	}
	res, _ = r.do("POST", "/v1/messages", plainLetter, 201)
	s.judge(s.claim().Token, filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 554, Enhanced: "5.7.1", Text: "no"}})
	finished(t, a.Queue(), queue.ID(res.ID))
	if st, _ := r.do("GET", "/v1/messages/"+res.ID, "", 200); st.Recipients[0].Status != "failed" {
		t.Errorf("%+v", st)
	}
	n, err := a.Queue().Count(t.Context(), queue.Filter{})
	if err != nil || n.Messages != 0 || len(next.got) != 0 {
		t.Errorf("%d messages wait, %d left, %v", n.Messages, len(next.got), err)
	}
}

// Keys, tokens and what is to be sent later are known after a restart.
func TestWhatWasHandedInIsKnownAfterARestart(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	a, err := app.New(t.Context(), read(t, dir, relayConfig(next.addr)), app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	token := makeToken(t, a, "shop")
	r := newREST(t, a, token)
	first, _ := r.do("POST", "/v1/messages", plainLetter, 201, "Idempotency-Key", "order 17")
	next.wait(t)
	at := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	later, _ := r.do("POST", "/v1/messages", strings.Replace(plainLetter, "{", fmt.Sprintf(`{"send_at": %q, `, at), 1), 201)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	a, _ = start(t, read(t, dir, relayConfig(next.addr)))
	r = newREST(t, a, token)
	again, h := r.do("POST", "/v1/messages", plainLetter, 201, "Idempotency-Key", "order 17")
	if again.ID != first.ID || h.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%+v, then %+v", first, again)
	}
	r.do("POST", "/v1/messages", strings.ReplaceAll(plainLetter, "hello", "goodbye"), 409, "Idempotency-Key", "order 17")
	if st, _ := r.do("GET", "/v1/messages/"+later.ID, "", 200); st.Status != "queued" {
		t.Errorf("%+v", st)
	}
	r.do("DELETE", "/v1/messages/"+later.ID, "", 204)
	if st, _ := r.do("GET", "/v1/messages/"+later.ID, "", 200); st.Status != "deleted" {
		t.Errorf("%+v", st)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "spool", ".upload-*")); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

// A token of the configuration may not become another one's by its name.
func TestATokenOfTheConfigurationIsNotMadeAgain(t *testing.T) {
	sum := sha256.Sum256([]byte(secret))
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf("listeners: {}\napi: {listen: [\"127.0.0.1:0\"], tokens: {shop: {sha256: \"%x\", scopes: [submit]}}}\n", sum)))
	mtactl(t)
	for _, verb := range []string{"create", "revoke"} {
		status, _, words := runHelper(t, a.Addr("api.unix").String(), strings.NewReader(""), "token", verb, "shop")
		if status == 0 {
			t.Errorf("%s: done, %s", verb, words)
		}
	}
}
