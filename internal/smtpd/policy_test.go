package smtpd

import (
	"context"
	"testing"

	"mtad/internal/intake"
	"mtad/internal/smtp"
	"mtad/queue"
)

func TestPolicyDecidesAtEachStage(t *testing.T) {
	no := func(code int) *smtp.Reply { return &smtp.Reply{Code: code, Enhanced: "5.7.1", Text: "policy"} }
	refuse := func(context.Context, *Conversation) *smtp.Reply { return no(550) }
	for name, c := range map[string]struct {
		policy Policy
		script string
	}{
		"connect": {Policy{Connect: refuse}, "< 550 5.7.1 policy\n< end"},
		"helo":    {Policy{Helo: refuse}, "< 220\n> EHLO x\n< 550\n> MAIL FROM:<>\n< 503"},
		"mail":    {Policy{Mail: refuse}, "< 220\n> EHLO x\n< 250\n> MAIL FROM:<>\n< 550\n> RCPT TO:<b@example.org>\n< 503"},
		"data":    {Policy{Data: refuse}, "< 220\n> EHLO x\n< 250\n" + toUs + "> DATA\n< 550\n> BDAT 0 LAST\n< 550"},
		"rcpt": {Policy{Rcpt: func(_ context.Context, _ *Conversation, r *queue.Recipient) *smtp.Reply {
			if r.Path == "b@example.org" {
				return no(550)
			}
			return nil
		}}, "< 220\n> EHLO x\n< 250\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b@example.org>\n< 550\n> RCPT TO:<c@example.org>\n< 250"},
		"421 ends": {Policy{Mail: func(context.Context, *Conversation) *smtp.Reply { return no(421) }},
			"< 220\n> EHLO x\n< 250\n> MAIL FROM:<>\n< 421\n< end"},
		"positive is no refusal": {Policy{Mail: func(context.Context, *Conversation) *smtp.Reply { return no(250) }},
			"< 220\n> EHLO x\n< 250\n> MAIL FROM:<>\n< 250 2.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, func(o *Options, _ *intake.Options) { o.Policy = c.policy })
			d.dial().talk(c.script)
		})
	}
}

func TestAuthHookLetsAClientRelay(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *intake.Options) {
		o.Policy.Keywords = func(*Conversation) []string { return []string{"AUTH TEST"} }
		o.Policy.Auth = func(_ context.Context, c *Conversation, _ string, ask func(string) (string, error)) smtp.Reply {
			if answer, err := ask("bmFtZQ=="); err != nil || answer != "am9l" {
				return smtp.Reply{Code: 535, Enhanced: "5.7.8", Text: "no"}
			}
			c.Client.SASLUser, c.Client.SASLMethod = "joe", "TEST"
			return smtp.Reply{Code: 235, Enhanced: "2.7.0", Text: "ok"}
		}
	})
	p := d.dial()
	p.talk(`< 220
> AUTH TEST
< 503
> EHLO x
< 250
> AUTH TEST
< 334 bmFtZQ==
> bad
< 535 5.7.8
> AUTH TEST
< 334
> am9l
< 235
> AUTH TEST
< 503
> MAIL FROM:<> AUTH=joe
< 250
> RCPT TO:<b@else.example>
< 250
> DATA
< 354
> .
< 250`)
	c := d.wantMessages(1)[0].Envelope.Client
	if c.Protocol != "ESMTPA" || c.SASLUser != "joe" || c.SASLSender != "joe" {
		t.Errorf("client %+v", c)
	}
}

func TestProtocolNames(t *testing.T) {
	for _, c := range []struct {
		esmtp, tls, auth, utf8 bool
		want                   string
	}{
		{false, false, false, false, "SMTP"}, {true, false, false, false, "ESMTP"}, {true, true, false, false, "ESMTPS"},
		{true, false, true, false, "ESMTPA"}, {true, true, true, false, "ESMTPSA"}, {true, false, false, true, "UTF8SMTP"},
		{true, true, false, true, "UTF8SMTPS"}, {true, false, true, true, "UTF8SMTPA"}, {true, true, true, true, "UTF8SMTPSA"},
	} {
		s := &session{esmtp: c.esmtp, conv: Conversation{TLS: c.tls}}
		if c.auth {
			s.conv.Client.SASLUser = "joe"
		}
		if got := s.protocol(c.utf8); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestPolicyIsToldWhenATransactionAndASessionEnd(t *testing.T) {
	var resets, closes int
	d := openDoor(t, func(o *Options, _ *intake.Options) {
		o.Policy.Reset = func(*Conversation) { resets++ }
		o.Policy.Close = func(*Conversation) { closes++ }
	})
	p := d.ready()
	p.talk("> RSET\n< 250\n> MAIL FROM:<>\n< 250\n> RSET\n< 250\n" + toUs + "> DATA\n< 354\n> .\n< 250\n> MAIL FROM:<>\n< 250\n> QUIT\n< 221\n< end")
	d.srv.Close() // the session's goroutine is over
	if resets != 3 || closes != 1 {
		t.Errorf("%d resets, %d closes", resets, closes)
	}
}
