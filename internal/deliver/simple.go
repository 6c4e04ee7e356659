package deliver

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/smtp"
	"mtad/queue"
)

// Options are what every transport takes.
type Options struct {
	// Logger gets one line for each recipient of an attempt; nil: none.
	Logger *slog.Logger
	// Registry; nil: no metrics. Transports may share one.
	Registry prometheus.Registerer
}

// Discard delivers to nowhere: every recipient counts as delivered.
type Discard struct{ o *observer }

// NewDiscard makes a Discard.
func NewDiscard(o Options) *Discard { return &Discard{newObserver("discard", o.Logger, o.Registry)} }

// Deliver implements Transport.
func (d *Discard) Deliver(_ context.Context, j Job) []Result {
	a := attempt{begun: d.o.now()}
	results := j.all(queue.Delivered, smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "discarded"})
	d.o.done(&j, results, a)
	return results
}

// Fail answers every recipient with the reply in its next hop: "550 5.1.1 no
// such user", or a text, which is then a 554 5.0.0. A 4yz reply is transient.
type Fail struct{ o *observer }

// NewFail makes a Fail.
func NewFail(o Options) *Fail { return &Fail{newObserver("error", o.Logger, o.Registry)} }

// Deliver implements Transport.
func (f *Fail) Deliver(_ context.Context, j Job) []Result {
	a := attempt{begun: f.o.now()}
	reply := failReply(j.NextHop)
	results := j.all(statusOf(reply), reply)
	f.o.done(&j, results, a)
	return results
}

func failReply(text string) smtp.Reply {
	if r, ok := smtp.Parse(text); ok && (r.Transient() || r.Permanent()) {
		return r
	}
	if text == "" {
		text = "not deliverable"
	}
	r := smtp.Reply{Code: 554, Enhanced: "5.0.0", Text: text}
	switch enhanced, rest := smtp.CutEnhanced(text); {
	case enhanced == "" || enhanced[0] == '2':
	case enhanced[0] == '4':
		r = smtp.Reply{Code: 450, Enhanced: enhanced, Text: rest}
	default:
		r.Enhanced, r.Text = enhanced, rest
	}
	return r
}
