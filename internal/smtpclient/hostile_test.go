package smtpclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func dialError(t *testing.T, o Options, play ...func(p *peer)) *Error {
	t.Helper()
	c, err := Dial(context.Background(), "tcp", script(t, play...), o)
	if err == nil {
		_ = c.Close()
		t.Fatal("a session came about")
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	return e
}

func TestGreetingThatIsNoneEndsTheSession(t *testing.T) {
	endless := func(line string) func(p *peer) {
		return func(p *peer) {
			for {
				if _, err := io.WriteString(p.conn, line); err != nil {
					return
				}
			}
		}
	}
	for name, c := range map[string]struct {
		play  func(p *peer)
		want  error
		reply string
	}{
		"closed":        {func(p *peer) {}, io.EOF, ""},
		"half a line":   {func(p *peer) { p.raw("220 he") }, io.EOF, ""},
		"half a reply":  {func(p *peer) { p.raw("220-hello\r\n") }, io.EOF, ""},
		"garbage":       {func(p *peer) { p.say("HTTP/1.1 400 Bad Request") }, ErrProtocol, ""},
		"binary":        {func(p *peer) { p.raw("\x16\x03\x01\x00\x00\n") }, ErrProtocol, ""},
		"empty line":    {func(p *peer) { p.say("") }, ErrProtocol, ""},
		"code 1yz":      {func(p *peer) { p.say("120 wait") }, ErrProtocol, ""},
		"code 6yz":      {func(p *peer) { p.say("620 what") }, ErrProtocol, ""},
		"no separator":  {func(p *peer) { p.say("220+x") }, ErrProtocol, ""},
		"two codes":     {func(p *peer) { p.say("220-a", "554 b") }, ErrProtocol, ""},
		"wrong code":    {func(p *peer) { p.say("250 ok") }, ErrProtocol, ""},
		"endless line":  {endless(strings.Repeat("2", 1000)), ErrTooLong, ""},
		"endless lines": {endless("220-hello\r\n"), ErrTooLong, ""},
		"421":           {func(p *peer) { p.say("421 4.3.2 busy") }, nil, "421 4.3.2 busy"},
		"554":           {func(p *peer) { p.say("554-no", "554 service") }, nil, "554 no service"},
	} {
		t.Run(name, func(t *testing.T) {
			e := dialError(t, clientOptions(), c.play)
			if e.Stage != StageGreeting || !errors.Is(e.Err, c.want) || e.Reply.String() != c.reply {
				t.Errorf("got %v, want %v %q", e, c.want, c.reply)
			}
		})
	}
}

// A peer that closes at any step: recipients that had their answer keep it, the
// others have none, and only after the final dot is the outcome uncertain.
func TestConnectionMayEndAtEachStep(t *testing.T) {
	const both = "RCPT TO:<a@x.test>"
	for _, c := range []struct {
		name string
		play func(p *peer)
		want string
		sent bool
	}{
		{"before MAIL", func(p *peer) {}, "[MAIL FROM: ] [MAIL FROM: ] error at MAIL FROM", false},
		{"after MAIL", func(p *peer) { p.say("250 ok") }, "[RCPT TO: ] [RCPT TO: ] error at RCPT TO", false},
		{"after RCPT", func(p *peer) { p.say("250 ok", "550 no") }, "[RCPT TO: 550 no] [RCPT TO: ] error at RCPT TO", false},
		{"after two RCPT", func(p *peer) { p.say("250 ok", "550 no", "250 ok") }, "[RCPT TO: 550 no] [DATA: ] error at DATA", false},
		{"421 to MAIL", func(p *peer) { p.say("421 4.3.2 bye") }, "[MAIL FROM: 421 4.3.2 bye] [MAIL FROM: 421 4.3.2 bye] error at MAIL FROM", false},
		{"421 to RCPT", func(p *peer) { p.say("250 ok", "550 no", "421 bye") }, "[RCPT TO: 550 no] [RCPT TO: 421 bye] error at RCPT TO", false},
		{"421 to DATA", func(p *peer) { p.say("250 ok", "250 ok", "250 ok", "421 bye") }, "[DATA: 421 bye] [DATA: 421 bye] error at DATA", false},
		{"354 to MAIL", func(p *peer) { p.say("354 what") }, "[MAIL FROM: ] [MAIL FROM: ] error at MAIL FROM", false},
		{"250 to DATA", func(p *peer) { p.say("250 ok", "250 ok", "250 ok", "250 ok") }, "[DATA: ] [DATA: ] error at DATA", false},
		{"garbage to RCPT", func(p *peer) { p.say("250 ok", "?") }, "[RCPT TO: ] [RCPT TO: ] error at RCPT TO", false},
		{"after the dot", func(p *peer) { p.say("250 ok", "550 no", "250 ok", "354 go"); p.data() },
			"[RCPT TO: 550 no] [end of data: ] error at end of data", true},
		{"421 after the dot", func(p *peer) { p.say("250 ok", "550 no", "250 ok", "354 go"); p.data(); p.say("421 bye") },
			"[RCPT TO: 550 no] [end of data: 421 bye] error at end of data", true},
		{"354 after the dot", func(p *peer) { p.say("250 ok", "250 ok", "250 ok", "354 go"); p.data(); p.say("354 more") },
			"[end of data: ] [end of data: ] error at end of data", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := script(t, func(p *peer) {
				p.hello("PIPELINING")
				p.hear("MAIL FROM:<from@client.test>", both, "RCPT TO:<b@x.test>", "DATA")
				c.play(p)
			})
			conn := connect(t, addr, clientOptions())
			out := send(conn, message(mail, "a@x.test", "b@x.test"), mail)
			expect(t, out, c.want)
			if out.Sent != c.sent || conn.Usable() {
				t.Errorf("sent %v, usable %v", out.Sent, conn.Usable())
			}
		})
	}
}

