package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"mtad/internal/smtp"
)

const mail = "Subject: x\r\n\r\nbody\r\n"

func TestEnvelopeGoesOutInOneWrite(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING", "SIZE 1000", "8BITMIME")
		// All of it is there before the first reply.
		p.hear("MAIL FROM:<from@client.test> SIZE=20 BODY=8BITMIME", "RCPT TO:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
		p.say("250 2.1.0 ok", "250 2.1.5 ok", "550 5.1.1 no such user", "354 go")
		if got := p.data(); got != mail+".\r\n" {
			t.Errorf("content %q", got)
		}
		p.say("250 2.0.0 queued as 1")
		p.hear("MAIL FROM:<> SIZE=20", "RCPT TO:<a@x.test>", "DATA") // no RSET needed
		p.say("250 ok", "250 ok", "354 go")
		p.data()
		p.say("250 queued as 2")
		p.hear("QUIT")
	})
	c := connect(t, addr, clientOptions())
	tx := message(mail, "a@x.test", "b@x.test")
	tx.Body = "8BITMIME"
	o := send(c, tx, mail)
	expect(t, o, "[end of data: 250 2.0.0 queued as 1] [RCPT TO: 550 5.1.1 no such user]")
	tx = message(mail, "a@x.test")
	tx.ReversePath = ""
	expect(t, send(c, tx, mail), "[end of data: 250 queued as 2]")
	if !c.Usable() || c.Sent() != 2 {
		t.Errorf("usable %v after %d", c.Usable(), c.Sent())
	}
	_ = c.Quit()
}

func TestWithoutPipeliningEachCommandWaits(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.hello()
		for _, step := range [][2]string{
			{"MAIL FROM:<from@client.test>", "250 ok"}, {"RCPT TO:<a@x.test>", "250 ok"},
			{"RCPT TO:<b@x.test>", "451 4.3.0 later"}, {"DATA", "354 go"},
		} {
			p.hear(step[0])
			if p.r.Buffered() > 0 {
				t.Errorf("%s was followed at once", step[0])
			}
			p.say(step[1])
		}
		p.data()
		p.say("250 ok")
		// All refused: no DATA, then RSET.
		p.hear("MAIL FROM:<from@client.test>")
		p.say("250 ok")
		p.hear("RCPT TO:<a@x.test>")
		p.say("550 no")
		p.hear("RSET")
		p.say("250 ok")
		p.hear("MAIL FROM:<from@client.test>")
		p.say("550 5.7.1 not you")
		p.hear("MAIL FROM:<from@client.test>") // nothing was open
		p.say("452 4.3.1 full")
	})
	c := connect(t, addr, clientOptions())
	expect(t, send(c, message(mail, "a@x.test", "b@x.test"), mail), "[end of data: 250 ok] [RCPT TO: 451 4.3.0 later]")
	expect(t, send(c, message(mail, "a@x.test"), mail), "[RCPT TO: 550 no]")
	expect(t, send(c, message(mail, "a@x.test", "b@x.test"), mail), "[MAIL FROM: 550 5.7.1 not you] [MAIL FROM: 550 5.7.1 not you]")
	expect(t, send(c, message(mail, "a@x.test"), mail), "[MAIL FROM: 452 4.3.1 full]")
}

func TestPipelinedDataForNobodyIsEndedWithNothing(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING")
		p.hear("MAIL FROM:<from@client.test>", "RCPT TO:<a@x.test>", "DATA")
		p.say("250 ok", "550 5.1.1 no", "354 go all the same")
		p.hear(".")
		p.say("554 5.5.1 no recipients")
		p.hear("RSET", "MAIL FROM:<from@client.test>", "RCPT TO:<a@x.test>", "DATA")
		p.say("250 ok", "450 4.7.1 not yet", "503 bad", "354 what for")
		p.hear(".")
		p.say("250 fine")
	})
	c := connect(t, addr, clientOptions())
	expect(t, send(c, message(mail, "a@x.test"), mail), "[RCPT TO: 550 5.1.1 no]")
	expect(t, send(c, message(mail, "a@x.test"), mail), "[MAIL FROM: 450 4.7.1 not yet]")
}

