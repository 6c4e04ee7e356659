package smtpd

import (
	"context"
	"io"

	"mtad/internal/intake"
	"mtad/queue"
)

// Receiver takes the messages of a listener; what XFORWARD said is in the
// envelope's client and the door's Meta. An error becomes the reply that
// intake.ReplyOf makes of it.
type Receiver interface {
	// Route is asked for each recipient before it joins the envelope.
	Route(path string) (transport, nextHop string, err error)
	Open(ctx context.Context, env queue.Envelope, d intake.Door) (Message, error)
}

// Message is one message on its way in, as *intake.Message is.
type Message interface {
	io.Writer
	ID() queue.ID
	Size() int64 // octets written
	// Inline says that Close waits for somebody.
	Inline() bool
	Close(ctx context.Context) (intake.Result, error)
	Abort() error
}

// direct is the Receiver that an Intake is.
type direct struct{ *intake.Intake }

// Open begins a message.
func (d direct) Open(ctx context.Context, env queue.Envelope, door intake.Door) (Message, error) {
	m, err := d.Intake.Open(ctx, env, door)
	if err != nil {
		return nil, err
	}
	return m, nil
}
