package intake

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/smtp"
	"mtad/queue"
)

// Timing says when a chain judges.
type Timing int

// The timings of design: after the reply, before it, before it for a while.
const (
	After Timing = iota
	Inline
	InlineThenPark
)

// Plan is what a chain asks of the door.
type Plan struct {
	Stage  string // the first filter; "": none, the message enters Incoming
	Timing Timing
	Wait   time.Duration // how long a client waits; 0: DefaultWait
}

// Defaults of Options and Plan.
const (
	DefaultMaxReceived = 50
	DefaultWait        = time.Minute
)

// Options say what an Intake works with. Queue is required.
type Options struct {
	Queue queue.Queue
	// Hostname is what our Received field says after "by"; "localhost" if empty.
	Hostname string
	// Route says where a recipient goes. Its error refuses the message: with a
	// smtp.Reply in its chain as that says, transiently otherwise. nil: smtp to
	// the domain.
	Route func(path string) (transport, nextHop string, err error)
	// Plan gives a chain's plan. nil: no filters.
	Plan func(chain string) Plan
	// MaxReceived is how many Received fields a message may bring before it is
	// taken for a loop (RFC 5321 §6.3). 0: DefaultMaxReceived; negative: no bound.
	MaxReceived int
	// Now is the clock of the trace field; nil: time.Now.
	Now      func() time.Time
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Intake is the door. It is safe for concurrent use.
type Intake struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
}

// New makes an Intake. It panics without a Queue.
func New(o Options) *Intake {
	if o.Queue == nil {
		panic("intake: Options.Queue is nil")
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.MaxReceived == 0 {
		o.MaxReceived = DefaultMaxReceived
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Intake{o: o, log: o.Logger, metrics: newMetrics(o.Registry)}
}

// Door describes how a message came in.
type Door struct {
	Name   string // listener or token, for logs
	Chain  string // filter chain; "" has no filters
	Origin queue.Origin
	// MaxSize bounds the content in octets; 0: no bound here.
	MaxSize  int64
	SizeHint int64

	// DedupeKey is that of queue.CreateOptions; Open answers a *queue.DuplicateError,
	// too. LateMeta is asked when the content is complete.
	DedupeKey string
	LateMeta  func() map[string]string
	Parent    queue.ID
	Priority  int8
	// NextAt: not delivered before. Filters do not wait for it.
	NextAt  time.Time
	Expires time.Time
	Hold    *queue.Hold
	Meta    map[string]string
	// Peer, when set, is who the trace field names in place of the envelope's
	// client: with XFORWARD the two differ.
	Peer *queue.Client
	// NoTrace leaves our Received field out (what mtad makes itself).
	NoTrace bool
}

// Errors of Open, Write and Close; those of package queue come through too.
var (
	// ErrLoop: the message has more Received fields than MaxReceived.
	ErrLoop = errors.New("intake: mail loop")
	// ErrNoRecipients: the envelope has no recipient.
	ErrNoRecipients = errors.New("intake: no recipients")
	// ErrNoVerdict: the chain did not answer in time.
	ErrNoVerdict = errors.New("intake: no verdict in time")
)

// Route resolves one forward-path, so that a door can refuse a recipient
// before the content comes. A route to the transport "error" is an error here.
func (in *Intake) Route(path string) (transport, nextHop string, err error) {
	if in.o.Route == nil {
		return defaultRoute(path)
	}
	transport, nextHop, err = in.o.Route(path)
	if err == nil && transport == "error" {
		err = refusal(nextHop)
	}
	return transport, nextHop, err
}

func defaultRoute(path string) (string, string, error) {
	p, err := smtp.ParseMailbox(path)
	if err != nil || p.Domain == "" {
		return "", "", smtp.Reply{Code: 501, Enhanced: "5.1.3", Text: "bad address"}
	}
	return "smtp", p.Domain, nil
}

// refusal is the reply of a route "error": its text may be a whole negative reply
// or begin with an enhanced status code, whose class decides; "5.1.1" otherwise.
func refusal(text string) smtp.Reply {
	if r, ok := smtp.Parse(text); ok && (r.Transient() || r.Permanent()) {
		return r
	}
	enhanced, rest := smtp.CutEnhanced(text)
	r := smtp.Reply{Code: 550, Enhanced: enhanced, Text: rest}
	switch {
	case enhanced == "" || enhanced[0] == '2':
		r.Enhanced, r.Text = "5.1.1", text
	case enhanced[0] == '4':
		r.Code = 450
	}
	if r.Text == "" {
		r.Text = "recipient refused"
	}
	return r
}

// Open begins a message. Recipients without a Transport are resolved; the
// slices of env are not kept. What Open refuses leaves nothing behind.
func (in *Intake) Open(ctx context.Context, env queue.Envelope, d Door) (*Message, error) {
	if len(env.Recipients) == 0 {
		return nil, ErrNoRecipients
	}
	if err := in.resolve(&env); err != nil {
		return nil, err
	}
	plan := Plan{}
	if d.Chain != "" && in.o.Plan != nil {
		plan = in.o.Plan(d.Chain)
	}
	peer := &env.Client
	if d.Peer != nil {
		peer = d.Peer
	}
	if !d.NextAt.IsZero() {
		d.schedule(plan.Stage != "")
	}
	w, err := in.o.Queue.Create(ctx, env, queue.CreateOptions{
		Origin: d.Origin, Parent: d.Parent, Chain: d.Chain, Stage: plan.Stage,
		Priority: d.Priority, NextAt: d.NextAt, Expires: d.Expires, Hold: d.Hold, Meta: d.Meta,
		DedupeKey: d.DedupeKey, EarlyDuplicate: d.LateMeta != nil, LateMeta: d.LateMeta, SizeHint: d.SizeHint, MaxSize: d.MaxSize,
		Trace: in.tracer(d, peer, &env),
	})
	if err != nil {
		return nil, err
	}
	return &Message{in: in, w: w, plan: plan, maxSize: d.MaxSize, counter: receivedCounter{max: in.o.MaxReceived}}, nil
}

// schedule keeps the time of delivery beside the item: what waits for a filter is
// due at once, and delivery counts its lifetime from there.
func (d *Door) schedule(filtered bool) {
	d.Meta = maps.Clone(d.Meta)
	if d.Meta == nil {
		d.Meta = map[string]string{}
	}
	d.Meta[queue.MetaSendAt] = d.NextAt.UTC().Format(time.RFC3339)
	if filtered {
		d.NextAt = time.Time{}
	}
}

func (in *Intake) tracer(d Door, peer *queue.Client, env *queue.Envelope) func(queue.ID) []byte {
	if d.NoTrace {
		return nil
	}
	return func(id queue.ID) []byte { return Received(in.o.Hostname, peer, env, id, in.o.Now()) }
}

// resolve fills in the routes. It copies the recipients before it changes one.
func (in *Intake) resolve(env *queue.Envelope) error {
	copied := false
	for i := range env.Recipients {
		if env.Recipients[i].Transport != "" {
			continue
		}
		if !copied {
			env.Recipients = append([]queue.Recipient(nil), env.Recipients...)
			copied = true
		}
		r := &env.Recipients[i]
		var err error
		if r.Transport, r.NextHop, err = in.route(r.Path); err != nil {
			return err
		}
	}
	return nil
}

// route is Route for a message that is being taken: a route "error" stays, so
// that one recipient's failure becomes a DSN and not the message's refusal.
func (in *Intake) route(path string) (string, string, error) {
	if in.o.Route == nil {
		return defaultRoute(path)
	}
	return in.o.Route(path)
}
