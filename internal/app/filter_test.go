package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/queue"
)

const secret = "mtad_test-token"

func filterConfig(next, timing string) string {
	sum := sha256.Sum256([]byte(secret))
	return fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0", chain: scan}
api:
  listen: ["127.0.0.1:0"]
  tokens: {scanner: {sha256: "%s", scopes: ["filter:words"]}}
filters: {words: {}}
chains: {scan: {filters: [words], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
`, hex.EncodeToString(sum[:]), timing, next[len("127.0.0.1:"):])
}

// scanner is a client of the pull API.
type scanner struct {
	*filterproto.Client
	t *testing.T
}

func newScanner(t *testing.T, a *app.App) *scanner {
	t.Helper()
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "http://" + a.Addr("api").String(), Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &scanner{c, t}
}

// claim waits for one message.
func (s *scanner) claim() filterproto.Received {
	s.t.Helper()
	for range 6 {
		got, err := s.Claim(s.t.Context(), "words", filterproto.ClaimRequest{Max: 1, Wait: 10, Lease: 60, Holder: "test"})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(got) > 0 {
			return got[0]
		}
	}
	s.t.Fatal("nothing to claim in a minute")
	return filterproto.Received{}
}

func (s *scanner) judge(token string, v filterproto.Verdict) {
	s.t.Helper()
	res, err := s.Verdicts(s.t.Context(), []filterproto.VerdictEntry{{Token: token, Nonce: "n1", Verdict: v}})
	if err != nil {
		s.t.Fatal(err)
	}
	if !res[0].OK {
		s.t.Fatalf("verdict: %v", res[0].Error)
	}
}

func TestMessageWaitsForItsVerdictAndArrivesOctetByOctet(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), filterConfig(next.addr, "after")))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	it, err := a.Queue().Get(t.Context(), queue.ID(id))
	if err != nil || it.State != queue.Unfiltered || it.Stage != "words" {
		t.Fatalf("got %v, %v at %q; want unfiltered at words", err, it.State, it.Stage)
	}
	s := newScanner(t, a)
	claim := s.claim()
	if claim.Message.ID != id || claim.Message.Envelope.ReversePath != "a@example.org" {
		t.Errorf("claimed %+v, want %s", claim.Message, id)
	}
	body, err := s.Content(t.Context(), claim.Token, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	body.Close()
	if err != nil || string(got) != message {
		t.Errorf("scanner read %q, %v; want %q", got, err, message)
	}
	select {
	case m := <-next.got:
		t.Fatalf("delivered before its verdict: %q", m.data)
	default:
	}
	s.judge(claim.Token, filterproto.Verdict{Disposition: filterproto.Accept})
	if text := content(t, next.wait(t).data); text != message {
		t.Errorf("got %q, want %q", text, message)
	}
	finished(t, a.Queue(), queue.ID(id))
}

func TestInlineRejectIsTheClientsReply(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), filterConfig(next.addr, "inline")))
	s := newScanner(t, a)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := s.claim()
		s.judge(c.Token, filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 554, Enhanced: "5.7.1", Text: "no such words here"}})
	}()
	reply, _ := dial(t, a.Addr("smtp").String()).send(554, "a@example.org", "b@example.net", message)
	<-done
	if reply != "5.7.1 no such words here" {
		t.Errorf("got %q", reply)
	}
	tally, err := a.Queue().Count(t.Context(), queue.Filter{})
	if err != nil || tally.Messages != 0 {
		t.Errorf("%d messages are in the queue, %v; want none, and no report", tally.Messages, err)
	}
}

func TestRejectAfterAcceptanceMakesAReportThatArrives(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), filterConfig(next.addr, "after")))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	s := newScanner(t, a)
	s.judge(s.claim().Token, filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 554, Enhanced: "5.7.1", Text: "no such words here"}})
	got := next.wait(t)
	if got.from != "" || fmt.Sprint(got.to) != "[a@example.org]" {
		t.Errorf("report: from %q to %q", got.from, got.to)
	}
	finished(t, a.Queue(), queue.ID(id))
}

func TestScannerWithoutItsScopeGetsNothing(t *testing.T) {
	a, _ := start(t, read(t, t.TempDir(), filterConfig("127.0.0.1:1", "after")+"\n"))
	s := newScanner(t, a)
	if _, err := s.Claim(t.Context(), "other", filterproto.ClaimRequest{Max: 1}); err == nil {
		t.Error("a token for words claimed for another filter")
	}
}
