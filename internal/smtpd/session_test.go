package smtpd

import (
	"strings"
	"testing"

	"mtad/queue"
)

func TestMessageIsQueuedWithTheIDOfItsReply(t *testing.T) {
	d := openDoor(t)
	p := d.inData()
	p.send("Subject: x\r\n\r\n..dot\r\nbody\r\n.\r\n")
	reply := p.want("250 2.0.0 ok, queued as ")
	it := d.wantContent("Subject: x\r\n\r\n.dot\r\nbody\r\n")
	if !strings.Contains(reply, string(it.ID)) {
		t.Errorf("reply %q does not name %s", reply, it.ID)
	}
	e := it.Envelope
	if e.ReversePath != "a@client.example" || len(e.Recipients) != 1 || e.Recipients[0].Path != "b@example.org" {
		t.Errorf("envelope %+v", e)
	}
	c := e.Client
	if c.Protocol != "ESMTP" || c.Helo != "client.example" || c.Address != "127.0.0.1" || c.Port == 0 || c.Listener != "smtp" {
		t.Errorf("client %+v", c)
	}
	trace := string(it.Trace)
	for _, part := range []string{"Received: from client.example (unknown [127.0.0.1])", "by mx.example.org with ESMTP", "id " + string(it.ID), "for <b@example.org>;"} {
		if !strings.Contains(trace, part) {
			t.Errorf("trace %q lacks %q", trace, part)
		}
	}
	p.talk("> QUIT\n< 221 2.0.0\n< end")
}

func TestDialogues(t *testing.T) {
	for name, script := range map[string]string{
		"HELO":                              "> HELO x\n< 250 mx.example.org\n> MAIL FROM:<>\n< 250 2.1.0",
		"names in any case":                 "> eHlO x\n< 250\n> mail from:<a@b.example>\n< 250\n> rCpT tO:<b@EXAMPLE.org>\n< 250 2.1.5",
		"EHLO without a name":               "> EHLO\n< 501 5.5.4",
		"MAIL before EHLO":                  "> MAIL FROM:<>\n< 503 5.5.1",
		"RCPT before MAIL":                  "> EHLO x\n< 250\n> RCPT TO:<b@example.org>\n< 503 5.5.1",
		"DATA before MAIL":                  "> EHLO x\n< 250\n> DATA\n< 503 5.5.1",
		"DATA without recipient":            "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> DATA\n< 554 5.5.1",
		"MAIL twice":                        "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> MAIL FROM:<>\n< 503 5.5.1",
		"EHLO drops the transaction":        "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> EHLO y\n< 250\n> RCPT TO:<b@example.org>\n< 503",
		"RSET drops the transaction":        "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RSET\n< 250\n> RCPT TO:<b@example.org>\n< 503",
		"space before the path":             "> EHLO x\n< 250\n> MAIL FROM: <a@b.example>\n< 250",
		"no brackets":                       "> EHLO x\n< 250\n> MAIL FROM:a@b.example\n< 501 5.1.7",
		"unfinished path":                   "> EHLO x\n< 250\n> MAIL FROM:<a@b.example\n< 501 5.1.7",
		"sender without a domain":           "> EHLO x\n< 250\n> MAIL FROM:<a>\n< 501 5.1.7",
		"null recipient":                    "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<>\n< 501 5.1.3",
		"recipient without a domain":        "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b>\n< 501 5.1.3",
		"postmaster without a domain":       "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<PostMaster>\n< 250 2.1.5",
		"unknown MAIL parameter":            "> EHLO x\n< 250\n> MAIL FROM:<> FOO=bar\n< 555 5.5.4",
		"AUTH parameter not offered":        "> EHLO x\n< 250\n> MAIL FROM:<> AUTH=<>\n< 555 5.5.4",
		"unknown RCPT parameter":            "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b@example.org> FOO\n< 555 5.5.4",
		"parameter twice":                   "> EHLO x\n< 250\n> MAIL FROM:<> SIZE=1 SIZE=2\n< 501 5.5.4",
		"BINARYMIME":                        "> EHLO x\n< 250\n> MAIL FROM:<> BODY=BINARYMIME\n< 555 5.6.1",
		"bad SIZE":                          "> EHLO x\n< 250\n> MAIL FROM:<> SIZE=-1\n< 501 5.5.4",
		"SIZE at the limit":                 "> EHLO x\n< 250\n> MAIL FROM:<> SIZE=67108864\n< 250",
		"SIZE one past the limit":           "> EHLO x\n< 250\n> MAIL FROM:<> SIZE=67108865\n< 552 5.3.4",
		"UTF-8 without SMTPUTF8":            "> EHLO x\n< 250\n> MAIL FROM:<ä@b.example>\n< 553 5.6.7",
		"UTF-8 with SMTPUTF8":               "> EHLO x\n< 250\n> MAIL FROM:<ä@b.example> SMTPUTF8\n< 250\n> RCPT TO:<ö@bücher.example>\n< 250",
		"UTF-8 recipient without":           "> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<ö@example.org>\n< 553 5.6.7",
		"UTF-8 elsewhere":                   "> EHLO ä\n< 500 5.5.2",
		"VRFY":                              "> VRFY b\n< 252 2.1.5\n> VRFY\n< 501",
		"HELP, NOOP, EXPN, ETRN":            "> HELP\n< 214 2.0.0\n> NOOP x\n< 250 2.0.0\n> EXPN l\n< 502 5.5.1\n> ETRN x\n< 502",
		"unknown command":                   "> FROB\n< 500 5.5.2\n> \"\\r\\n\"\n< 500 5.5.2",
		"arguments where there are none":    "> RSET x\n< 501 5.5.4\n> QUIT x\n< 501 5.5.4\n> EHLO x\n< 250\n> DATA x\n< 501",
		"AUTH is not there":                 "> EHLO x\n< 250\n> AUTH PLAIN x\n< 502 5.5.1",
		"STARTTLS is not there":             "> EHLO x\n< 250\n> STARTTLS\n< 502 5.5.1",
		"XCLIENT from a stranger":           "> EHLO x\n< 250\n> XCLIENT ADDR=1.2.3.4\n< 550 5.7.0",
		"XFORWARD from a stranger":          "> EHLO x\n< 250\n> XFORWARD ADDR=1.2.3.4\n< 550 5.7.0",
		"a browser is sent away":            "> POST / HTTP/1.1\n< 421 4.7.0\n< end",
		"control characters":                "> \"NOOP \\x00\\r\\n\"\n< 500 5.5.2\n> NOOP\n< 250",
		"NUL in a path":                     "> EHLO x\n< 250\n> \"MAIL FROM:<a\\x00@b.example>\\r\\n\"\n< 500 5.5.2",
		"trailing white space":              "> \"EHLO x  \\r\\n\"\n< 250\n> \"MAIL FROM:<> \\r\\n\"\n< 250",
		"pipelined group gets all replies":  "> \"EHLO x\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<b@example.org>\\r\\nRCPT TO:<c@else.example>\\r\\nDATA\\r\\n\"\n< 250\n< 250 2.1.0\n< 250 2.1.5\n< 554 5.7.1\n< 354",
		"refused group gets no data prompt": "> \"EHLO x\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<c@else.example>\\r\\nDATA\\r\\nQUIT\\r\\n\"\n< 250\n< 250\n< 554 5.7.1\n< 554 5.5.1\n< 221",
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t)
			p := d.dial()
			p.want("220 mx.example.org ESMTP")
			p.talk(script)
			d.wantMessages(0)
		})
	}
}