func TestReplyInTheMiddleOfContentIsHeard(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING")
		p.hear("MAIL FROM:<from@client.test>", "RCPT TO:<a@x.test>", "DATA")
		p.say("250 ok", "250 ok", "354 go", "552 5.3.4 too much")
		_, _ = io.CopyN(io.Discard, p.r, 100_000) // then no more
	})
	tx := message("", "a@x.test")
	tx.Size = -1
	out := connect(t, addr, clientOptions()).Send(context.Background(), tx, &endless{left: 64 << 20})
	if out.Err == nil || out.Sent {
		t.Fatalf("%s, sent %v", show(out), out.Sent)
	}
	// The kernel may have dropped the reply with the connection.
	if r := out.Results[0].Reply; r.Code != 552 && !r.IsZero() {
		t.Errorf("reply %v", r)
	}
}

// endless is content of a size that is not worth making.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	return n, nil
}

func TestSilentPeerIsGivenUp(t *testing.T) {
	o := clientOptions()
	o.Timeouts.Greeting = time.Millisecond
	e := dialError(t, o, func(p *peer) { _, _ = p.r.ReadByte() })
	if e.Stage != StageGreeting || cause(e) != "timeout" {
		t.Errorf("got %v", e)
	}
	o = clientOptions()
	o.Timeouts.DataEnd = time.Millisecond
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING")
		p.hear("MAIL FROM:<from@client.test>", "RCPT TO:<a@x.test>", "DATA")
		p.say("250 ok", "250 ok", "354 go")
		p.data()
		p.raw("250-slow") // drips, and never ends
		_, _ = p.r.ReadByte()
	})
	out := send(connect(t, addr, o), message(mail, "a@x.test"), mail)
	if out.Err == nil || !out.Sent || cause(out.Err) != "timeout" {
		t.Errorf("%s: %v", show(out), out.Err)
	}
}

func cause(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	return err.Error()
}

