package smtpd

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mtad/internal/intake"
)

func limit(f func(*Limits)) func(*Options, *intake.Options) {
	return func(o *Options, _ *intake.Options) { f(&o.Limits) }
}

func TestCommandLineLength(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.CommandLine = 600 }))
	p := d.ready()
	at := "NOOP " + strings.Repeat("x", 600-len("NOOP \r\n"))
	p.talk("> " + at + "\n< 250\n> " + at + "x\n< 500 5.5.2\n> NOOP\n< 250")
	p.send(strings.Repeat("y", 100_000) + "\r\nNOOP\r\n")
	p.talk("< 500 5.5.2\n< 250")
	for n := smallBuffer - 3; n < smallBuffer+3; n++ { // CR and LF on both sides of a full buffer
		p.send(strings.Repeat("y", n))
		p.send("\r")
		p.send("\nNOOP\r\n")
		p.talk("< 500 5.5.2\n< 250")
	}
}

func TestEndlessCommandLineEndsTheSession(t *testing.T) {
	p := openDoor(t).ready()
	go func() { _, _ = p.conn.Write([]byte(strings.Repeat("y", 2*maxSkip))) }()
	p.want("421 4.7.0")
	p.wantEnd()
}

func TestTextLineLength(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.TextLine = 1000 }))
	p := d.inData()
	p.send(strings.Repeat("x", 1000) + "\r\n.\r\n")
	p.talk("< 250\n" + toUs + "> DATA\n< 354")
	p.send(strings.Repeat("x", 1001) + "\r\n.\r\nNOOP\r\n")
	p.talk("< 554 5.6.0\n< 250")
	d.wantMessages(1)
}

func TestMessageSize(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Size = 10_000 }))
	p := d.inData()
	p.send(strings.Repeat("x", 9_998) + "\r\n.\r\n")
	p.talk("< 250\n" + toUs + "> DATA\n< 354")
	p.send(strings.Repeat("x", 9_999) + "\r\n.\r\nNOOP\r\n")
	p.talk("< 552 5.3.4\n< 250")
	d.wantMessages(1)
}

func TestContentFarBeyondTheSizeIsNotReadToItsEnd(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Size = 10_000 }))
	p := d.inData()
	go func() {
		line := []byte(strings.Repeat("x", 998) + "\r\n")
		for {
			if _, err := p.conn.Write(line); err != nil {
				return
			}
		}
	}()
	p.want("552 5.3.4")
	d.wantMessages(0)
}

func TestNumberOfRecipients(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Recipients = 3 }))
	p := d.ready()
	rcpt := "> RCPT TO:<b@example.org>\n< "
	p.talk("> MAIL FROM:<>\n< 250\n" + rcpt + "250\n" + rcpt + "250\n" + rcpt + "250\n" + rcpt + "452 4.5.3\n> DATA\n< 354\n> .\n< 250")
	if n := len(d.wantMessages(1)[0].Envelope.Recipients); n != 3 {
		t.Errorf("%d recipients", n)
	}
}

func TestErrorsPerSession(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Errors = 2 }))
	p := d.ready()
	p.talk("> RCPT TO:<x>\n< 503\n> DATA x\n< 501\n> NOOP\n< 250\n> DATA\n< 503\n< 421 4.7.0\n< end")
}

func TestAMessageForgivesErrors(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Errors = 2 }))
	p := d.ready()
	two := "> RCPT TO:<x>\n< 503\n> DATA x\n< 501\n"
	p.talk(two + toUs + "> DATA\n< 354\n> .\n< 250\n" + two + "> NOOP\n< 250")
}

func TestUnknownCommandsPerSession(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.UnknownCommands = 1 }))
	d.ready().talk("> FROB\n< 500\n> FROB\n< 500\n< 421 4.7.0\n< end")
}

func TestIdleCommandsPerSession(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.IdleCommands = 3; l.Errors = 1 }))
	// EHLO was one.
	d.ready().talk("> NOOP\n< 250\n> RSET\n< 250\n> NOOP\n< 250\n> NOOP\n< 250\n< 421 4.7.0\n< end")
}

