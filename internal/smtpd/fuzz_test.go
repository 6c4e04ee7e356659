package smtpd

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"mtad/internal/intake"
	"mtad/queue"
)

// recorder is a queue that remembers what was committed, in order, under IDs
// that are the same in each run.
type recorder struct {
	sink
	taken []string
}

type recordWriter struct {
	sinkWriter
	q       *recorder
	env     queue.Envelope
	content bytes.Buffer
}

func (q *recorder) Create(_ context.Context, e queue.Envelope, _ queue.CreateOptions) (queue.Writer, error) {
	id := queue.IDOf(time.Unix(1_700_000_000, 0), 1, uint16(q.n.Add(1)))
	return &recordWriter{sinkWriter: sinkWriter{id: id}, q: q, env: e}, nil
}

func (w *recordWriter) Write(p []byte) (int, error) { return w.content.Write(p) }

func (w *recordWriter) Commit(context.Context) (queue.Item, error) {
	text := "from " + w.env.ReversePath
	for _, r := range w.env.Recipients {
		text += " to " + r.Path
	}
	w.q.taken = append(w.q.taken, text+"\n"+w.content.String())
	return queue.Item{ID: w.id}, nil
}

// converse runs a whole session on input that comes in pieces of size octets.
func converse(t *testing.T, input []byte, size int, ends LineEnds) (replies string, taken []string) {
	q := &recorder{}
	srv, err := New(Options{
		Hostname: "mx.example.org", LineEnds: ends,
		Local:  func(d string) bool { return d == "example.org" },
		Intake: intake.New(intake.Options{Queue: q}),
		Limits: Limits{Size: 4000, CommandLine: 512, TextLine: 1000, Greeting: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &script{input: bytes.Clone(input), size: size}
	newSession(srv, c).serve(false)
	return c.out.String(), q.taken
}

// script is a connection whose client says input in pieces and hangs up.
type script struct {
	net.Conn
	input []byte
	size  int
	out   bytes.Buffer
}

func (c *script) Read(p []byte) (int, error) {
	if len(c.input) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.input)
	c.input = c.input[n:]
	return n, nil
}

func (c *script) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *script) Close() error                     { return nil }
func (c *script) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

var replyLine = regexp.MustCompile(`^[2-5][0-9][0-9][ -][ -~]*$`)

// Whatever a client sends: every octet that goes back is a well-formed reply,
// nothing goes to a recipient that is not ours, and the split of the input
// changes nothing.
func FuzzSession(f *testing.F) {
	hello := "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.org>\r\n"
	f.Add([]byte(hello+"DATA\r\nx\r\n..\r\n.\r\nQUIT\r\n"), byte(3), false)
	f.Add([]byte(hello+"BDAT 3\r\nx\r\nBDAT 0 LAST\r\nQUIT\r\n"), byte(1), true)
	f.Add([]byte(hello+"RCPT TO:<x%else.example@example.org>\r\nRCPT TO:<@a:b@c>\r\nQUIT\r\n"), byte(5), false)
	f.Add([]byte(hello+"DATA\r\nx\n.\n"+smuggled+"QUIT\r\n"), byte(7), false)
	f.Add([]byte("NOOP "+strings.Repeat("x", 600)+"\r\nQUIT\r\n"), byte(100), false)
	f.Add([]byte("NOOP "+strings.Repeat("x", 600)+"\x00\rx\r\nQUIT\r\n"), byte(100), false)
	f.Fuzz(func(t *testing.T, input []byte, size byte, norm bool) {
		ends := Reject
		if norm {
			ends = Normalize
		}
		replies, taken := converse(t, input, len(input)+1, ends)
		again, taken2 := converse(t, input, max(1, int(size)), ends)
		if strings.Join(taken, "|") != strings.Join(taken2, "|") {
			t.Fatalf("%q: took %q at once, %q in pieces", input, taken, taken2)
		}
		if replies != again {
			t.Fatalf("%q: said %q at once, %q in pieces", input, replies, again)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(replies, "\r\n"), "\r\n") {
			if !replyLine.MatchString(line) {
				t.Fatalf("%q: reply line %q", input, line)
			}
		}
		for _, m := range taken {
			envelope, _, _ := strings.Cut(m, "\n")
			for _, to := range strings.Split(envelope, " to ")[1:] {
				local, domain, _ := strings.Cut(to, "@")
				if !strings.EqualFold(domain, "example.org") && !strings.EqualFold(to, "postmaster@mx.example.org") || strings.ContainsAny(local, "%!") {
					t.Fatalf("%q: mail for %q was taken", input, to)
				}
			}
		}
	})
}
