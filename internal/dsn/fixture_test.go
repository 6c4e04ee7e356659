package dsn

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/queue"
)

// now and accepted are the times in golden files.
var (
	accepted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now      = accepted.Add(2 * time.Hour)
)

// box is a queue that only takes reports, by dedupe key.
type box struct {
	mu      sync.Mutex
	content string // the original
	openErr error
	refuse  func(queue.Envelope, int64) error
	taken   []sent
}

type sent struct {
	env queue.Envelope
	o   queue.CreateOptions
	raw []byte
}

type octets struct {
	io.Reader
	n int64
}

func (o octets) Close() error { return nil }
func (o octets) Size() int64  { return o.n }

func (b *box) open(context.Context, queue.OpenSpec) (queue.Content, error) {
	if b.openErr != nil {
		return nil, b.openErr
	}
	return octets{strings.NewReader(b.content), int64(len(b.content))}, nil
}

func (b *box) submit(_ context.Context, e queue.Envelope, o queue.CreateOptions, w io.WriterTo) (queue.ID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var buf bytes.Buffer
	if _, err := w.WriteTo(&buf); err != nil {
		return "", err
	}
	if b.refuse != nil {
		if err := b.refuse(e, int64(buf.Len())); err != nil {
			return "", err
		}
	}
	for i, s := range b.taken {
		if s.o.DedupeKey == o.DedupeKey {
			return "", &queue.DuplicateError{ID: queue.IDOf(now, 0, uint16(i))}
		}
	}
	b.taken = append(b.taken, sent{e, o, buf.Bytes()})
	return queue.IDOf(now, 0, uint16(len(b.taken)-1)), nil
}

// counting is a source of octets that are the same in each run.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

func (b *box) reporter() *Reporter {
	return New(Options{
		Hostname: "mx.example.org", Open: b.open, Submit: b.submit,
		Now: func() time.Time { return now }, Rand: &counting{},
	})
}

func item(from string, rcpts ...queue.Recipient) queue.Item {
	return queue.Item{
		ID: queue.IDOf(accepted, 1, 7), State: queue.Active, Created: accepted, Expires: accepted.Add(5 * 24 * time.Hour),
		Envelope: queue.Envelope{ReversePath: from, Recipients: rcpts, Client: queue.Client{Helo: "client.example.com"}},
	}
}

func failedTo(path string) queue.Recipient {
	return queue.Recipient{
		Path: path, Status: queue.Failed, Attempts: 1, LastAttempt: now.Add(-time.Minute),
		LastRemote: "mail.example.net", LastReply: "550 5.1.1 no such user", NextHop: "example.net",
	}
}

const simple = "From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\nMessage-ID: <1@example.com>\r\n\r\nBody line.\r\n"

// report makes one report and returns it.
func (b *box) report(t *testing.T, it queue.Item, k Kind, rcpts ...int) sent {
	t.Helper()
	before := len(b.taken)
	if err := b.reporter().Report(context.Background(), it, k, rcpts); err != nil {
		t.Fatal(err)
	}
	if len(b.taken) != before+1 {
		t.Fatalf("%d reports made, want 1", len(b.taken)-before)
	}
	return b.taken[before]
}