func TestMessagesPerSession(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Messages = 1 }))
	d.ready().talk(toUs + "> DATA\n< 354\n> .\n< 250\n> MAIL FROM:<>\n< 421 4.5.3\n< end")
}

func TestConnectionsAtOnce(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Connections = 2 }), trust)
	a, b := d.dial(), d.dial()
	a.want("220")
	b.want("220")
	d.dial().talk("< 421 4.3.2\n< end")
	a.talk("> QUIT\n< 221\n< end")
	waitOpen(t, d, 1)
	d.dial().want("220")
}

func TestServersShareARoom(t *testing.T) {
	room := NewRoom(2)
	share := func(o *Options, _ *intake.Options) { o.Room = room }
	d, e := openDoor(t, share, trust), openDoor(t, share, trust)
	a, b := d.dial(), e.dial()
	a.want("220")
	b.want("220")
	d.dial().talk("< 421 4.3.2\n< end")
	e.dial().talk("< 421 4.3.2\n< end")
	b.talk("> QUIT\n< 221\n< end")
	waitOpen(t, e, 0)
	d.dial().want("220")
}

// waitOpen waits until the server has let go of what ended.
func waitOpen(t *testing.T, d *door, n int64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); d.srv.open.Load() > n; {
		if time.Now().After(end) {
			t.Fatalf("%d connections open", d.srv.open.Load())
		}
		p, err := net.Dial("tcp", d.addr)
		if err == nil {
			_, _ = p.Read(make([]byte, 1))
			p.Close()
		}
	}
}

func TestConnectionsOfOneClient(t *testing.T) {
	c := newClients(2, 100)
	now := time.Unix(1000, 0)
	a, b := clientOf(netip.MustParseAddr("2001:db8::1")), clientOf(netip.MustParseAddr("2001:db8::ffff:1"))
	other := clientOf(netip.MustParseAddr("2001:db8:0:1::1"))
	if a != b || a == other {
		t.Fatalf("%v %v %v: an IPv6 client is a /64", a, b, other)
	}
	if m := clientOf(netip.MustParseAddr("::ffff:192.0.2.1")); m != clientOf(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("mapped address is %v", m)
	}
	for i, want := range []string{"", "", tooMany} {
		if _, got := c.enter(a, now); got != want {
			t.Errorf("connection %d: %q, want %q", i, got, want)
		}
	}
	if _, got := c.enter(other, now); got != "" {
		t.Errorf("another client: %q", got)
	}
	c.leave(a)
	if _, got := c.enter(a, now); got != "" {
		t.Errorf("after one left: %q", got)
	}
}

func TestConnectionRateOfOneClient(t *testing.T) {
	c := newClients(100, 2)
	now := time.Unix(1000, 0)
	k := clientOf(netip.MustParseAddr("192.0.2.1"))
	for i, want := range []string{"", "", tooFast} {
		if _, got := c.enter(k, now); got != want {
			t.Errorf("connection %d: %q, want %q", i, got, want)
		}
	}
	if _, got := c.enter(k, now.Add(time.Minute)); got != "" {
		t.Errorf("a minute later: %q", got)
	}
}

func TestForgottenClientsAreSwept(t *testing.T) {
	c := newClients(100, 100)
	now := time.Unix(1000, 0)
	a := netip.MustParseAddr("192.0.0.0")
	for range 1000 {
		k := clientOf(a)
		c.enter(k, now)
		c.leave(k)
		a = a.Next()
	}
	c.enter(clientOf(a), now.Add(time.Hour))
	if len(c.m) != 1 {
		t.Errorf("%d clients remembered", len(c.m))
	}
}

func TestStrangersAreLimitedAndListedClientsAreNot(t *testing.T) {
	one := limit(func(l *Limits) { l.PerClient = 1; l.Rate = 2 })
	d := openDoor(t, one)
	d.dial().want("220")
	d.dial().talk("< 421 4.7.0\n< end")
	d.dial().talk("< 421 4.7.0\n< end")
	d = openDoor(t, one, trust)
	for range 5 {
		d.dial().want("220")
	}
}

func TestEarlyTalkersAreRefused(t *testing.T) {
	p := openDoor(t, patient).dial()
	p.send("EHLO x\r\n")
	p.want("554 5.5.0")
	p.wantEnd()
}

