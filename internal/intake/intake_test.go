package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"mtad/internal/smtp"
	"mtad/queue"
	"mtad/queue/queuetest"
)

var envelope = queue.Envelope{ReversePath: "a@client.example", Recipients: []queue.Recipient{{Path: "b@example.org"}, {Path: "c@example.net"}}}

func open(t *testing.T, in *Intake, d Door) *Message {
	t.Helper()
	m, err := in.Open(context.Background(), envelope, d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(t *testing.T, m *Message, s string) {
	t.Helper()
	if _, err := io.WriteString(m, s); err != nil {
		t.Fatal(err)
	}
}

func tally(t *testing.T, q queue.Queue) int64 {
	t.Helper()
	n, err := q.Count(context.Background(), queue.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return n.Messages
}

func TestMessageExistsAfterCloseAndNotBefore(t *testing.T) {
	q := queuetest.NewModel()
	m := open(t, New(Options{Queue: q, Hostname: "mx.example.org"}), Door{Origin: queue.OriginHTTP})
	write(t, m, "Subject: x\r\n\r\n")
	if n := tally(t, q); n != 0 {
		t.Errorf("%d messages before Close", n)
	}
	res, err := m.Close(context.Background())
	if err != nil || !res.Committed || res.Reply.Code != 250 || res.ID != m.ID() || len(res.Items) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	it := res.Items[0]
	if r := it.Envelope.Recipients; it.Origin != queue.OriginHTTP || r[0].Transport != "smtp" || r[0].NextHop != "example.org" {
		t.Errorf("item %+v", it)
	}
	if envelope.Recipients[0].Transport != "" {
		t.Error("the caller's envelope was changed")
	}
	if _, err := m.Close(context.Background()); err == nil {
		t.Error("closed twice")
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	q := queuetest.NewModel()
	m := open(t, New(Options{Queue: q}), Door{})
	write(t, m, "x")
	if err := m.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Write([]byte("y")); err == nil {
		t.Error("wrote after Abort")
	}
	if n := tally(t, q); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestSizeIsBoundedAtItsLimit(t *testing.T) {
	q := queuetest.NewModel()
	in := New(Options{Queue: q})
	m := open(t, in, Door{MaxSize: 10})
	write(t, m, "0123456789")
	if res, err := m.Close(context.Background()); err != nil {
		t.Errorf("at the limit: %+v, %v", res, err)
	}
	m = open(t, in, Door{MaxSize: 10})
	write(t, m, "0123456789")
	if _, err := m.Write([]byte("x")); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("one past: %v", err)
	}
	res, err := m.Close(context.Background())
	if !errors.Is(err, queue.ErrTooLarge) || res.Committed || res.Reply.Code != 552 || res.Reply.Enhanced != "5.3.4" {
		t.Errorf("%+v, %v", res, err)
	}
	if n := tally(t, q); n != 2 { // one for each next hop
		t.Errorf("%d items", n)
	}
}

func TestLoopIsRefusedOnePastTheLimit(t *testing.T) {
	in := New(Options{Queue: queuetest.NewModel(), MaxReceived: 2})
	field := "Received: x\r\n"
	m := open(t, in, Door{})
	write(t, m, strings.Repeat(field, 2)+"\r\n")
	if res, err := m.Close(context.Background()); err != nil {
		t.Errorf("at the limit: %+v, %v", res, err)
	}
	m = open(t, in, Door{})
	_, _ = m.Write([]byte(strings.Repeat(field, 3)))
	if res, err := m.Close(context.Background()); !errors.Is(err, ErrLoop) || res.Reply.Code != 554 || res.Reply.Enhanced != "5.4.6" {
		t.Errorf("one past: %+v, %v", res, err)
	}
}

func TestDuplicateIsAnsweredWithTheFirstID(t *testing.T) {
	q := queuetest.NewModel()
	in := New(Options{Queue: q})
	var first queue.ID
	for i := range 2 {
		m := open(t, in, Door{DedupeKey: "k"})
		write(t, m, "x")
		res, err := m.Close(context.Background())
		if err != nil || !res.Committed || res.Duplicate != (i == 1) || res.Reply.Code != 250 {
			t.Fatalf("%+v, %v", res, err)
		}
		if i == 0 {
			first = res.ID
		} else if res.ID != first || !strings.Contains(res.Reply.Text, string(first)) {
			t.Errorf("%+v, want %s", res, first)
		}
	}
	if n := tally(t, q); n != 2 { // one for each next hop
		t.Errorf("%d items", n)
	}
}

func TestRoutesAreResolvedAndTheirRefusalIsTheReply(t *testing.T) {
	want := smtp.Reply{Code: 550, Enhanced: "5.1.2", Text: "no such domain"}
	in := New(Options{Queue: queuetest.NewModel(), Route: func(path string) (string, string, error) {
		if path == "c@example.net" {
			return "", "", fmt.Errorf("route: %w", want)
		}
		return "maildir", "b", nil
	}})
	_, err := in.Open(context.Background(), envelope, Door{})
	if got := ReplyOf(err); got != want {
		t.Errorf("%v: %v", err, got)
	}
}

func TestRouteErrorBecomesAReplyBeforeTheContentAndAnItemAfter(t *testing.T) {
	q := queuetest.NewModel()
	for next, want := range map[string]string{
		"5.1.6 moved": "550 5.1.6 moved", "551 5.1.6 moved": "551 5.1.6 moved", "250 ok": "550 5.1.1 250 ok", "4.2.1 later": "450 4.2.1 later", "no such user": "550 5.1.1 no such user", "": "550 5.1.1 recipient refused", "2.0.0 ok": "550 5.1.1 2.0.0 ok",
	} {
		in := New(Options{Queue: q, Route: func(string) (string, string, error) { return "error", next, nil }})
		if _, _, err := in.Route("b@example.org"); ReplyOf(err).String() != want {
			t.Errorf("%q: %v, want %s", next, err, want)
		}
		if m, err := in.Open(context.Background(), envelope, Door{}); err != nil {
			t.Error(err)
		} else {
			_ = m.Abort()
		}
	}
}

func TestNoRecipients(t *testing.T) {
	in := New(Options{Queue: queuetest.NewModel()})
	if _, err := in.Open(context.Background(), queue.Envelope{}, Door{}); !errors.Is(err, ErrNoRecipients) {
		t.Error(err)
	}
}

func TestReplyOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{queue.ErrFull, "452 4.3.1"},
		{fmt.Errorf("x: %w", queue.ErrFull), "452 4.3.1"},
		{queue.ErrTooLarge, "552 5.3.4"},
		{queue.ErrUnavailable, "451 4.3.0"},
		{queue.ErrUncertain, "451 4.3.0"},
		{queue.ErrInvalid, "554 5.6.0"},
		{queue.ErrCorrupt, "451 4.3.0"},
		{ErrLoop, "554 5.4.6"},
		{ErrNoRecipients, "554 5.5.1"},
		{ErrNoVerdict, "451 4.7.1"},
		{context.Canceled, "451 4.3.2"},
		{context.DeadlineExceeded, "451 4.3.0"},
		{errors.New("pebble: secret path /var/x"), "451 4.3.0"},
		{smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "x"}, "550 5.1.1"},
		{smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "x"}, "451 4.3.0"},
	} {
		got := ReplyOf(c.err)
		if !strings.HasPrefix(got.String(), c.want) || strings.Contains(got.Text, "secret") {
			t.Errorf("%v: %v, want %s", c.err, got, c.want)
		}
	}
	if !ReplyOf(nil).IsZero() {
		t.Error("a reply for no error")
	}
}

