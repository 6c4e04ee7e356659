package app_test

import (
	"net/http"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/queue"
)

func readyz(t *testing.T, a *app.App) int {
	t.Helper()
	res, err := http.Get("http://" + a.Addr("api").String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// With too much mail before its filters the door says so before the content, and
// opens again with the first verdict.
func TestHighWaterMarkOfUnfilteredIsHeardAtTheDoor(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), filterConfig(next.addr, "after")+"queue: {unfiltered_messages: 2}\n"))
	c := dial(t, a.Addr("smtp").String())
	for range 2 {
		if code := readyz(t, a); code != http.StatusOK {
			t.Errorf("readyz: %d below the mark", code)
		}
		c.send(250, "a@example.org", "b@example.net", message)
	}
	refused := func() {
		t.Helper()
		c.do(250, "MAIL FROM:<a@example.org>")
		c.do(250, "RCPT TO:<b@example.net>")
		if reply := c.do(452, "DATA"); !strings.HasPrefix(reply, "4.3.1 ") {
			t.Errorf("got 452 %q", reply)
		}
		c.do(250, "RSET")
	}
	refused()
	refused()
	if code := readyz(t, a); code != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d at the mark", code)
	}
	s := newScanner(t, a)
	s.judge(s.claim().Token, filterproto.Verdict{Disposition: filterproto.Accept})
	c.send(250, "a@example.org", "b@example.net", message)
	refused()
}

// A message that its scanner does not survive is held as poison; the next one
// passes.
func TestPoisonIsHeldAndHarmsNoOther(t *testing.T) {
	next := newSink(t)
	text := strings.Replace(filterConfig(next.addr, "after"), "{words: {}}", "{words: {max_claims: 1}}", 1)
	a, _ := start(t, read(t, t.TempDir(), text+"queue: {max_claims: 3}\n"))
	c := dial(t, a.Addr("smtp").String())
	_, poison := c.send(250, "a@example.org", "b@example.net", message)
	s := newScanner(t, a)
	for range 3 {
		got := s.claim()
		if got.Message.ID != poison {
			t.Fatalf("claimed %s, want %s", got.Message.ID, poison)
		}
		if _, err := s.Release(t.Context(), []string{got.Token}, 0, true); err != nil {
			t.Fatal(err)
		}
	}
	if it := held(t, a, poison); it.Hold.By != "mtad" || it.Hold.Reason != "poison" || it.State != queue.Unfiltered {
		t.Errorf("%v, %+v", it.State, it.Hold)
	}
	_, good := c.send(250, "a@example.org", "c@example.net", message)
	got := s.claim()
	if got.Message.ID != good {
		t.Fatalf("claimed %s, want %s", got.Message.ID, good)
	}
	s.judge(got.Token, filterproto.Verdict{Disposition: filterproto.Accept})
	finished(t, a.Queue(), queue.ID(good))
}
