package app_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"mtad/internal/app"
	"mtad/queue"
)

// startProxied runs an App whose chain scan is the proxy p.
func startProxied(t *testing.T, p *proxy, next, timing, more string) *app.App {
	t.Helper()
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0", chain: scan}
  back: {address: "127.0.0.1:0", kind: reinjection}
api: {listen: []}
filters: {av: {kind: smtp, address: %q, retry_delay: 1s%s}}
chains: {scan: {filters: [av], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
`, p.ln.Addr().String(), more, timing, next[len("127.0.0.1:"):])))
	p.back.Store(a.Addr("back").String())
	return a
}

// sendTo hands a message in for several recipients.
func (x *client) sendTo(code int, message string, rcpts ...string) (reply, id string) {
	x.t.Helper()
	x.do(250, "MAIL FROM:<a@example.org>")
	for _, r := range rcpts {
		x.do(250, "RCPT TO:<%s>", r)
	}
	x.do(354, "DATA")
	w := x.c.DotWriter()
	fmt.Fprint(w, strings.ReplaceAll(message, "\r\n", "\n"))
	if err := w.Close(); err != nil {
		x.t.Fatal(err)
	}
	reply = x.expect(code)
	for _, word := range strings.Fields(reply) {
		if len(word) == 13 {
			id = word
		}
	}
	return reply, id
}

// outcomes are the parts of a finished message: recipients with their status.
func outcomes(t *testing.T, q queue.Queue, id string) []string {
	t.Helper()
	finished(t, q, queue.ID(id))
	items, err := q.History(t.Context(), queue.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, it := range items {
		for _, r := range it.Envelope.Recipients {
			list = append(list, fmt.Sprintf("%s %s %s", r.Path, r.Status, it.Outcome.Disposition))
		}
	}
	slices.Sort(list)
	return list
}

func isBack(t *testing.T, got, want string) {
	t.Helper()
	if !strings.HasPrefix(got, want) {
		t.Errorf("given back: %q, want %s", got, want)
	}
}

func TestMessageThatComesBackKeepsItsIDAndOctets(t *testing.T) {
	for _, forwards := range []bool{true, false} {
		next := newSink(t)
		var seen atomic.Pointer[handed]
		p := newProxy(t, forwards, func(h *handed) string {
			seen.Store(h)
			isBack(t, h.back(h.data), "250 2.0.0 taken as ")
			return "250 ok"
		})
		a := startProxied(t, p, next.addr, "after", "")
		_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
		if text := content(t, next.wait(t).data); text != message {
			t.Errorf("got %q, want %q", text, message)
		}
		h0 := seen.Load()
		it := finished(t, a.Queue(), queue.ID(id))
		if n := len(it.Generations); n != 1 {
			t.Errorf("%d generations of the same octets", n)
		}
		if forwards && (!strings.HasPrefix(h0.forward["IDENT"], id+".") || h0.forward["ADDR"] != "127.0.0.1" || h0.forward["HELO"] != "client.test" || h0.forward["SOURCE"] != "REMOTE") {
			t.Errorf("XFORWARD said %v", h0.forward)
		}
		if had := strings.Contains(h0.data, "X-Mtad-Ident:"); had == forwards {
			t.Errorf("the proxy was handed %q", h0.data)
		}
		if len(next.got) != 0 || p.scans() != 1 {
			t.Errorf("%d more messages, %d scans", len(next.got), p.scans())
		}
	}
}

func TestWhatTheContentFilterChangedIsTheMessage(t *testing.T) {
	next := newSink(t)
	p := newProxy(t, true, func(h *handed) string {
		data := "Received: from mx.test by proxy\r\nX-Virus-Scanned: yes\r\n" + strings.Replace(h.data, "Subject: a test", "Subject: [checked] a test", 1) + "-- \r\nfooter\r\n"
		isBack(t, h.backAs(h.forward["IDENT"], "<bounce@example.org>", data, "<b@example.net>", "<added@example.net>"), "250")
		return "250 ok"
	})
	a := startProxied(t, p, next.addr, "inline", "")
	_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, "b@example.net", "c@example.net")
	got := next.wait(t)
	want := "Received: from mx.test by proxy\r\nX-Virus-Scanned: yes\r\n" + strings.Replace(message, "Subject: a test", "Subject: [checked] a test", 1) + "-- \r\nfooter\r\n"
	if text := content(t, got.data); text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	if got.from != "bounce@example.org" || fmt.Sprint(got.to) != "[b@example.net added@example.net]" {
		t.Errorf("from %s to %v", got.from, got.to)
	}
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[added@example.net relayed done b@example.net relayed done c@example.net removed done]" {
		t.Errorf("%v", o)
	}
}

func TestRepliesOfTheContentFilterAreTheVerdict(t *testing.T) {
	for _, c := range []struct{ reply, timing, want string }{
		{"554 5.7.0 Reject - INFECTED: Eicar", "inline", "554 5.7.0 Reject - INFECTED: Eicar"},
		{"451 4.5.0 busy", "inline", "451 4.5.0 busy"},
		{"250 2.7.0 discarded", "inline", "250 "},
	} {
		next := newSink(t)
		a := startProxied(t, newProxy(t, true, func(*handed) string { return c.reply }), next.addr, c.timing, "")
		code := 0
		fmt.Sscan(c.want, &code)
		reply, _ := dial(t, a.Addr("smtp").String()).send(code, "a@example.org", "b@example.net", message)
		if got := fmt.Sprint(code, " ", reply); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q", c.reply, got)
		}
		if tally, err := a.Queue().Count(t.Context(), queue.Filter{}); err != nil || tally.Messages != 0 {
			t.Errorf("%s: %d messages are in the queue, %v", c.reply, tally.Messages, err)
		}
	}
}

func TestContentFilterRejectsAfterTheQueue(t *testing.T) {
	next := newSink(t)
	a := startProxied(t, newProxy(t, true, func(*handed) string { return "554 5.7.0 virus" }), next.addr, "after", "")
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	if got := next.wait(t); got.from != "" || fmt.Sprint(got.to) != "[a@example.org]" {
		t.Errorf("report: from %q to %q", got.from, got.to)
	}
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b@example.net failed done]" {
		t.Errorf("%v", o)
	}
}

// A filter that splits gives each of two recipients their own; the third is
// dropped by its 250, or rejected by its 5yz. One commit follows.
func TestContentFilterThatSplits(t *testing.T) {
	for reply, want := range map[string]string{
		"250 2.0.0 ok":    "[b@example.net relayed done c@example.net relayed done d@example.net pending discarded]",
		"554 5.7.1 no, d": "[b@example.net relayed done c@example.net relayed done d@example.net failed done]",
	} {
		next := newSink(t)
		p := newProxy(t, true, func(h *handed) string {
			isBack(t, h.back("X-For: b\r\n"+h.data, "<b@example.net>"), "250 2.0.0 kept")
			isBack(t, h.back("X-For: c\r\n"+h.data, "<c@example.net>"), "250 2.0.0 kept")
			isBack(t, h.back("X-For: b\r\n"+h.data, "<b@example.net>"), "250 2.0.0 taken before")
			return reply
		})
		a := startProxied(t, p, next.addr, "after", "")
		_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, "b@example.net", "c@example.net", "d@example.net")
		got := map[string]bool{}
		for range 2 {
			m := next.wait(t)
			if m.from == "" {
				m = next.wait(t) // the report about d
			}
			got[fmt.Sprint(m.to)+strings.SplitN(content(t, m.data), "\r\n", 2)[0]] = true
		}
		if !got["[b@example.net]X-For: b"] || !got["[c@example.net]X-For: c"] {
			t.Errorf("got %v", got)
		}
		if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != want {
			t.Errorf("%s: %v, want %s", reply, o, want)
		}
	}
}

func TestContentFilterThatGivesBackForAllInPiecesCommitsWithTheLast(t *testing.T) {
	next, played := newSink(t), make(chan struct{})
	p := newProxy(t, true, func(h *handed) string {
		isBack(t, h.back("X-For: b\r\n"+h.data, "<b@example.net>"), "250 2.0.0 kept")
		isBack(t, h.back("X-For: c\r\n"+h.data, "<c@example.net>"), "250 2.0.0 taken as")
		isBack(t, h.back(h.data, "<x@example.net>"), "554 5.7.1")
		close(played)
		return "451 4.0.0 what was said before counts"
	})
	a := startProxied(t, p, next.addr, "after", "")
	_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, "b@example.net", "c@example.net")
	next.wait(t)
	next.wait(t)
	<-played
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b@example.net relayed done c@example.net relayed done]" {
		t.Errorf("%v", o)
	}
}

func TestRewrittenRecipientTakesThePlaceOfItsOriginal(t *testing.T) {
	next := newSink(t)
	p := newProxy(t, true, func(h *handed) string {
		isBack(t, h.back(h.data, "<b+spam@example.net> NOTIFY=NEVER ORCPT=rfc822;b@example.net", "<c@example.net>"), "250 2.0.0 taken as")
		return "250 ok"
	})
	a := startProxied(t, p, next.addr, "inline", "")
	_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, "b@example.net", "c@example.net")
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b+spam@example.net relayed done b@example.net removed done c@example.net relayed done]" {
		t.Errorf("%v", o)
	}
	for _, r := range finished(t, a.Queue(), queue.ID(id)).Envelope.Recipients {
		if r.Path == "b+spam@example.net" && (r.Notify != queue.NotifyNever || r.ORCPT != "rfc822;b@example.net") {
			t.Errorf("%+v lost its parameters", r)
		}
	}
}

// The connection to the filter ends at each step; the message is scanned again,
// and arrives once.
func TestContentFilterThatDiesLosesAndDoublesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		play  func(*testing.T, *handed) string
		scans int
	}{
		"before anything": {func(*testing.T, *handed) string { return "" }, 2},
		"after a part came back": {func(t *testing.T, h *handed) string {
			isBack(t, h.back("X-For: b\r\n"+h.data, "<b@example.net>"), "250 2.0.0 kept")
			return ""
		}, 2},
		"after all came back": {func(t *testing.T, h *handed) string {
			isBack(t, h.back(h.data), "250 2.0.0 taken as")
			return ""
		}, 1},
		"with garbage":   {func(*testing.T, *handed) string { return "hello" }, 2},
		"after nonsense": {func(*testing.T, *handed) string { return "500 5.5.2 what" }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			next := newSink(t)
			var first atomic.Pointer[handed]
			p := newProxy(t, true, func(h *handed) string {
				first.Store(h)
				return c.play(t, h)
			}, func(h *handed) string {
				// What the dead scan gives back now is not taken.
				late := first.Load()
				isBack(t, late.back(late.data), "451 4.7.1")
				isBack(t, h.back(h.data), "250 2.0.0 taken as")
				return "250 ok"
			})
			a := startProxied(t, p, next.addr, "after", "")
			_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, "b@example.net", "c@example.net")
			if text := content(t, next.wait(t).data); text != message {
				t.Errorf("got %q", text)
			}
			if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b@example.net relayed done c@example.net relayed done]" {
				t.Errorf("%v", o)
			}
			late := first.Load()
			isBack(t, late.back(late.data), map[int]string{1: "250 2.0.0 taken before", 2: "451 4.7.1"}[c.scans])
			if len(next.got) != 0 || p.scans() != c.scans {
				t.Errorf("%d more messages, %d scans", len(next.got), p.scans())
			}
		})
	}
}

func TestNothingComesInAtAReinjectionListenerUnpaired(t *testing.T) {
	p := newProxy(t, true, func(*handed) string { return "250" })
	a := startProxied(t, p, "127.0.0.1:1", "after", "")
	h := &handed{p: p, rcpts: []string{"<b@example.net>"}, mail: "FROM:<a@example.org>"}
	for _, ident := range []string{"", "x", "0SADRA1T80000", "0SADRA1T80000.AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		isBack(t, h.backAs(ident, "<a@example.org>", message), "451 4.7.1")
		isBack(t, h.backAs(ident, "<a@example.org>", "X-Mtad-Ident: "+ident+"\r\n"+message), "451 4.7.1")
	}
	if tally, err := a.Queue().Count(t.Context(), queue.Filter{}); err != nil || tally.Messages != 0 {
		t.Errorf("%d messages are in the queue, %v", tally.Messages, err)
	}
}

func TestStrangersCannotReachAReinjectionListener(t *testing.T) {
	p := newProxy(t, true, func(*handed) string { return "250" })
	a, _ := start(t, read(t, t.TempDir(), fmt.Sprintf(`
listeners:
  back: {address: "127.0.0.1:0", kind: reinjection, xforward: [192.0.2.1]}
filters: {av: {kind: smtp, address: %q}}
api: {listen: []}
`, p.ln.Addr())))
	p.back.Store(a.Addr("back").String())
	h := &handed{p: p, rcpts: []string{"<b@example.net>"}, mail: "FROM:<a@example.org>"}
	isBack(t, h.backAs("x", "<a@example.org>", message), "554 5.7.1")
}

func TestMessageThatGrewTooMuchIsNoRejection(t *testing.T) {
	next := newSink(t)
	p := newProxy(t, true, func(h *handed) string {
		isBack(t, h.back(h.data+strings.Repeat("more\r\n", 1000)), "552")
		return "554 5.3.4 too big"
	}, func(h *handed) string { h.back(h.data); return "250 ok" })
	a := startProxied(t, p, next.addr, "after", ", smtp: {growth: 1K}")
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b@example.net relayed done]" {
		t.Errorf("%v", o)
	}
}

func TestLMTPContentFilterAnswersForEachRecipient(t *testing.T) {
	next := newSink(t)
	p := newProxy(t, true, func(h *handed) string {
		isBack(t, h.back("X-For: b\r\n"+h.data, "<b@example.net>"), "250 2.0.0 kept")
		return "250 2.0.0 for b\n550 5.7.1 not for c\n250 2.0.0 dropped for d"
	})
	a := startProxied(t, p, next.addr, "after", ", smtp: {protocol: lmtp}")
	_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, "b@example.net", "c@example.net", "d@example.net")
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b@example.net relayed done c@example.net failed done d@example.net pending discarded]" {
		t.Errorf("%v", o)
	}
}

// A filter that never answers costs its own message some time, and nobody else
// anything; what it gives back then is not taken.
func TestContentFilterThatHangsIsLeftAlone(t *testing.T) {
	next := newSink(t)
	hung, release := make(chan *handed, 1), make(chan struct{})
	p := newProxy(t, true, func(h *handed) string {
		hung <- h
		<-release
		return "250 ok"
	}, func(h *handed) string { isBack(t, h.back(h.data), "250"); return "250 ok" })
	defer close(release)
	a := startProxied(t, p, next.addr, "after", ", timeout: 1s")
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	h := <-hung
	_, other := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "c@example.net", message)
	if m := next.wait(t); fmt.Sprint(m.to) != "[c@example.net]" {
		t.Errorf("first to arrive: %v", m.to)
	}
	finished(t, a.Queue(), queue.ID(other))
	if o := outcomes(t, a.Queue(), id); fmt.Sprint(o) != "[b@example.net relayed done]" {
		t.Errorf("%v", o)
	}
	isBack(t, h.back(h.data), "451 4.7.1")
	if next.wait(t); len(next.got) != 0 {
		t.Errorf("%d more messages", len(next.got))
	}
}

// Two messages at a time are not mixed up, whatever the order in which they come
// back; one cannot be given back as the other.
func TestMessagesAreNotMixedUp(t *testing.T) {
	next := newSink(t)
	both := make(chan *handed, 2)
	done := make(chan struct{})
	play := func(h *handed) string {
		both <- h
		<-done
		return "250 ok"
	}
	a := startProxied(t, newProxy(t, true, play), next.addr, "after", "")
	c := dial(t, a.Addr("smtp").String())
	c.send(250, "a@example.org", "b@example.net", "Subject: for b\r\n\r\n")
	c.send(250, "a@example.org", "c@example.net", "Subject: for c\r\n\r\n")
	x, y := <-both, <-both
	isBack(t, x.back(x.data), "250 2.0.0 taken as "+x.forward["IDENT"][:13])
	isBack(t, y.back(y.data), "250 2.0.0 taken as "+y.forward["IDENT"][:13])
	isBack(t, y.backAs(x.forward["IDENT"], y.from(), y.data), "554 5.7.1")
	close(done)
	for range 2 {
		m := next.wait(t)
		if want := "Subject: for " + m.to[0][:1] + "\r\n\r\n"; content(t, m.data) != want {
			t.Errorf("%v got %q", m.to, m.data)
		}
	}
	if len(next.got) != 0 {
		t.Errorf("%d more messages", len(next.got))
	}
}
