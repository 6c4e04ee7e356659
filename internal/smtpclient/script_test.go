package smtpclient

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// peer is the other end of a session, played by a test: it says and expects
// lines, and reports what differs.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// say sends lines; each gets its CRLF.
func (p *peer) say(lines ...string) {
	for _, l := range lines {
		if _, err := io.WriteString(p.conn, l+"\r\n"); err != nil {
			return
		}
	}
}

func (p *peer) raw(s string) { _, _ = io.WriteString(p.conn, s) }

// hear reads a line and wants it to be this.
func (p *peer) hear(want ...string) {
	for _, w := range want {
		line, err := p.r.ReadString('\n')
		if got := strings.TrimSuffix(line, "\r\n"); err != nil || got != w {
			p.t.Errorf("client said %q (%v), want %q", got, err, w)
		}
	}
}

// data reads up to the final dot and returns it with the dots as sent.
func (p *peer) data() string {
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == ".\r\n" && (b.Len() == 3 || strings.HasSuffix(b.String(), "\r\n.\r\n")) {
			return b.String()
		}
	}
}

// script runs play as the server, once for each connection.
func script(t *testing.T, play ...func(p *peer)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range play {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(&peer{t, c, bufio.NewReader(c)})
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// hello is the start of a session with these extensions.
func (p *peer) hello(ext ...string) {
	p.say("220 test ESMTP")
	p.hear("EHLO client.test")
	for i, e := range append([]string{"hop.test"}, ext...) {
		sep := "-"
		if i == len(ext) {
			sep = " "
		}
		p.say("250" + sep + e)
	}
}

func clientOptions() Options { return Options{Hostname: "client.test", Timeouts: quick} }

// quick bounds a test that went wrong; no test waits for one of these, but for
// those that say so.
var quick = Timeouts{
	Connect: 20 * time.Second, Greeting: 20 * time.Second, Command: 20 * time.Second, DataInit: 20 * time.Second,
	DataBlock: 20 * time.Second, DataEnd: 20 * time.Second, Quit: 20 * time.Second,
}

func connect(t *testing.T, address string, o Options) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), "tcp", address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func to(paths ...string) []Recipient {
	var list []Recipient
	for _, p := range paths {
		list = append(list, Recipient{Path: p})
	}
	return list
}

func message(content string, paths ...string) *Transaction {
	return &Transaction{ReversePath: "from@client.test", Recipients: to(paths...), Size: int64(len(content))}
}

func send(c *Conn, t *Transaction, content string) *Outcome {
	return c.Send(context.Background(), t, strings.NewReader(content))
}

// show prints an outcome: one word for each recipient, then the error.
func show(o *Outcome) string {
	var words []string
	for _, r := range o.Results {
		words = append(words, fmt.Sprintf("[%s: %s]", r.Stage, r.Reply))
	}
	if o.Err != nil {
		words = append(words, "error at "+string(o.Err.Stage))
	}
	return strings.Join(words, " ")
}

func expect(t *testing.T, o *Outcome, want string) {
	t.Helper()
	if got := show(o); got != want {
		t.Errorf("outcome\n got %s\nwant %s", got, want)
	}
}