func TestEndOfContextEndsTheTransaction(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING")
		p.hear("MAIL FROM:<from@client.test>")
		cancel()
		_, _ = io.Copy(io.Discard, p.r)
	})
	out := connect(t, addr, clientOptions()).Send(ctx, message(mail, "a@x.test"), strings.NewReader(mail))
	if out.Err == nil || out.Sent {
		t.Errorf("%s", show(out))
	}
}

func TestUnsolicitedReplyIsNotTakenForTheNextOne(t *testing.T) {
	said, quit := make(chan struct{}), make(chan struct{})
	addr := script(t, func(p *peer) {
		p.hello()
		p.hear("MAIL FROM:<from@client.test>")
		p.raw("550 no\r\n250 2.0.0 taken, honestly\r\n")
		close(said)
		<-quit
	})
	c := connect(t, addr, clientOptions())
	expect(t, send(c, message(mail, "a@x.test"), mail), "[MAIL FROM: 550 no]")
	<-said
	out := send(c, message(mail, "a@x.test"), mail)
	close(quit)
	if out.Err == nil || !out.Results[0].Reply.IsZero() {
		t.Errorf("%s", show(out))
	}
}

func TestReplyIsReadAsItComes(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.raw("220-a\n220 b\n") // LF alone
		p.hear("EHLO client.test")
		for _, piece := range strings.Split("250-x\r\n250-PIPE|LINING\r|\n25|0 SIZE 9|9\r\n", "|") {
			p.raw(piece)
		}
		p.hear("MAIL FROM:<from@client.test> SIZE=20", "RCPT TO:<a@x.test>", "DATA")
		p.raw("250\r\n550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 \x01us\xffer\r\n554 5.7.1\r\n")
	})
	out := send(connect(t, addr, clientOptions()), message(mail, "a@x.test"), mail)
	r := out.Results[0].Reply
	if r.Code != 550 || r.Enhanced != "5.1.1" || r.Text != "no\nsuch\n?us?er" {
		t.Errorf("%+v", r)
	}
}

// slowly runs a session with a peer of its own, on a clock that jumps, and
// returns how it ended and how long it took.
func slowly(t *testing.T, tx *Transaction, content io.Reader, play func(p *peer)) (out *Outcome, took time.Duration) {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		defer func() { _ = there.Close() }()
		play(&peer{t, there, bufio.NewReaderSize(there, 16)})
	}()
	c, err := Open(context.Background(), here, Options{})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	out = c.Send(context.Background(), tx, content)
	return out, time.Since(begun)
}

// A peer that answers each RCPT just in time is cut off all the same.
func TestEnvelopeHasALimitOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tx := message(mail, strings.Fields(strings.Repeat("a@x.test ", 50))...)
		out, took := slowly(t, tx, strings.NewReader(mail), func(p *peer) {
			p.say("220 slow")
			for {
				if _, err := p.r.ReadString('\n'); err != nil {
					return
				}
				time.Sleep(4 * time.Minute)
				p.say("250 ok")
			}
		})
		if out.Err == nil || cause(out.Err) != "timeout" || took > 21*time.Minute {
			t.Errorf("after %v: %v", took, out.Err)
		}
	})
}

// A peer that takes the content drop by drop is cut off as well.
func TestContentHasALimitOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tx := message("", "a@x.test")
		tx.Size = 16 << 20
		out, took := slowly(t, tx, &endless{left: 16 << 20}, func(p *peer) {
			p.say("220 slow")
			for _, reply := range []string{"250 ok", "250 ok", "250 ok", "354 go"} {
				if _, err := p.r.ReadString('\n'); err != nil {
					return
				}
				p.say(reply)
			}
			for drop := make([]byte, 4096); ; time.Sleep(10 * time.Second) {
				if _, err := p.conn.Read(drop); err != nil {
					return
				}
			}
		})
		if out.Err == nil || out.Sent || took > 110*time.Minute {
			t.Errorf("after %v: %s", took, show(out))
		}
	})
}