func TestManyRecipientsAreSentInWindows(t *testing.T) {
	const n = 1000
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING")
		p.hear("MAIL FROM:<from@client.test>")
		p.say("250 ok")
		for i := range n {
			p.hear(fmt.Sprintf("RCPT TO:<user%d@x.test>", i))
			if p.r.Buffered() > 2*window {
				t.Fatalf("%d octets wait", p.r.Buffered())
			}
			p.say(fmt.Sprintf("250 %s", strings.Repeat("x", 500)))
		}
		p.hear("DATA")
		p.say("354 go")
		p.data()
		p.say("250 ok")
	})
	var paths []string
	for i := range n {
		paths = append(paths, fmt.Sprintf("user%d@x.test", i))
	}
	o := send(connect(t, addr, clientOptions()), message(mail, paths...), mail)
	for i, r := range o.Results {
		if r.Reply.Code != 250 || r.Stage != StageEnd {
			t.Fatalf("recipient %d: %+v", i, r)
		}
	}
}

func TestDSNParametersArePassedOn(t *testing.T) {
	tx := &Transaction{
		ReversePath: "from@client.test", Size: -1, Return: "HDRS", EnvID: "id 1+2", SMTPUTF8: true, Body: "7BIT",
		Recipients: []Recipient{
			{Path: "a@x.test", Notify: smtp.NotifySuccess | smtp.NotifyDelay, ORCPT: "rfc822;a+b@x.test"},
			{Path: "ü@x.test", Notify: smtp.NotifyNever, ORCPT: "utf-8;ü@x.test"},
			{Path: "c@x.test", ORCPT: "broken"},
		},
	}
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING", "DSN", "SMTPUTF8")
		p.hear("MAIL FROM:<from@client.test> SMTPUTF8 RET=HDRS ENVID=id+201+2B2",
			"RCPT TO:<a@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@x.test",
			"RCPT TO:<ü@x.test> NOTIFY=NEVER ORCPT=utf-8;ü@x.test",
			"RCPT TO:<c@x.test>", "DATA")
	}, func(p *peer) {
		p.hello("PIPELINING", "SMTPUTF8")
		p.hear("MAIL FROM:<from@client.test> SMTPUTF8", "RCPT TO:<a@x.test>", "RCPT TO:<ü@x.test>", "RCPT TO:<c@x.test>", "DATA")
	})
	for range 2 {
		if o := send(connect(t, addr, clientOptions()), tx, mail); o.Err == nil {
			t.Error("no error")
		}
	}
}

func TestWhatTheNextHopCannotTakeIsRefusedHere(t *testing.T) {
	addr := script(t, func(p *peer) { p.hello("SIZE 10"); _, _ = p.r.ReadByte() })
	o := clientOptions()
	o.Strict8Bit = true
	c := connect(t, addr, o)
	for want, tx := range map[string]*Transaction{
		"552 5.3.4":  {Size: 11},
		"553 5.6.7":  {SMTPUTF8: true},
		"554 5.6.3":  {Body: "BINARYMIME"},
		"554 5.6.3 ": {Body: "8BITMIME"},
		"550 5.7.30": {RequireTLS: true},
		"553 5.1.7":  {ReversePath: "a@b>\r\nRSET"},
		"553 5.6.7 ": {ReversePath: "ü@x.test"},
	} {
		tx.Recipients = to("a@x.test")
		out := send(c, tx, mail)
		r := out.Results[0]
		if out.Err != nil || !r.Local || !strings.HasPrefix(r.Reply.String(), strings.TrimSpace(want)) {
			t.Errorf("%+v: %s", tx, show(out))
		}
	}
}

func TestNoPathPutsACommandOnTheWire(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.hello("PIPELINING")
		p.hear("MAIL FROM:<from@client.test>", `RCPT TO:<"a>b c"@x.test>`, "DATA")
		p.say("250 ok", "250 ok", "354 go")
		p.data()
		p.say("250 ok")
	})
	bad := []string{"", "a@x.test>\r\nRCPT TO:<b@x.test", "a b@x.test", "a@x.test> NOTIFY=NEVER", "a\x00@x.test", "a\xff@x.test", "a\u0085@x.test"}
	out := send(connect(t, addr, clientOptions()), message(mail, append(bad, `"a>b c"@x.test`)...), mail)
	for i, r := range out.Results[:len(bad)] {
		if !r.Local || !r.Reply.Permanent() {
			t.Errorf("%q: %+v", bad[i], r)
		}
	}
	if r := out.Results[len(bad)]; r.Reply.Code != 250 {
		t.Errorf("the good one: %+v", r)
	}
}

