package intake

import (
	"context"
	"errors"

	"mtad/internal/smtp"
	"mtad/queue"
)

// ReplyOf is the one place that turns an error of the queue, of a route or of
// this package into what a peer is told. A smtp.Reply in err's chain is taken
// as it is if it is negative. What nobody knows is transient. nil is no reply.
func ReplyOf(err error) smtp.Reply {
	if err == nil {
		return smtp.Reply{}
	}
	var own smtp.Reply
	if errors.As(err, &own) && (own.Transient() || own.Permanent()) {
		return own
	}
	for _, m := range replies {
		if errors.Is(err, m.err) {
			return m.reply
		}
	}
	return smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "local error, try again later"}
}

var replies = []struct {
	err   error
	reply smtp.Reply
}{
	{queue.ErrHighWater, smtp.Reply{Code: 452, Enhanced: "4.3.1", Text: "too much mail waiting, try again later"}},
	{queue.ErrFull, smtp.Reply{Code: 452, Enhanced: "4.3.1", Text: "insufficient system storage"}},
	{queue.ErrTooLarge, smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: "message too big for system"}},
	{queue.ErrUncertain, smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "outcome uncertain, try again later"}},
	{queue.ErrUnavailable, smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "storage unavailable, try again later"}},
	{queue.ErrInvalid, smtp.Reply{Code: 554, Enhanced: "5.6.0", Text: "message not acceptable"}},
	{ErrLoop, smtp.Reply{Code: 554, Enhanced: "5.4.6", Text: "too many hops: mail loop"}},
	{ErrNoRecipients, smtp.Reply{Code: 554, Enhanced: "5.5.1", Text: "no valid recipients"}},
	{ErrNoVerdict, smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "message could not be checked in time, try again later"}},
	{context.Canceled, smtp.Reply{Code: 451, Enhanced: "4.3.2", Text: "shutting down, try again later"}},
	{context.DeadlineExceeded, smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "queue too slow, try again later"}},
}

func queuedAs(id queue.ID) smtp.Reply {
	return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "ok, queued as " + string(id)}
}

// verdictReply reads the reply of a filter that rejected. One that is not
// negative would tell the client that its message was taken.
func verdictReply(s string) smtp.Reply {
	r, ok := smtp.Parse(s)
	if !ok || !r.Transient() && !r.Permanent() {
		return smtp.Reply{Code: 550, Enhanced: "5.7.1", Text: "message rejected"}
	}
	if r.Text == "" {
		r.Text = "message rejected"
	}
	return r
}
