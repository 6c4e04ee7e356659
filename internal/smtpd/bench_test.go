package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mtad/internal/intake"
	"mtad/queue"
)

// sink is a queue that takes everything and keeps nothing.
type sink struct {
	queue.Queue
	n atomic.Uint32
}

type sinkWriter struct{ id queue.ID }

func (q *sink) Create(_ context.Context, _ queue.Envelope, o queue.CreateOptions) (queue.Writer, error) {
	w := &sinkWriter{id: queue.IDOf(time.Now(), 1, uint16(q.n.Add(1)))}
	if o.Trace != nil {
		o.Trace(w.id)
	}
	return w, nil
}

func (q *sink) Close() error { return nil }

func (w *sinkWriter) ID() queue.ID                               { return w.id }
func (w *sinkWriter) Write(p []byte) (int, error)                { return len(p), nil }
func (w *sinkWriter) Stage(context.Context) error                { return nil }
func (w *sinkWriter) Wait(context.Context) ([]queue.Item, error) { return nil, nil }
func (w *sinkWriter) Commit(context.Context) (queue.Item, error) { return queue.Item{ID: w.id}, nil }
func (w *sinkWriter) Abort() error                               { return nil }

func sinkServer(tb testing.TB, change ...func(*Options)) (*Server, string) {
	tb.Helper()
	o := Options{Hostname: "mx.example.org", Networks: loopback, Intake: intake.New(intake.Options{Queue: &sink{}, Hostname: "mx.example.org"})}
	for _, f := range change {
		f(&o)
	}
	srv, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return srv, listen(tb, srv)
}

// BenchmarkSession is one 10 KB message over a connection that stays, with a
// client that waits for each reply as smtp-source does.
func BenchmarkSession(b *testing.B) {
	_, addr := sinkServer(b, func(o *Options) { o.Limits.Messages = -1 })
	content := append(bytes.Repeat([]byte(strings.Repeat("x", 78)+"\r\n"), 128), ".\r\n"...)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	b.SetParallelism(25)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		say := func(p []byte) {
			if _, err := conn.Write(p); err != nil {
				b.Error(err)
			}
			if line, err := r.ReadSlice('\n'); err != nil || line[0] > '3' {
				b.Errorf("%q %v", line, err)
			}
		}
		_, _ = r.ReadSlice('\n') // the greeting
		say([]byte("HELO client.example\r\n"))
		for pb.Next() {
			say([]byte("MAIL FROM:<a@client.example>\r\n"))
			say([]byte("RCPT TO:<b@example.org>\r\n"))
			say([]byte("DATA\r\n"))
			say(content)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	in := append(bytes.Repeat([]byte(strings.Repeat("x", 78)+"\r\n"), 128), ".\r\n"...)
	buf := make([]byte, len(in))
	b.SetBytes(int64(len(in)))
	emit := func([]byte) {}
	for b.Loop() {
		copy(buf, in)
		d := decoder{dots: true, maxLine: 1 << 20}
		d.decode(buf, emit)
	}
}

// perConnection is what one more connection costs, client's end included.
func perConnection(t *testing.T, n int, addr string, then func(net.Conn)) int64 {
	t.Helper()
	before := inUse()
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		then(conn)
	}
	return (inUse() - before) / int64(n)
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func readReply(t *testing.T, conn net.Conn, prefix string) {
	t.Helper()
	b := make([]byte, 1024)
	n, err := conn.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), prefix) {
		t.Fatalf("%q, %v; want %s", b[:n], err, prefix)
	}
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	const n, limit = 400, 40 << 10
	for name, then := range map[string]func(net.Conn){
		"after EHLO": func(c net.Conn) {
			readReply(t, c, "220")
			fmt.Fprint(c, "EHLO x\r\n")
			readReply(t, c, "250")
		},
		"after a message": func(c net.Conn) {
			readReply(t, c, "220")
			fmt.Fprintf(c, "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
			for range 4 {
				readReplyLine(t, c)
			}
			fmt.Fprintf(c, "%s\r\n.\r\n", strings.Repeat("x", 100_000))
			readReply(t, c, "250")
		},
		"in content, slowly": func(c net.Conn) {
			readReply(t, c, "220")
			fmt.Fprintf(c, "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
			for range 4 {
				readReplyLine(t, c)
			}
			fmt.Fprint(c, "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := sinkServer(t)
			if got := perConnection(t, n, addr, then); got > limit {
				t.Errorf("%d octets for one connection, want at most %d", got, limit)
			} else {
				t.Logf("%d octets for one connection", got)
			}
		})
	}
}

// readReplyLine reads one line, octet by octet, so that nothing is buffered.
func readReplyLine(t *testing.T, r io.Reader) {
	t.Helper()
	var b [1]byte
	for b[0] != '\n' {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			t.Fatal(err)
		}
	}
}