// The replies are those of the error codes that API and metrics use.
func TestRepliesAreThoseOfTheErrorCodes(t *testing.T) {
	b, err := os.ReadFile("../../spec/errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Code string
		SMTP struct {
			Code           int
			Enhanced, Text string
		}
	}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	codes := map[string]error{
		"queue_full": queue.ErrHighWater, "storage_full": queue.ErrFull, "message_too_large": queue.ErrTooLarge, "unavailable": queue.ErrUnavailable,
		"uncertain": queue.ErrUncertain, "corrupt": queue.ErrCorrupt, "internal": errors.New("unknown"),
	}
	for _, c := range list {
		want := smtp.Reply{Code: c.SMTP.Code, Enhanced: c.SMTP.Enhanced, Text: c.SMTP.Text}
		if e := codes[c.Code]; e != nil && ReplyOf(e) != want {
			t.Errorf("%s: %v, want %v", c.Code, ReplyOf(e), want)
		}
		delete(codes, c.Code)
	}
	if len(codes) != 0 {
		t.Errorf("not in errors.json: %v", codes)
	}
}

// failing is a queue whose writers fail where they are told to.
type failing struct {
	queue.Queue
	commit, write error
	aborted       int
}

type failingWriter struct {
	queue.Writer
	q *failing
}

func (q *failing) Create(ctx context.Context, e queue.Envelope, o queue.CreateOptions) (queue.Writer, error) {
	w, err := q.Queue.Create(ctx, e, o)
	return &failingWriter{w, q}, err
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.q.write != nil {
		return 0, w.q.write
	}
	return w.Writer.Write(p)
}

func (w *failingWriter) Commit(ctx context.Context) (queue.Item, error) {
	if w.q.commit != nil {
		return queue.Item{}, w.q.commit
	}
	return w.Writer.Commit(ctx)
}

func (w *failingWriter) Abort() error {
	w.q.aborted++
	return w.Writer.Abort()
}

