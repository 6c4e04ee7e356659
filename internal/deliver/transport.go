package deliver

import (
	"context"

	"mtad/internal/smtp"
	"mtad/queue"
)

// Transport is a way out. Deliver makes one attempt for some recipients of an
// item and returns one Result for each of j.Recipients, in any order, whatever
// happens. Ending ctx ends the attempt soon; recipients that had no result by
// then are pending. Safe for concurrent use.
type Transport interface {
	Deliver(ctx context.Context, j Job) []Result
}

// Job is one attempt.
type Job struct {
	Item queue.Item
	// Recipients are indexes into Item.Envelope.Recipients.
	Recipients []int
	// NextHop is what package route said; its meaning depends on the transport.
	NextHop string
	// Open opens the content behind our own trace fields. It may be called more
	// than once; whoever calls it closes what it returned.
	Open func() (queue.Content, error)
}

// Result is what became of one recipient.
type Result struct {
	Index int
	// Status is Relayed or Delivered; Failed: permanent; Pending: transient.
	Status queue.RecipientStatus
	// Reply is the next hop's, or ours where none was received. Never zero.
	Reply smtp.Reply
	// Remote is the name of the host whose reply it is, "" when it is ours.
	Remote string
	// DSN: the next hop has taken over the duty to report success (RFC 3461 §5.2.1);
	// with Relayed only.
	DSN bool
}

// recipient is the envelope's entry for index i.
func (j *Job) recipient(i int) *queue.Recipient { return &j.Item.Envelope.Recipients[i] }

// all gives every recipient the same result.
func (j *Job) all(status queue.RecipientStatus, reply smtp.Reply) []Result {
	results := make([]Result, len(j.Recipients))
	for n, i := range j.Recipients {
		results[n] = Result{Index: i, Status: status, Reply: reply}
	}
	return results
}

// statusOf is what a negative reply means. What is no permanent reply is
// transient.
func statusOf(r smtp.Reply) queue.RecipientStatus {
	if r.Permanent() {
		return queue.Failed
	}
	return queue.Pending
}
