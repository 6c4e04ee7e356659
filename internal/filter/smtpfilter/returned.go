package smtpfilter

import (
	"context"
	"errors"

	"mtad/internal/filter"
	"mtad/internal/smtp"
	"mtad/queue"
)

// Returned is one message that a scanner gives back. It is for one goroutine and
// ends with Close or Abort.
type Returned struct {
	r   *Returns
	ctx context.Context
	env queue.Envelope

	p      *pairing // nil: not known
	served *served  // of a scan that has ended
	head   []byte   // until the header section is complete
	begun  bool
	size   int64
	out    *filter.Replacement
	err    error
}

// pair looks an identity up; true when it was ever ours.
func (x *Returned) pair(ident string) bool {
	x.p, x.served = x.r.find(ident)
	return x.p != nil || x.served != nil
}

// ID is the queue ID of the message, "" when it is not known.
func (x *Returned) ID() queue.ID {
	if x.p == nil {
		return ""
	}
	return x.p.m.Item.ID
}

// Size is how many octets were written.
func (x *Returned) Size() int64 { return x.size }

// Write takes content. It does not fail: Close says what became of it.
func (x *Returned) Write(b []byte) (int, error) {
	x.size += int64(len(b))
	if x.begun {
		x.put(b)
		return len(b), nil
	}
	if x.head = append(x.head, b...); headEnds(x.head) {
		x.begin()
	}
	return len(b), nil
}

// begin settles which message this is: by XFORWARD, or by the header field.
func (x *Returned) begin() {
	x.begun = true
	head := x.head
	x.head = nil
	if x.p == nil && x.served == nil || x.p != nil && x.p.byField {
		var ident string
		if ident, head = cutIdent(head); x.p == nil && ident != "" {
			x.pair(ident)
		}
	}
	if x.p != nil {
		x.out = x.p.replacement(x.ctx)
	}
	x.put(head)
}

func (x *Returned) put(b []byte) {
	if x.out == nil || x.err != nil {
		return
	}
	x.err = x.p.whileOpen(func() error {
		_, err := x.out.Write(b)
		return err
	})
}

// Abort drops it.
func (x *Returned) Abort() error {
	if x.out == nil {
		return nil
	}
	return x.p.whileOpen(x.out.Abort)
}

// Close says what the scanner is told. A positive reply comes after the verdict
// is durable, or when the message stays in the queue until it is.
func (x *Returned) Close() smtp.Reply {
	if !x.begun {
		x.begin()
	}
	switch {
	case x.p == nil && x.served == nil:
		return notOurs
	case x.p == nil && x.served.all(x.env.Recipients):
		return okAgain
	case x.p == nil:
		return notHere
	case errors.Is(x.err, filter.ErrReplacementLarge):
		_ = x.Abort()
		x.p.spoil(failure(filter.Protocol, x.err))
		return tooBig
	}
	return x.p.take(x)
}