func TestErrorsOfTheStoreAreNeverAPositiveReply(t *testing.T) {
	for _, cause := range []error{queue.ErrFull, queue.ErrUncertain, queue.ErrUnavailable, errors.New("unknown")} {
		for _, q := range []*failing{{commit: cause}, {write: cause}} {
			q.Queue = queuetest.NewModel()
			m := open(t, New(Options{Queue: q}), Door{})
			_, _ = m.Write([]byte("x"))
			res, err := m.Close(context.Background())
			if !errors.Is(err, cause) || res.Committed || !res.Reply.Transient() {
				t.Errorf("%v: %+v, %v", cause, res, err)
			}
			if q.aborted != 1 {
				t.Errorf("%v: aborted %d times", cause, q.aborted)
			}
		}
	}
}

func inline(q queue.Queue, timing Timing, wait time.Duration) *Intake {
	return New(Options{Queue: q, Plan: func(chain string) Plan {
		return Plan{Stage: "f", Timing: timing, Wait: wait}
	}})
}

// judge takes the next claim of the filter and ends it.
func judge(t *testing.T, q queue.Queue, ops ...queue.Op) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx := context.Background()
		list, err := q.Claim(ctx, queue.ClaimSpec{From: queue.Unfiltered, Stage: "f", Holder: "t", Max: 1, Lease: time.Minute, Wait: 20 * time.Second})
		if err == nil && len(list) == 1 {
			_, err = q.Apply(ctx, queue.Txn{Token: list[0].Token, Ops: ops})
		}
		done <- err
	}()
	return done
}

func TestInlineVerdicts(t *testing.T) {
	for _, c := range []struct {
		name  string
		ops   []queue.Op
		reply string
		kept  int64
	}{
		{"accept", []queue.Op{queue.Move{To: queue.Incoming}}, "250 2.0.0", 2},
		{"reject", []queue.Op{queue.Finish{Disposition: queue.Rejected, Reply: "554 5.7.1 spam"}}, "554 5.7.1 spam", 0},
		{"discard", []queue.Op{queue.Finish{Disposition: queue.Discarded}}, "250 2.0.0", 0},
		{"split, one rejected", []queue.Op{
			queue.Split{Parts: []queue.Part{{Recipients: []int{0}, Ops: []queue.Op{queue.Finish{Disposition: queue.Rejected, Reply: "550 5.7.1 no"}}}}},
			queue.Move{To: queue.Incoming}}, "250 2.0.0", 1},
		{"split, both rejected, one for now", []queue.Op{
			queue.Split{Parts: []queue.Part{{Recipients: []int{0}, Ops: []queue.Op{queue.Finish{Disposition: queue.Rejected, Reply: "451 4.7.1 later"}}}}},
			queue.Finish{Disposition: queue.Rejected, Reply: "550 5.7.1 no"}}, "451 4.7.1 later", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := queuetest.NewModel()
			m := open(t, inline(q, Inline, 0), Door{Chain: "c"})
			write(t, m, "x\r\n")
			done := judge(t, q, c.ops...)
			res, err := m.Close(context.Background())
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if err != nil || !strings.HasPrefix(res.Reply.String(), c.reply) || res.Committed != res.Reply.Positive() {
				t.Errorf("%+v, %v", res, err)
			}
			if n := tally(t, q); n != c.kept {
				t.Errorf("%d items kept, want %d", n, c.kept)
			}
			if h, err := q.History(context.Background(), m.ID()); err != nil || len(h) == 0 {
				t.Errorf("no history: %v", err)
			}
		})
	}
}

func TestNoVerdictInTime(t *testing.T) {
	q := queuetest.NewModel()
	m := open(t, inline(q, Inline, time.Millisecond), Door{Chain: "c"})
	res, err := m.Close(context.Background())
	if !errors.Is(err, ErrNoVerdict) || res.Reply.Code != 451 || tally(t, q) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	m = open(t, inline(q, InlineThenPark, time.Millisecond), Door{Chain: "c"})
	res, err = m.Close(context.Background())
	if err != nil || !res.Committed || res.Reply.Code != 250 || tally(t, q) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestWaitingEndsWithTheContextAndKeepsNothing(t *testing.T) {
	for _, timing := range []Timing{Inline, InlineThenPark} {
		q := queuetest.NewModel()
		m := open(t, inline(q, timing, time.Minute), Door{Chain: "c"})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		res, err := m.Close(ctx)
		if err == nil || res.Committed || !res.Reply.Transient() || tally(t, q) != 0 {
			t.Errorf("%v: %+v, %v", timing, res, err)
		}
	}
}

func TestDoorWithoutChainIsNotFiltered(t *testing.T) {
	q := queuetest.NewModel()
	m := open(t, inline(q, Inline, time.Minute), Door{})
	res, err := m.Close(context.Background())
	if err != nil || res.Items[0].State != queue.Incoming {
		t.Errorf("%+v, %v", res, err)
	}
}
