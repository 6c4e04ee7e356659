package smtpd

import (
	"strings"

	"mtad/internal/intake"
	"mtad/internal/route"
	"mtad/internal/smtp"
	"mtad/queue"
)

// mail begins a transaction (RFC 5321 §4.1.1.2).
func (s *session) mail(arg string) {
	switch {
	case !s.greeted:
		s.say(&wantHelo)
		return
	case s.o.RequireTLS && !s.conv.TLS:
		s.say(&wantTLS)
		return
	case s.o.RequireAuth && s.conv.Client.SASLUser == "":
		s.say(&wantAuth)
		return
	case s.tx.active:
		s.say(&nested)
		return
	case s.messages >= s.o.Limits.Messages:
		s.drop(&byeMessages, "messages")
		return
	}
	rest, ok := smtp.CutWord(arg, "FROM")
	if !ok {
		s.say(&badFrom)
		return
	}
	path, params, bad := smtp.ParseMail(rest)
	if bad != nil {
		s.sayReply(*bad)
		return
	}
	if s.checkMail(&path, &params) {
		s.startMail(path, params)
	}
}

func (s *session) checkMail(path *smtp.Path, params *smtp.MailParams) bool {
	switch {
	case params.Size > s.o.Limits.Size:
		s.say(&tooBig)
		s.srv.metrics.refuse("size")
	case params.HasAuth && s.o.Policy.Auth == nil:
		s.say(&noAuthParm)
	case path.Null():
		return true
	case path.Domain == "":
		s.say(&noDomain)
	case !alabel(path):
		s.say(&badSendDom)
	default:
		return true
	}
	return false
}

// alabel turns a domain with U-labels into A-labels: an envelope has no other.
func alabel(path *smtp.Path) bool {
	d, err := route.Domain(path.Domain)
	if err == nil && !smtp.IsASCII(path.Domain) {
		path.Domain = d
	}
	return err == nil
}

func (s *session) startMail(path smtp.Path, p smtp.MailParams) {
	c := s.conv.Client
	c.Protocol = s.protocol(p.UTF8)
	c = s.tx.fwd.over(c)
	c.SizeHint = max(p.Size, 0)
	if p.HasAuth {
		c.SASLSender = s.asserted(p.Auth)
	}
	s.tx.active, s.tx.utf8 = true, p.UTF8
	s.tx.env = queue.Envelope{
		ReversePath: path.String(), SMTPUTF8: p.UTF8, Body: queue.BodyType(p.Body),
		Return: p.Return, EnvID: p.EnvID, Client: c,
	}
	s.conv.Envelope = &s.tx.env
	if r := s.ask(s.o.Policy.Mail); r != nil {
		s.reset()
		s.sayReply(*r)
		s.endBy421(r)
		return
	}
	s.messages++
	s.say(&okMail)
}

// asserted is what becomes of MAIL AUTH=.
func (s *session) asserted(mailbox string) string {
	may := s.mayRelay()
	if s.o.Policy.Assert != nil {
		may = s.o.Policy.Assert(&s.conv, mailbox)
	}
	if !may {
		return "<>"
	}
	return mailbox
}

func (s *session) endBy421(r *smtp.Reply) {
	if r.Code == 421 {
		s.end("policy")
	}
}

// protocol is the "with" of the trace field: RFC 3848, RFC 6531 §4.3.
func (s *session) protocol(utf8 bool) string {
	if !s.esmtp {
		return "SMTP"
	}
	name := "ESMTP"
	if utf8 {
		name = "UTF8SMTP"
	}
	if s.conv.TLS {
		name += "S"
	}
	if s.conv.Client.SASLUser != "" {
		name += "A"
		if s.conv.TLS {
			name = name[:len(name)-2] + "SA"
		}
	}
	return name
}

// rcpt adds a recipient (RFC 5321 §4.1.1.3).
func (s *session) rcpt(arg string) {
	switch {
	case !s.tx.active:
		s.say(&wantMail)
		return
	case s.tx.bdat:
		s.say(&inBdat)
		return
	}
	rest, ok := smtp.CutWord(arg, "TO")
	if !ok {
		s.say(&badTo)
		return
	}
	path, params, bad := smtp.ParseRcpt(rest, s.tx.utf8)
	if bad != nil {
		s.sayReply(*bad)
		return
	}
	if len(s.tx.env.Recipients) >= s.o.Limits.Recipients {
		s.say(&manyRcpt)
		s.srv.metrics.refuse("recipients")
		return
	}
	r := queue.Recipient{Notify: queue.Notify(params.Notify), ORCPT: params.ORCPT}
	if s.admit(&path, &r) {
		s.tx.env.Recipients = append(s.tx.env.Recipients, r)
		s.say(&okRcpt)
	}
}

// admit decides whether mail may go to path, and where it goes.
func (s *session) admit(path *smtp.Path, r *queue.Recipient) bool {
	if !s.mayReach(path, r) {
		return false
	}
	r.Path = path.String()
	var err error
	if r.Transport, r.NextHop, err = s.o.Receiver.Route(r.Path); err != nil {
		reply := intake.ReplyOf(err)
		s.sayReply(reply)
		s.refused("route", r.Path, reply.String())
		return false
	}
	if s.o.Policy.Rcpt != nil {
		if reply := negative(s.o.Policy.Rcpt(s.ctx, &s.conv, r)); reply != nil {
			s.sayReply(*reply)
			s.refused("policy", r.Path, reply.String())
			s.endBy421(reply)
			return false
		}
	}
	return true
}

// mayReach is the relay check. Postmaster without a domain is ours (RFC 5321
// §4.5.1).
func (s *session) mayReach(path *smtp.Path, r *queue.Recipient) bool {
	if path.Domain == "" {
		if !strings.EqualFold(path.Local, "postmaster") {
			s.say(&noRcptDom)
			return false
		}
		r.OrigPath = path.Local
		path.Domain = s.o.Hostname
		return true
	}
	if !alabel(path) {
		s.say(&badRcptDom)
		return false
	}
	if s.mayRelay() {
		return true
	}
	domain, err := route.Domain(path.Domain)
	switch {
	case err != nil || !s.o.Local(domain) && !s.o.Relay(domain):
		s.say(&noRelay)
	case strings.ContainsAny(path.Local, "@%!"):
		s.say(&noRouting)
	default:
		return true
	}
	s.refused("relay", path.String(), "")
	return false
}
