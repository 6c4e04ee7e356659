package app_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"mtad/internal/app"
	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// realProxy runs an App with one chain, inline and after the queue, through a
// content filter that scanner starts.
func realProxy(t *testing.T, next string, scanner func(back string) string) *app.App {
	t.Helper()
	back := scannertest.FreeAddr(t)
	addr := scanner(back)
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners:
  inline: {address: "127.0.0.1:0", chain: inline}
  after: {address: "127.0.0.1:0", chain: after}
  back: {address: %q, kind: reinjection}
api: {listen: []}
filters: {av: {kind: smtp, address: %q, retry_delay: 1s}}
chains:
  inline: {filters: [av], timing: inline, wait: 2m}
  after: {filters: [av]}
smarthost: %q
`, back, addr, "[127.0.0.1]:"+port(next))))
	return a
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// checkProxied sends good and bad mail through a content filter, in the dialogue
// and after it. edited says what the filter may have done to good mail.
func checkProxied(t *testing.T, a *app.App, next *sink, bad map[string]string, edited func(got, sent string) bool) {
	t.Helper()
	for _, door := range []string{"inline", "after"} {
		_, id := dial(t, a.Addr(door).String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
		m := next.wait(t)
		if got := content(t, m.data); !edited(got, scannertest.Ham()) || fmt.Sprint(m.to) != "[rcpt@example.net]" || m.from != "sender@example.org" {
			t.Errorf("%s: got %q from %s to %v", door, got, m.from, m.to)
		}
		it := finished(t, a.Queue(), queue.ID(id))
		if it.ID.Message() != queue.ID(id) || len(it.Verdicts) != 1 || it.Verdicts[0].Disposition != "accept" {
			t.Errorf("%s: %s has verdicts %+v", door, it.ID, it.Verdicts)
		}
	}
	for name, text := range bad {
		reply, _ := dial(t, a.Addr("inline").String()).send(5, "sender@example.org", "rcpt@example.net", text)
		_, id := dial(t, a.Addr("after").String()).send(250, "sender@example.org", "rcpt@example.net", text)
		if m := next.wait(t); m.from != "" || fmt.Sprint(m.to) != "[sender@example.org]" {
			t.Errorf("%s: %s; then from %q to %v, want a report", name, reply, m.from, m.to)
		}
		if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[rcpt@example.net failed done]" {
			t.Errorf("%s: %v", name, o)
		}
	}
	if len(next.got) != 0 {
		t.Errorf("%d more messages", len(next.got))
	}
}

func TestAmavisGivesHamBackAndRejectsTheRest(t *testing.T) {
	clamd := scannertest.StartClamd(t)
	next := newSink(t)
	var amavis *scannertest.Amavis
	var v *valve
	a := realProxy(t, next.addr, func(back string) string {
		v = newValve(t, back)
		amavis = scannertest.StartAmavis(t, clamd, v.addr)
		return amavis.Addr
	})
	fields := func(got, sent string) bool {
		// amavisd puts its own fields on top, and nothing else.
		added, ok := strings.CutSuffix(got, sent)
		return ok && strings.HasPrefix(added, "X-Virus-Scanned: ") && strings.Contains(added, "Received: from mx.test")
	}
	checkProxied(t, a, next, map[string]string{"EICAR": scannertest.Virus(), "GTUBE": scannertest.Spam()}, fields)

	// Killed when it has scanned a message and is about to give it back.
	held := v.shut()
	_, id := dial(t, a.Addr("after").String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	<-held
	amavis.Kill()
	it, err := a.Queue().Get(t.Context(), queue.ID(id))
	if err != nil || it.State != queue.Unfiltered {
		t.Errorf("%v, %v: want it to wait unfiltered", it.State, err)
	}
	amavis.Restart()
	if got := content(t, next.wait(t).data); !fields(got, scannertest.Ham()) {
		t.Errorf("after the restart: %q", got)
	}
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[rcpt@example.net relayed done]" || len(next.got) != 0 {
		t.Errorf("%v, %d more messages", o, len(next.got))
	}
}

func TestClamsmtpPassesHamAndRejectsAVirus(t *testing.T) {
	clamd := scannertest.StartClamd(t)
	next := newSink(t)
	a := realProxy(t, next.addr, func(back string) string { return scannertest.StartClamsmtp(t, clamd, back).Addr })
	checkProxied(t, a, next, map[string]string{"EICAR": scannertest.Virus()}, func(got, sent string) bool {
		header, body, _ := strings.Cut(sent, "\r\n\r\n")
		return got == header+"\r\nX-Virus-Scanned: by clamsmtp\r\n\r\n"+body
	})
	clamd.Kill()
	reply, _ := dial(t, a.Addr("inline").String()).send(4, "sender@example.org", "rcpt@example.net", scannertest.Virus())
	clamd.Restart()
	again, _ := dial(t, a.Addr("inline").String()).send(5, "sender@example.org", "rcpt@example.net", scannertest.Virus())
	if !strings.Contains(reply, "4.7.1") || !strings.Contains(again, "Virus Detected") {
		t.Errorf("got %q without clamd, %q with it", reply, again)
	}
}
