package app_test

import (
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"

	"mtad/filterproto"
)

func TestReloadChangesRoutesAndNetworksForNewSessions(t *testing.T) {
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, plain+"mynetworks: []\n"))
	addr := a.Addr("smtp").String()
	c := dial(t, addr)
	c.do(250, "MAIL FROM:<a@example.org>")
	c.do(554, "RCPT TO:<b@example.net>")

	// relay_domains hold at once, also in sessions that are open: the listener did
	// not change.
	waiting, err := a.Reload(t.Context(), read(t, dir, plain+"mynetworks: []\nrelay_domains: [example.net]\n"))
	if err != nil || len(waiting) != 0 {
		t.Fatalf("got %v, %v", waiting, err)
	}
	c.do(250, "RCPT TO:<b@example.net>")

	// mynetworks change what a session may: the open one is told to come again.
	if _, err := a.Reload(t.Context(), read(t, dir, plain)); err != nil {
		t.Fatal(err)
	}
	if got := a.Addr("smtp").String(); got != addr {
		t.Errorf("the listener moved from %s to %s", addr, got)
	}
	c.expect(421)
	c = dial(t, addr)
	c.do(250, "MAIL FROM:<a@example.org>")
	c.do(250, "RCPT TO:<b@example.com>")
}

func TestReloadAddsMovesRenamesAndRemovesListeners(t *testing.T) {
	dir := t.TempDir()
	fixed := freePort(t)
	a, _ := start(t, read(t, dir, fmt.Sprintf(`
listeners:
  one: {address: "%s"}
  two: {address: "127.0.0.1:0"}
api: {listen: []}
`, fixed)))
	two := a.Addr("two").String()
	stays := dial(t, two)
	if _, err := a.Reload(t.Context(), read(t, dir, fmt.Sprintf(`
listeners:
  renamed: {address: "%s"}
  two: {address: "127.0.0.1:0"}
  three: {unix: %s/smtp.sock}
api: {listen: []}
`, fixed, dir))); err != nil {
		t.Fatal(err)
	}
	if a.Addr("one") != nil || a.Addr("renamed").String() != fixed || a.Addr("two").String() != two {
		t.Errorf("got one %v, renamed %v, two %v", a.Addr("one"), a.Addr("renamed"), a.Addr("two"))
	}
	dial(t, fixed)
	stays.do(250, "NOOP")
	u, err := textproto.Dial("unix", dir+"/smtp.sock")
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	if _, err := a.Reload(t.Context(), read(t, dir, "listeners:\n  two: {address: '127.0.0.1:0'}\napi: {listen: []}\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", fixed); err == nil {
		t.Error("a listener that was taken out still answers")
	}
	stays.do(250, "NOOP")
}

func TestRefusedReloadChangesNothing(t *testing.T) {
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, plain))
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := read(t, dir, strings.Replace(plain, "api:", fmt.Sprintf("  more: {address: '127.0.0.1:0'}\n  taken: {address: '%s'}\napi:", taken.Addr()), 1)+"relay_domains: [example.net]\nmynetworks: []\n")
	if _, err := a.Reload(t.Context(), bad); err == nil {
		t.Fatal("a port in use was not noticed")
	}
	if a.Addr("more") != nil || len(a.Current().RelayDomains) != 0 {
		t.Error("half of the reload is in effect")
	}
	c := dial(t, a.Addr("smtp").String())
	c.do(250, "MAIL FROM:<a@example.org>")
	c.do(250, "RCPT TO:<b@example.com>")
	if got := gauge(t, a, "mtad_config_reloads_total"); got != 1 {
		t.Errorf("%v reloads are counted, want 1", got)
	}
}

func TestReloadSaysWhatWaitsForARestart(t *testing.T) {
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, plain))
	next := read(t, dir, plain+"delivery: {concurrency: 7}\n")
	waiting, err := a.Reload(t.Context(), next)
	if err != nil || fmt.Sprint(waiting) != "[delivery.concurrency]" {
		t.Errorf("got %v, %v", waiting, err)
	}
	if a.Current().Delivery.Concurrency == 7 {
		t.Error("the configuration in use says what is not in effect")
	}
	if waiting, err = a.Reload(t.Context(), next); err != nil || len(waiting) != 1 {
		t.Errorf("a second time: got %v, %v; want it to wait still", waiting, err)
	}
}

// A claim made before a reload is good after it.
func TestClaimSurvivesAReloadOfItsFilter(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	text := filterConfig(next.addr, "after")
	a, _ := start(t, read(t, dir, text))
	dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	s := newScanner(t, a)
	claim := s.claim()
	if _, err := a.Reload(t.Context(), read(t, dir, strings.Replace(text, "words: {}", "words: {timeout: 1h}", 1))); err != nil {
		t.Fatal(err)
	}
	s.judge(claim.Token, filterproto.Verdict{Disposition: filterproto.Accept})
	if got := content(t, next.wait(t).data); got != message {
		t.Errorf("got %q", got)
	}
}

func TestReloadTakesATokenAway(t *testing.T) {
	dir := t.TempDir()
	text := filterConfig("127.0.0.1:1", "after")
	a, _ := start(t, read(t, dir, text))
	s := newScanner(t, a)
	claim := func() error {
		_, err := s.Claim(t.Context(), "words", filterproto.ClaimRequest{Max: 1})
		return err
	}
	if err := claim(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Reload(t.Context(), read(t, dir, strings.Replace(text, "scanner:", "other:", 1))); err != nil {
		t.Fatal(err)
	}
	if err := claim(); err != nil {
		t.Errorf("a renamed token: %v", err)
	}
	i, j := strings.Index(text, "  tokens:"), strings.Index(text, "filters:")
	if _, err := a.Reload(t.Context(), read(t, dir, text[:i]+text[j:])); err != nil {
		t.Fatal(err)
	}
	if err := claim(); err == nil {
		t.Error("a token that was taken out still opens the door")
	}
}

// freePort finds an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
