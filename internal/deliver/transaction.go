package deliver

import (
	"context"
	"crypto/tls"
	"errors"

	"mtad/internal/smtp"
	"mtad/internal/smtpclient"
	"mtad/queue"
)

// send makes transactions on a session until the recipients are decided or the
// session is of no more use, and gives the session back.
func (x *delivery) send(ctx context.Context, s *session, again bool) {
	x.tell(smtp.Reply{}, "", nil)
	x.a.remote, x.a.tls = address(s.target), ""
	if state := s.TLS(); state != nil {
		x.a.tls = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
	}
	for len(x.open) > 0 && s.Usable() {
		batch := x.open[:min(len(x.open), x.batch(s))]
		if !x.transaction(ctx, s, batch, again) {
			break
		}
		again = false
	}
	if !x.mayReuse(s) || !x.reply.IsZero() {
		s.quit()
		return
	}
	x.r.pool.put(s)
}

func (x *delivery) batch(s *session) int {
	n := x.r.o.MaxRecipients
	if limit := s.Extensions().MaxRecipients; limit > 0 {
		n = min(n, limit)
	}
	return n
}

func (x *delivery) mayReuse(s *session) bool {
	return s.Usable() && (x.r.o.MaxMessages < 0 || s.Sent() < x.r.o.MaxMessages)
}

// transaction sends the message to some recipients and reports whether another
// one on the same session makes sense.
func (x *delivery) transaction(ctx context.Context, s *session, batch []int, again bool) bool {
	content, err := x.j.Open()
	if err != nil {
		x.decide(batch, noContent, "", err)
		return false
	}
	defer func() { _ = content.Close() }()
	t := x.envelope(s, batch, content.Size())
	out := s.Send(ctx, t, content)
	if again && stale(out) {
		return false
	}
	return x.take(s, batch, out)
}

// stale: the next hop had ended a session that was kept, before it saw MAIL.
func stale(out *smtpclient.Outcome) bool {
	return out.Err != nil && !out.Sent && (out.Err.Stage == smtpclient.StageMail || out.Err.Stage == smtpclient.StageReset) &&
		(out.Err.Reply.IsZero() || out.Err.Reply.Code == 421)
}

var (
	noContent = smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "content not available now"}
	uncertain = smtp.Reply{Code: 451, Enhanced: "4.4.2", Text: "connection lost after end of data, outcome unknown"}
)

// decide gives recipients a transient result.
func (x *delivery) decide(batch []int, reply smtp.Reply, remote string, err error) {
	x.a.err = err
	for _, n := range batch {
		x.set(n, queue.Pending, reply, remote)
	}
	x.drop()
}

func (x *delivery) set(n int, status queue.RecipientStatus, reply smtp.Reply, remote string) {
	x.results[n].Status, x.results[n].Reply, x.results[n].Remote = status, reply, remote
}

// drop takes decided positions out of open.
func (x *delivery) drop() {
	left := x.open[:0:0]
	for _, n := range x.open {
		if x.results[n].Reply.IsZero() {
			left = append(left, n)
		}
	}
	x.open = left
}

// take reads an outcome. Recipients it leaves open may be tried on another host,
// or, where the next hop wants fewer at a time, in another transaction.
func (x *delivery) take(s *session, batch []int, out *smtpclient.Outcome) bool {
	remote := remoteName(s.target)
	relayed := 0
	for k, n := range batch {
		if r := out.Results[k]; r.Reply.Code/100 == 2 {
			x.set(n, x.success(), r.Reply, remote)
			x.results[n].DSN = s.Extensions().DSN
			relayed++
		}
	}
	for k, n := range batch {
		r := out.Results[k]
		switch {
		case r.Reply.Code/100 == 2:
		case r.Local:
			x.set(n, statusOf(r.Reply), r.Reply, "")
		case r.Reply.IsZero():
			x.unanswered(n, s, out)
		case tooMany(r):
			if relayed == 0 {
				x.set(n, queue.Pending, r.Reply, remote)
			}
		case out.Err == nil && r.Stage == smtpclient.StageMail && r.Reply.Transient(), r.Reply.Code == 421 && !out.Sent:
			x.tell(r.Reply, remote, nil) // another host may be better off
		default:
			x.set(n, statusOf(r.Reply), r.Reply, remote)
		}
	}
	if out.Err != nil && out.Err.Reply.IsZero() {
		x.a.err = out.Err
	}
	x.drop()
	return out.Err == nil && (relayed > 0 || x.decided(batch))
}

func (x *delivery) decided(batch []int) bool {
	for _, n := range batch {
		if x.results[n].Reply.IsZero() {
			return false
		}
	}
	return true
}

// unanswered is for a recipient whose reply never came.
func (x *delivery) unanswered(n int, s *session, out *smtpclient.Outcome) {
	switch remote := remoteName(s.target); {
	case out.Sent:
		x.set(n, queue.Pending, uncertain, remote)
	case out.Err != nil && errors.Is(out.Err, smtpclient.ErrContent):
		x.set(n, queue.Pending, noContent, "")
	case out.Err != nil:
		x.tell(sessionReply(s.target, out.Err), "", out.Err)
	}
}

// success: an MDA behind LMTP has delivered, a next hop has taken over.
func (x *delivery) success() queue.RecipientStatus {
	if x.r.o.Client.LMTP {
		return queue.Delivered
	}
	return queue.Relayed
}

// tooMany: RCPT is refused because there are enough already. RFC 5321
// §4.5.3.1.10 has 452, older servers say 552.
func tooMany(r smtpclient.Result) bool {
	if r.Stage != smtpclient.StageRcpt {
		return false
	}
	switch r.Reply.Enhanced {
	case "4.5.3", "5.5.3":
		return true
	case "":
		return r.Reply.Code == 452 || r.Reply.Code == 552
	}
	return false
}