func TestEHLOListsLimits(t *testing.T) {
	p := openDoor(t).dial()
	p.want("220")
	p.send("EHLO x\r\n")
	got := p.want("250-")
	for _, k := range []string{"PIPELINING", "SIZE 67108864", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "LIMITS MAILMAX=10000 RCPTMAX=1000"} {
		if !strings.Contains(got, k+"\r\n") {
			t.Errorf("no %q in %q", k, got)
		}
	}
	for _, k := range []string{"STARTTLS", "XCLIENT", "XFORWARD", "BINARYMIME", "AUTH"} {
		if strings.Contains(got, k) {
			t.Errorf("%q in %q", k, got)
		}
	}
}

func TestEnvelopeKeepsDSNParameters(t *testing.T) {
	d := openDoor(t)
	p := d.ready()
	p.talk(`> MAIL FROM:<a@client.example> RET=HDRS ENVID=a+2Bb BODY=8BITMIME SIZE=5
< 250
> RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2B@x
< 250
> RCPT TO:<c@example.org> NOTIFY=NEVER
< 250
> DATA
< 354
> hi
> .
< 250 2.0.0`)
	e := d.wantContent("hi\r\n").Envelope
	if e.Return != "HDRS" || e.EnvID != "a+b" || e.Body != queue.Body8Bit || e.Client.SizeHint != 5 {
		t.Errorf("envelope %+v", e)
	}
	if r := e.Recipients[0]; r.Notify != queue.NotifySuccess|queue.NotifyDelay || r.ORCPT != "rfc822;b+@x" {
		t.Errorf("recipient %+v", r)
	}
	if r := e.Recipients[1]; r.Notify != queue.NotifyNever || r.ORCPT != "" {
		t.Errorf("recipient %+v", r)
	}
}

func TestULabelsBecomeALabels(t *testing.T) {
	d := openDoor(t)
	p := d.ready()
	p.talk("> MAIL FROM:<ä@bücher.example> SMTPUTF8\n< 250\n> RCPT TO:<ö@Bücher.example>\n< 250\n> DATA\n< 354\n> x\n> .\n< 250")
	e := d.wantMessages(1)[0].Envelope
	if e.ReversePath != "ä@xn--bcher-kva.example" || e.Recipients[0].Path != "ö@xn--bcher-kva.example" || !e.SMTPUTF8 || e.Client.Protocol != "UTF8SMTP" {
		t.Errorf("envelope %+v", e)
	}
}

func TestBrokenHeaderSectionsAreTakenAsTheyAre(t *testing.T) {
	for _, content := range []string{"", "no header at all\r\n", ": \r\n\r\n", " folded first\r\nSubject\r\n\r\nx\r\n", "\x00\xff\r\n"} {
		d := openDoor(t)
		p := d.inData()
		p.send(strings.ReplaceAll(content, "\r\n.", "\r\n..") + ".\r\n")
		p.want("250 2.0.0")
		d.wantContent(content)
	}
}