func TestContentThatFailsIsNotCompleted(t *testing.T) {
	for name, content := range map[string]*Transaction{"error": {Size: -1}, "short": {Size: 100}, "long": {Size: 3}} {
		t.Run(name, func(t *testing.T) {
			addr := script(t, func(p *peer) {
				p.hello("PIPELINING")
				p.hear("MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA")
				p.say("250 ok", "250 ok", "354 go")
				if got := p.data(); strings.HasSuffix(got, "\r\n.\r\n") {
					t.Error("half a message was completed")
				}
			})
			if content.Size > 3 {
				addr = script(t, func(p *peer) {
					p.hello("PIPELINING", "SIZE")
					p.hear("MAIL FROM:<> SIZE=100", "RCPT TO:<a@x.test>", "DATA")
					p.say("250 ok", "250 ok", "354 go")
					p.data()
				})
			}
			content.Recipients = to("a@x.test")
			c := connect(t, addr, clientOptions())
			r := strings.NewReader(mail)
			var out *Outcome
			if name == "error" {
				out = c.Send(context.Background(), content, iotest.TimeoutReader(iotest.OneByteReader(r)))
			} else {
				out = c.Send(context.Background(), content, r)
			}
			if out.Err == nil || !errors.Is(out.Err, ErrContent) || out.Sent || !out.Results[0].Reply.IsZero() || c.Usable() {
				t.Errorf("%s, sent %v: %v", show(out), out.Sent, out.Err)
			}
		})
	}
}

func TestLMTPHasAReplyForEachRecipient(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.say("220 lmtp")
		p.hear("LHLO client.test")
		p.say("250-lmtp", "250 PIPELINING")
		p.hear("MAIL FROM:<from@client.test>", "RCPT TO:<a@x.test>", "RCPT TO:<b@x.test>", "RCPT TO:<c@x.test>", "DATA")
		p.say("250 ok", "250 ok", "550 5.1.1 no", "250 ok", "354 go")
		p.data()
		p.say("250 2.0.0 stored", "452 4.2.2 over quota")
	})
	o := clientOptions()
	o.LMTP = true
	expect(t, send(connect(t, addr, o), message(mail, "a@x.test", "b@x.test", "c@x.test"), mail),
		"[end of data: 250 2.0.0 stored] [RCPT TO: 550 5.1.1 no] [end of data: 452 4.2.2 over quota]")
}

func TestHeloIsSaidWhereEhloIsRefused(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.say("220-old", "220 server")
		p.hear("EHLO client.test")
		p.say("502 what?")
		p.hear("HELO client.test")
		p.say("250-PIPELINING", "250-PIPELINING", "250 SIZE 1")
		p.hear("MAIL FROM:<from@client.test>")
		p.say("250 ok")
		p.hear("RCPT TO:<a@x.test>")
		p.say("251 will forward")
		p.hear("DATA")
		p.say("354 go")
		p.data()
		p.say("250 ok")
	})
	expect(t, send(connect(t, addr, clientOptions()), message(mail, "a@x.test"), mail), "[end of data: 250 ok]")
}

func TestLimitsOfThePeerAreKnown(t *testing.T) {
	addr := script(t, func(p *peer) {
		p.hello("LIMITS RCPTMAX=20 MAILMAX=1 X=y RCPTDOMAINMAX=0", "size 77", "X-UNKNOWN foo")
		p.hear("MAIL FROM:<from@client.test> SIZE=20")
		p.say("550 no")
	})
	c := connect(t, addr, clientOptions())
	if x := c.Extensions(); x.MaxRecipients != 20 || x.MaxMessages != 1 || x.MaxSize != 77 {
		t.Errorf("%+v", x)
	}
	send(c, message(mail, "a@x.test"), mail)
	if c.Usable() {
		t.Error("usable beyond MAILMAX")
	}
}
