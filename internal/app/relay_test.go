package app_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"mtad/queue"

	"github.com/emersion/go-smtp"
)

const message = "Subject: a test\r\nFrom: a@example.org\r\n\r\n.a line with a dot\r\n\r\ntext\twith \"marks\"  \r\n"

// content takes our Received field off: what is left has to be what was sent.
func content(t *testing.T, data []byte) string {
	t.Helper()
	rest, ok := bytes.CutPrefix(data, []byte("Received: from "))
	if !ok {
		t.Fatalf("no Received field of ours on top:\n%s", data)
	}
	for {
		line, after, found := bytes.Cut(rest, []byte("\r\n"))
		if !found {
			t.Fatalf("no end of the Received field:\n%s", data)
		}
		_ = line
		rest = after
		if len(rest) == 0 || rest[0] != ' ' && rest[0] != '\t' {
			return string(rest)
		}
	}
}

func relayConfig(next string) string {
	return fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0"}
api: {listen: ["127.0.0.1:0"]}
smarthost: "[127.0.0.1]:%s"
delivery: {min_backoff: 1h, max_backoff: 2h}
`, next[len("127.0.0.1:"):])
}

func TestMessageIsRelayedOctetByOctet(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), relayConfig(next.addr)))
	c := dial(t, a.Addr("smtp").String())
	_, id := c.send(250, "a@example.org", "b@example.net", message)
	got := next.wait(t)
	if got.from != "a@example.org" || fmt.Sprint(got.to) != "[b@example.net]" {
		t.Errorf("envelope: from %q to %q", got.from, got.to)
	}
	if text := content(t, got.data); text != message {
		t.Errorf("got %q, want %q", text, message)
	}
	it := finished(t, a.Queue(), queue.ID(id))
	if r := it.Envelope.Recipients[0]; r.Status != queue.Relayed || r.Attempts != 1 {
		t.Errorf("recipient: %+v", r)
	}
}

func TestTransientRefusalDefersAndAFlushDelivers(t *testing.T) {
	next := newSink(t)
	next.refuseNext(&smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "busy"})
	a, _ := start(t, read(t, t.TempDir(), relayConfig(next.addr)))
	events := watch(t, a.Queue())
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	events.await(queue.EventDeferred)
	it, err := a.Queue().Get(t.Context(), queue.ID(id))
	if err != nil || it.State != queue.Deferred || it.Envelope.Recipients[0].Attempts != 1 {
		t.Fatalf("got %v %+v, want one attempt and deferred", err, it)
	}
	if _, err := a.Queue().Bulk(t.Context(), queue.Filter{States: []queue.State{queue.Deferred}}, queue.Action{Kind: queue.ActionFlush, By: "operator:test"}); err != nil {
		t.Fatal(err)
	}
	if text := content(t, next.wait(t).data); text != message {
		t.Errorf("got %q, want %q", text, message)
	}
	finished(t, a.Queue(), queue.ID(id))
}

func TestPermanentRefusalMakesAReportThatArrives(t *testing.T) {
	next := newSink(t)
	next.refuseNext(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here"})
	a, _ := start(t, read(t, t.TempDir(), relayConfig(next.addr)))
	_, id := dial(t, a.Addr("smtp").String()).send(250, "a@example.org", "b@example.net", message)
	got := next.wait(t)
	if got.from != "" || fmt.Sprint(got.to) != "[a@example.org]" {
		t.Errorf("report: from %q to %q, want from the null reverse-path to the sender", got.from, got.to)
	}
	for _, want := range []string{"multipart/report", "Final-Recipient: rfc822;b@example.net", "Status: 5.1.1", id} {
		if !bytes.Contains(bytes.ReplaceAll(got.data, []byte("rfc822; "), []byte("rfc822;")), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, got.data)
		}
	}
	finished(t, a.Queue(), queue.ID(id))
}

func TestStrangersAreNotRelayed(t *testing.T) {
	a, _ := start(t, read(t, t.TempDir(), relayConfig("127.0.0.1:1")+"mynetworks: []\nrelay_domains: [example.net]\n"))
	c := dial(t, a.Addr("smtp").String())
	c.do(250, "MAIL FROM:<a@example.org>")
	c.do(554, "RCPT TO:<b@example.com>")
	c.do(250, "RCPT TO:<b@example.net>")
	c.do(250, "RCPT TO:<alice@mx.test>")
}

// finished waits until every part of a message is finished and returns the
// first.
func finished(t *testing.T, q queue.Queue, id queue.ID) queue.Item {
	t.Helper()
	s, err := q.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); {
		items, err := q.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		done := len(items) > 0
		for _, it := range items {
			done = done && it.Outcome != nil
		}
		if done {
			return items[0]
		}
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("%s is not finished", id)
	return queue.Item{}
}

// events is the stream of what happens in a queue.
type events struct {
	t *testing.T
	s queue.EventStream
}

func watch(t *testing.T, q queue.Queue) *events {
	t.Helper()
	s, err := q.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &events{t, s}
}

// await returns the next event of a kind.
func (e *events) await(kind queue.EventKind) queue.Event {
	e.t.Helper()
	for {
		ev, err := e.s.Next(e.t.Context())
		if err != nil {
			e.t.Fatal(err)
		}
		if ev.Kind == kind {
			return ev
		}
	}
}
