package qmgr

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mtad/internal/deliver"
	"mtad/internal/dsn"
	"mtad/internal/smtp"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// stand is a manager over a model of the queue, with a transport that answers as
// the test says. Under synctest its time is free.
type stand struct {
	t  *testing.T
	q  queue.Queue
	m  *Manager
	o  Options
	mu sync.Mutex
	// answer is asked for each recipient; nil delivers.
	answer func(ctx context.Context, path string) deliver.Result
	tries  []string // "path" of each attempt, in order
	times  []time.Time
	dsnIDs map[queue.ID]bool // reports that were tried

	stopped chan struct{}
	cancel  context.CancelFunc
}

var (
	busy    = smtp.Reply{Code: 450, Enhanced: "4.2.1", Text: "busy"}
	unknown = smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}
	ok      = smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: "ok"}
	refused = smtp.Reply{Code: 451, Enhanced: "4.4.1", Text: "connection refused"}
)

func relayed(context.Context, string) deliver.Result {
	return deliver.Result{Status: queue.Relayed, Reply: ok, Remote: "mx.example.net"}
}

func transient(context.Context, string) deliver.Result {
	return deliver.Result{Status: queue.Pending, Reply: busy, Remote: "mx.example.net"}
}

func permanent(context.Context, string) deliver.Result {
	return deliver.Result{Status: queue.Failed, Reply: unknown, Remote: "mx.example.net"}
}

func newStand(t *testing.T, o Options) *stand {
	s := &stand{t: t, q: queuetest.NewModel(), o: o, dsnIDs: map[queue.ID]bool{}}
	if o.Queue != nil {
		s.q = o.Queue
	}
	s.o.Queue = s.q
	if s.o.Transports == nil {
		s.o.Transports = map[string]deliver.Transport{"smtp": s}
	}
	if s.o.Report == nil {
		s.o.Report = dsn.New(dsn.Options{
			Hostname: "mx.example.org", Open: s.q.Open,
			Submit: dsn.Into(s.q, func(path string) (string, string, error) { return "smtp", "back.example", nil }),
		}).Report
	}
	if s.o.Rand == nil {
		s.o.Rand = func() float64 { return 0.5 }
	}
	if testing.Verbose() {
		s.o.Logger = slog.New(slog.NewTextHandler(logTo{t}, nil))
	}
	return s
}

type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// Deliver is the transport.
func (s *stand) Deliver(ctx context.Context, j deliver.Job) []deliver.Result {
	var rs []deliver.Result
	for _, i := range j.Recipients {
		path := j.Item.Envelope.Recipients[i].Path
		s.mu.Lock()
		s.tries = append(s.tries, path)
		s.times = append(s.times, time.Now())
		if j.Item.Origin == queue.OriginDSN {
			s.dsnIDs[j.Item.ID] = true
		}
		answer := s.answer
		s.mu.Unlock()
		r := relayed(ctx, path)
		if answer != nil && !strings.HasPrefix(path, "sender@") && !strings.HasPrefix(path, "postmaster@") {
			r = answer(ctx, path)
		}
		r.Index = i
		rs = append(rs, r)
	}
	return rs
}

func (s *stand) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.stopped = cancel, make(chan struct{})
	s.m = New(s.o)
	go func() {
		defer close(s.stopped)
		if err := s.m.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}()
}

func (s *stand) stop() {
	s.cancel()
	<-s.stopped
}

// put accepts a message from sender@example.com for the paths, each routed to
// smtp and its domain; edit may change it before.
func (s *stand) put(edit func(*queue.Envelope, *queue.CreateOptions), paths ...string) queue.ID {
	s.t.Helper()
	e := queue.Envelope{ReversePath: "sender@example.com"}
	for _, p := range paths {
		_, domain, _ := strings.Cut(p, "@")
		e.Recipients = append(e.Recipients, queue.Recipient{Path: p, Transport: "smtp", NextHop: domain})
	}
	var o queue.CreateOptions
	if edit != nil {
		edit(&e, &o)
	}
	w, err := s.q.Create(context.Background(), e, o)
	if err == nil {
		_, err = fmt.Fprintf(w, "Subject: test\r\n\r\nBody.\r\n")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	it, err := w.Commit(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return it.ID.Message()
}

// tried is how often a path was tried.
func (s *stand) tried(path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.tries {
		if p == path {
			n++
		}
	}
	return n
}

func (s *stand) history(id queue.ID) []queue.Item {
	s.t.Helper()
	its, err := s.q.History(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return its
}

// only is the one part of a message.
func (s *stand) only(id queue.ID) queue.Item {
	s.t.Helper()
	its := s.history(id)
	if len(its) != 1 {
		s.t.Fatalf("%d parts, want 1", len(its))
	}
	return its[0]
}

func (s *stand) finished(id queue.ID) bool {
	for _, it := range s.history(id) {
		if it.Outcome == nil {
			return false
		}
	}
	return true
}

func (s *stand) apply(id queue.ID, ops ...queue.Op) {
	s.t.Helper()
	if _, err := s.q.Apply(context.Background(), queue.Txn{ID: id, Force: true, By: "operator:test", Ops: ops}); err != nil {
		s.t.Fatal(err)
	}
}

// in runs f in a bubble with a running stand, and stops it after.
func in(t *testing.T, o Options, f func(*stand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, o)
		s.start()
		f(s)
		s.stop()
	})
}

// pass lets time pass and what is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
