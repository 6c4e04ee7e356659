package app_test

import (
	"fmt"
	"strings"
	"testing"

	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

func milterConfig(next string, s *miltertest.Server, timing, more string) string {
	address := "unix:" + s.Address
	if s.Network == "tcp" {
		address = "inet:" + s.Address
	}
	return fmt.Sprintf(`
listeners: {smtp: {address: "127.0.0.1:0", chain: scan}}
api: {listen: []}
filters: {m: {kind: milter, address: %q, retry_delay: 1s%s}}
chains: {scan: {filters: [m], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
`, address, more, timing, next[len("127.0.0.1:"):])
}

func refuse(command byte, start, reply string) func(miltertest.Packet) []miltertest.Packet {
	return func(p miltertest.Packet) []miltertest.Packet {
		if p.Command == command && strings.HasPrefix(p.Data, start) {
			return []miltertest.Packet{{Command: 'y', Data: reply + "\x00"}}
		}
		return nil
	}
}

func TestInlineMilterRejectsAtTheDot(t *testing.T) {
	s := miltertest.Start(t, "unix")
	s.Answer = refuse('E', "", "550 5.7.1 spam")
	a, _ := start(t, read(t, t.TempDir(), milterConfig("127.0.0.1:1", s, "inline", "")))
	if reply, _ := dial(t, a.Addr("smtp").String()).send(550, "a@example.org", "b@example.net", message); reply != "5.7.1 spam" {
		t.Errorf("got %q", reply)
	}
}

func TestMilterEditsArriveAtTheNextHop(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command == 'E' {
			return []miltertest.Packet{{Command: 'h', Data: "X-Seen\x00yes\x00"}, {Command: 'c'}}
		}
		return nil
	}
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), milterConfig(next.addr, s, "after", "")))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	if got, want := content(t, next.wait(t).data), header+"\r\nX-Seen: yes\r\n\r\n"+body; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	finished(t, a.Queue(), queue.ID(id))
}

func TestMilterInSessionRefusesEachStage(t *testing.T) {
	const session = ", milter: {in_session: true}"
	for name, c := range map[string]struct {
		command byte
		script  func(*client)
	}{
		"helo": {'H', func(x *client) { x.do(554, "EHLO other.test") }},
		"mail": {'M', func(x *client) { x.do(554, "MAIL FROM:<a@example.org>"); x.do(503, "RCPT TO:<b@example.net>") }},
		"rcpt": {'R', func(x *client) {
			x.do(250, "MAIL FROM:<a@example.org>")
			x.do(250, "RCPT TO:<b@example.net>")
			x.do(554, "RCPT TO:<no@example.net>")
			x.do(354, "DATA")
			x.do(250, "Subject: x\r\n\r\n.")
		}},
		"data": {'T', func(x *client) {
			x.do(250, "MAIL FROM:<a@example.org>")
			x.do(250, "RCPT TO:<b@example.net>")
			x.do(554, "DATA")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "unix")
			next := newSink(t)
			a, _ := start(t, read(t, t.TempDir(), milterConfig(next.addr, s, "after", session)))
			x := dial(t, a.Addr("smtp").String())
			start := map[byte]string{'R': "<no@", 'H': "other"}[c.command]
			s.SetAnswer(refuse(c.command, start, "554 5.7.1 no"))
			c.script(x)
		})
	}
}

func TestMilterInSessionIsReloaded(t *testing.T) {
	one, two := miltertest.Start(t, "unix"), miltertest.Start(t, "unix")
	two.Answer = refuse('M', "", "554 5.7.1 two says no")
	dir := t.TempDir()
	a, _ := start(t, read(t, dir, milterConfig("127.0.0.1:1", one, "after", ", milter: {in_session: true}")))
	dial(t, a.Addr("smtp").String()).do(250, "MAIL FROM:<a@example.org>")
	if _, err := a.Reload(t.Context(), read(t, dir, milterConfig("127.0.0.1:1", two, "after", ", milter: {in_session: true}"))); err != nil {
		t.Fatal(err)
	}
	dial(t, a.Addr("smtp").String()).do(554, "MAIL FROM:<a@example.org>")
}

// One connection to the milter for a session, and each message once.
func TestInlineMilterInSessionJudgesEachMessageOnce(t *testing.T) {
	s := miltertest.Start(t, "unix")
	s.Answer = func(p miltertest.Packet) []miltertest.Packet {
		if p.Command == 'E' {
			return []miltertest.Packet{{Command: 'h', Data: "X-Seen\x00yes\x00"}, {Command: 'c'}}
		}
		return nil
	}
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), milterConfig(next.addr, s, "inline", ", milter: {in_session: true}")))
	x := dial(t, a.Addr("smtp").String())
	for range 2 {
		x.send(250, "a@example.org", "b@example.net", message)
		if got := string(content(t, next.wait(t).data)); strings.Count(got, "X-Seen: yes") != 1 {
			t.Errorf("got %q", got)
		}
	}
	fields := strings.Repeat("L", strings.Count(message[:strings.Index(message, "\r\n\r\n")], "\r\n")+1)
	want := "CH" + strings.Repeat("MRT"+fields+"NBE", 2)
	if got := s.Commands(); got != want || s.Connections() != 1 {
		t.Errorf("got %s over %d connections, want %s over one", got, s.Connections(), want)
	}
}

func TestInlineMilterInSessionGetsChunksAndParameters(t *testing.T) {
	s := miltertest.Start(t, "unix")
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), milterConfig(next.addr, s, "inline", ", milter: {in_session: true}")))
	x := dial(t, a.Addr("smtp").String())
	for range 2 {
		x.do(250, "MAIL FROM:<a@example.org> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=QQ")
		x.do(250, "RCPT TO:<B@Example.Net> NOTIFY=FAILURE ORCPT=rfc822;c@example.com")
		x.do(250, "BDAT 8 LAST\r\nX: y\r\n")
		next.wait(t)
	}
	x.do(250, "RSET")
	if got := s.Commands(); got != "CHMRTLNEMRTLNE" || s.Connections() != 1 {
		t.Errorf("got %s over %d connections", got, s.Connections())
	}
}