func TestListedClientsAreGreetedAtOnce(t *testing.T) {
	openDoor(t, patient, trust).dial().want("220")
}

func TestCommandTimeoutIsForTheWholeLine(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Command = 300 * time.Millisecond }))
	p := d.ready()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a bit now and then does not buy more time
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := p.conn.Write([]byte("N")); err != nil {
					return
				}
			}
		}
	}()
	p.want("421 4.4.2")
}

func TestSessionTime(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Session = 100 * time.Millisecond }))
	d.ready().talk("< 421 4.4.2 session\n< end")
}

func TestDataTimeouts(t *testing.T) {
	for name, f := range map[string]func(*Limits){
		"silence": func(l *Limits) { l.DataBlock = 50 * time.Millisecond },
		"total":   func(l *Limits) { l.Data = 50 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, limit(f))
			d.inData().talk("> x\n< 421 4.4.2\n< end")
			d.wantMessages(0)
		})
	}
}

func TestDataRate(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.DataGrace = time.Millisecond; l.DataRate = 1 << 40 }))
	p := d.inData()
	go func() {
		for {
			if _, err := p.conn.Write([]byte("slow\r\n")); err != nil {
				return
			}
		}
	}()
	p.want("421 4.4.2 data comes too slowly")
	d.wantMessages(0)
}

func TestStressShortensTheCommandTimeout(t *testing.T) {
	d := openDoor(t, limit(func(l *Limits) { l.Connections = 4; l.StressCommand = 50 * time.Millisecond }), trust)
	for range 3 {
		d.dial().want("220")
	}
	d.dial().talk("< 220\n< 421 4.4.2\n< end")
}

func TestLimitsHaveDefaultsAndCanBeTakenAway(t *testing.T) {
	var l Limits
	l.fill()
	if l.CommandLine != 2048 || l.Size != 64<<20 || l.Recipients != 1000 || l.Command != 5*time.Minute || l.Greeting != 50*time.Millisecond {
		t.Errorf("defaults %+v", l)
	}
	l = Limits{Size: -1, Recipients: -1, Messages: -1, Command: -1, CommandLine: 1}
	l.fill()
	if l.Size != none || l.Recipients != none || l.Command != forever || l.CommandLine != 512 {
		t.Errorf("without %+v", l)
	}
	d := openDoor(t, limit(func(x *Limits) { x.Size, x.Recipients, x.Messages, x.Data, x.Session = -1, -1, -1, -1, -1 }))
	p := d.dial()
	p.want("220")
	p.send("EHLO x\r\n")
	if got := p.want("250"); strings.Contains(got, "LIMITS") || !strings.Contains(got, "SIZE\r\n") {
		t.Errorf("reply %q", got)
	}
	p.talk(toUs + "> DATA\n< 354\n> .\n< 250")
}

func TestShutdownTellsIdleSessionsAndLetsContentFinish(t *testing.T) {
	d := openDoor(t)
	idle, busy := d.ready(), d.inData()
	busy.send("first line\r\n")
	done := make(chan error, 1)
	go func() { done <- d.srv.Shutdown(context.Background()) }()
	idle.talk("< 421 4.3.2\n< end")
	busy.talk("> last line\n> .\n< 250 2.0.0\n< 421 4.3.2\n< end")
	idle.conn.Close()
	busy.conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	d.wantContent("first line\r\nlast line\r\n")
	if c, err := net.Dial("tcp", d.addr); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

func TestShutdownIsBounded(t *testing.T) {
	d := openDoor(t)
	p := d.inData()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.srv.Shutdown(ctx); err == nil {
		t.Error("nothing said of what was cut off")
	}
	p.want("421 4.3.2")
	p.wantEnd()
	d.wantMessages(0)
}

func TestClientThatWaitsForAVerdictIsToldOfTheEnd(t *testing.T) {
	d := openDoor(t, planned(intake.Plan{Stage: "f", Timing: intake.Inline}))
	p := d.inData()
	p.send("x\r\n.\r\n")
	d.claimed()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.srv.Shutdown(ctx); err == nil {
		t.Error("nothing said of what was cut off")
	}
	p.want("451 4.3.2")
	d.wantMessages(0)
}
