package filter

import (
	"context"
	"errors"
	"fmt"

	"mtad/filterproto"
	"mtad/queue"
)

// Kind is a filter that mtad drives. Scan is called by up to
// Definition.Concurrency goroutines at a time and answers before ctx ends
// (Definition.Timeout); the lease is renewed meanwhile by the engine. A verdict
// it returns is checked like one from outside. An error is classified by
// *Failure; ctx's own end is Timeout, a panic Crash, and an error that nobody
// classified is Unreachable. Scan must not keep the Message after it returned.
// A Kind that is an io.Closer is closed when Engine.Run ends.
type Kind interface {
	Scan(ctx context.Context, m Message) (filterproto.Verdict, error)
}

// KindFunc makes a Kind of a function.
type KindFunc func(ctx context.Context, m Message) (filterproto.Verdict, error)

// Scan calls f.
func (f KindFunc) Scan(ctx context.Context, m Message) (filterproto.Verdict, error) { return f(ctx, m) }

// Message is what a Kind is shown: the item with its envelope and the client's
// attributes, and its content, under a living lease.
type Message struct {
	Filter string
	Item   queue.Item

	q     queue.Queue
	token queue.Token
	judge func(context.Context, filterproto.Verdict) error
}

// Judge carries a verdict out now, durably and as a whole, before Scan returns:
// for a scanner that has to be told that its answer was taken. Scan then returns
// the same verdict, which happens once; also when Judge answered
// queue.ErrUncertain. Errors are those of Engine.Judge.
func (m Message) Judge(ctx context.Context, v filterproto.Verdict) error { return m.judge(ctx, v) }

// Open reads the current generation, with our own trace field in front or
// without. The caller closes it.
func (m Message) Open(ctx context.Context, trace bool) (queue.Content, error) {
	return m.open(ctx, queue.OpenSpec{Token: m.token, Generation: -1, Trace: trace})
}

// OpenReceived reads the content as it was received, before any edit and without
// our own trace field. The caller closes it.
func (m Message) OpenReceived(ctx context.Context) (queue.Content, error) {
	return m.open(ctx, queue.OpenSpec{Token: m.token})
}

func (m Message) open(ctx context.Context, spec queue.OpenSpec) (queue.Content, error) {
	c, err := m.q.Open(ctx, spec)
	if err != nil {
		return nil, errQueue{err}
	}
	return content{c}, nil
}

// Upload opens a blob for a replacement too large to be inline. UploadName of
// what Seal returns goes into Edit.Upload.
func (m Message) Upload(ctx context.Context) (queue.BlobWriter, error) {
	w, err := m.q.Upload(ctx, m.token)
	if err != nil {
		return nil, errQueue{err}
	}
	return blob{w}, nil
}

// Class is a way in which a filter fails.
type Class string

// The classes.
const (
	Unreachable Class = "unreachable" // no connection; pull: nobody claims
	Timeout     Class = "timeout"     // no answer in time; pull: the lease ran out
	// Protocol: an answer that cannot be understood or carried out. A pull scanner is
	// told so instead, and its lease runs on.
	Protocol Class = "protocol"
	Crash    Class = "crash"     // it died on this message; pull: MaxClaims leases lost
	OverSize Class = "over-size" // larger than the filter takes
)

// Classes lists all of them.
var Classes = [...]Class{Unreachable, Timeout, Protocol, Crash, OverSize}

func (c Class) valid() bool {
	for _, k := range Classes {
		if k == c {
			return true
		}
	}
	return false
}

// Action is what is done about a failure.
type Action string

// The actions. None of them lets a message pass unmarked.
const (
	// Park leaves the message at its stage, to be tried again. A waiting client goes
	// on waiting, within its chain's Wait.
	Park Action = "park"
	// Tempfail answers 4xx to a waiting client; otherwise it parks.
	Tempfail Action = "tempfail"
	// Quarantine holds the message; released, it is filtered again, and waits for its
	// filter if that fails once more. A waiting client gets its positive reply.
	Quarantine Action = "quarantine"
	// AcceptMarked goes on to the next filter, with a header field MarkField and a
	// verdict that says so.
	AcceptMarked Action = "accept-marked"
	// Reject is a 5xx to a waiting client, a failed DSN otherwise.
	Reject Action = "reject"
)

// Actions lists all of them.
var Actions = [...]Action{Park, Tempfail, Quarantine, AcceptMarked, Reject}

func (a Action) valid() bool {
	for _, k := range Actions {
		if k == a {
			return true
		}
	}
	return false
}

// Failure is an error of a Kind with its class.
type Failure struct {
	Class Class
	Err   error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Class, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// classOf finds the class of a Kind's error.
func classOf(err error) Class {
	var f *Failure
	var v *VerdictError
	switch {
	case errors.As(err, &f) && f.Class.valid():
		return f.Class
	case errors.As(err, &v):
		return Protocol
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Unreachable
}
