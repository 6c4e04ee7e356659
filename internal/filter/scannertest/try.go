package scannertest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// Trace is the Received field of the messages that Try makes.
const Trace = "Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n" +
	"\tby mx.example.net with ESMTP id 0SADCGS0G0000;\r\n\tSun, 22 Nov 2026 02:00:00 +0000\r\n"

// Envelope is the envelope of the messages that Try makes.
func Envelope() queue.Envelope {
	return queue.Envelope{
		ReversePath: "sender@example.org",
		Recipients:  []queue.Recipient{{Path: "rcpt@example.net", Transport: "discard"}},
		Client:      queue.Client{Address: "192.0.2.1", Name: "mail.example.org", Helo: "mail.example.org", Protocol: "ESMTP"},
	}
}

// Setup is what Try is given beside the message; the zero value will do.
type Setup struct {
	Timeout  time.Duration // of a scan; default a minute
	Envelope *queue.Envelope
}

// Outcome is what a kind made of a message.
type Outcome struct {
	Verdict filterproto.Verdict
	Err     error
	// Item and Content are the message afterwards, for a verdict that was carried
	// out and left something.
	Item    queue.Item
	Content string
}

// Class is the failure class of Err; "" when it has none.
func (o Outcome) Class() filter.Class {
	var f *filter.Failure
	if errors.As(o.Err, &f) {
		return f.Class
	}
	return ""
}

// Try shows one message to a kind, through an engine that does what the verdict
// says.
func Try(t testing.TB, kind filter.Kind, message string, s Setup) Outcome {
	t.Helper()
	q := queuetest.NewModel(queuetest.ModelOptions{})
	defer q.Close()
	answers := make(chan Outcome, 1)
	e, err := filter.New(filter.Options{
		Queue:  q,
		Chains: map[string]filter.Chain{"c": {Filters: []string{"f"}}},
		Filters: map[string]filter.Definition{"f": {
			Kind: "test", Timeout: s.Timeout, RetryDelay: time.Hour, Concurrency: 1,
			Scanner: filter.KindFunc(func(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
				v, err := kind.Scan(ctx, m)
				answers <- Outcome{Verdict: v, Err: err}
				return v, err
			}),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	defer func() { stop(); running.Wait() }()
	commit(t, q, message, s)
	var o Outcome
	select {
	case o = <-answers:
	case <-time.After(2 * time.Minute):
		t.Fatal("no answer in two minutes")
	}
	if o.Err == nil && o.Verdict.Disposition == filterproto.Accept {
		o.Item, o.Content = result(t, q)
	}
	return o
}

func commit(t testing.TB, q queue.Queue, message string, s Setup) {
	t.Helper()
	env := Envelope()
	if s.Envelope != nil {
		env = *s.Envelope
	}
	w, err := q.Create(context.Background(), env, queue.CreateOptions{Chain: "c", Stage: "f",
		Trace: func(queue.ID) []byte { return []byte(Trace) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, message); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// result waits for the message to come out of the chain, held or not.
func result(t testing.TB, q queue.Queue) (queue.Item, string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		p, err := q.List(context.Background(), queue.Filter{}, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range p.Items {
			if it.State == queue.Incoming {
				return it, read(t, q, it.ID)
			}
		}
		<-tick.C
	}
	t.Fatal("the message does not come out of its chain")
	return queue.Item{}, ""
}

func read(t testing.TB, q queue.Queue, id queue.ID) string {
	t.Helper()
	c, err := q.Open(context.Background(), queue.OpenSpec{ID: id, Generation: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Serve runs a scripted server on loopback until the test ends; each connection
// is served on its own and closed when serve returns. Connections left open are
// broken at the end.
func Serve(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() { defer c.Close(); serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}
