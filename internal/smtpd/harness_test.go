package smtpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"mtad/internal/intake"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// loopback is the network that the tests' clients come from.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// door is a server on a loopback port over a model queue. Its clients are
// strangers unless a test lists loopback in Networks.
type door struct {
	t    *testing.T
	srv  *Server
	q    queue.Queue
	addr string
}

func openDoor(t *testing.T, change ...func(*Options, *intake.Options)) *door {
	t.Helper()
	q := queue.Queue(queuetest.NewModel())
	o := Options{
		Hostname: "mx.example.org",
		Local:    func(d string) bool { return d == "example.org" || d == "[127.0.0.1]" },
		Relay:    func(d string) bool { return d == "relay.example" || d == "xn--bcher-kva.example" },
		Limits:   Limits{Greeting: -1},
	}
	io := intake.Options{Queue: q, Hostname: o.Hostname}
	for _, f := range change {
		f(&o, &io)
	}
	if o.Intake == nil {
		o.Intake = intake.New(io)
	}
	srv, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, srv: srv, q: io.Queue, addr: listen(t, srv)}
	t.Cleanup(func() { srv.Close(); q.Close() })
	return d
}

func listen(t testing.TB, srv *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return l.Addr().String()
}

func trust(o *Options, _ *intake.Options) { o.Networks = loopback }

// peer is a client that says what a test tells it to.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (d *door) dial() *peer {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &peer{t: d.t, conn: conn, r: bufio.NewReader(conn)}
}

func (p *peer) send(raw string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, raw); err != nil {
		p.t.Fatalf("send %q: %v", raw, err)
	}
}

// reply reads one reply with all its lines.
func (p *peer) reply() string {
	p.t.Helper()
	var all strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("after %q: %v", all.String(), err)
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return all.String()
		}
	}
}

func (p *peer) want(prefix string) string {
	p.t.Helper()
	got := p.reply()
	if !strings.HasPrefix(got, prefix) {
		p.t.Fatalf("reply %q, want %q", got, prefix)
	}
	return got
}

// wantEnd expects that the server closes.
func (p *peer) wantEnd() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err == nil {
		rest, _ := p.r.Peek(p.r.Buffered())
		p.t.Fatalf("got %q, want the end", string(b)+string(rest))
	}
}

// talk runs a dialogue: "> line" is sent with CRLF, `> "raw\n"` as it is, and
// "< 250 2.1" wants a reply that begins so. "< end" wants the connection closed.
func (p *peer) talk(script string) {
	p.t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, `> "`):
			raw, err := strconv.Unquote(line[2:])
			if err != nil {
				p.t.Fatalf("%s: %v", line, err)
			}
			p.send(raw)
		case strings.HasPrefix(line, "> "):
			p.send(line[2:] + "\r\n")
		case line == "< end":
			p.wantEnd()
		case strings.HasPrefix(line, "< "):
			p.want(line[2:])
		case line != "" && line[0] != '#':
			p.t.Fatalf("bad script line %q", line)
		}
	}
}

// ready is a session after EHLO.
func (d *door) ready() *peer {
	d.t.Helper()
	p := d.dial()
	p.talk("< 220\n> EHLO client.example\n< 250")
	return p
}

// inData is a session that was told 354.
func (d *door) inData() *peer {
	d.t.Helper()
	p := d.ready()
	p.talk("> MAIL FROM:<a@client.example>\n< 250\n> RCPT TO:<b@example.org>\n< 250\n> DATA\n< 354")
	return p
}

// messages are all items in the queue, with their content.
func (d *door) messages() []queue.Item {
	d.t.Helper()
	page, err := d.q.List(context.Background(), queue.Filter{}, "", 1000)
	if err != nil {
		d.t.Fatal(err)
	}
	return page.Items
}

func (d *door) wantMessages(n int) []queue.Item {
	d.t.Helper()
	items := d.messages()
	if len(items) != n {
		d.t.Fatalf("%d messages in the queue, want %d: %+v", len(items), n, items)
	}
	return items
}

func (d *door) content(id queue.ID) string {
	d.t.Helper()
	c, err := d.q.Open(context.Background(), queue.OpenSpec{ID: id, Generation: -1})
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// wantContent expects one message with this content.
func (d *door) wantContent(want string) queue.Item {
	d.t.Helper()
	it := d.wantMessages(1)[0]
	if got := d.content(it.ID); got != want {
		d.t.Fatalf("content %q, want %q", got, want)
	}
	return it
}

func normalize(o *Options, _ *intake.Options) { o.LineEnds = Normalize }

func itoa(n int) string { return strconv.Itoa(n) }

// patient gives early talkers all the time that they need: a test's client
// speaks at once, or waits for the greeting that comes when it does not.
func patient(o *Options, _ *intake.Options) { o.Limits.Greeting = 10 * time.Second }
