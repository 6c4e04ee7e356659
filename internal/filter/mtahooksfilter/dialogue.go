package mtahooksfilter

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scanner"
	"mtad/internal/smtp"
	"mtad/queue"
)

// earlyStages are those of a session before there is a message.
func earlyStages() []string { return []string{"connect", "ehlo", "mail", "rcpt"} }

// Gate asks a scanner while an SMTP client speaks, at the stages before the
// message. It is safe for concurrent use, and has a registration of its own.
type Gate struct {
	f       *Filter
	name    string
	timeout time.Duration
	failure map[filter.Class]filter.Action
	log     *slog.Logger
}

// NewGate makes a Gate. name is the filter's, Options.Timeout (default a minute)
// bounds each question. failure is the failure matrix: Tempfail and Reject answer
// the client, for the rest of its session; with the others the session goes on
// without the scanner, and the chain applies the rule to the message. A nil logger
// discards.
func NewGate(o Options, name string, failure map[filter.Class]filter.Action, log *slog.Logger) (*Gate, error) {
	o.stages = earlyStages()
	f, err := New(o)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	return &Gate{f: f, name: name, timeout: o.Timeout, failure: failure, log: log}, nil
}

// Dialogue is the Gate's side of one SMTP session, for one goroutine. Each of its
// stages returns the reply that refuses, nil when nothing does.
type Dialogue struct {
	g      *Gate
	ctx    context.Context // of the session
	client queue.Client
	env    *queue.Envelope
	off    bool        // the scanner is not asked any more
	stuck  *smtp.Reply // of a scanner that failed
}

// Open begins a dialogue.
func (g *Gate) Open() *Dialogue { return &Dialogue{g: g, off: true} }

// Replies of ours.
var (
	gateTempfail = smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "cannot be checked now, try again later"}
	gateFailed   = smtp.Reply{Code: 550, Enhanced: "5.7.0", Text: "cannot be checked"}
)

// Connect tells of a client, also of one that takes another's place (XCLIENT). ctx
// bounds the whole session.
func (d *Dialogue) Connect(ctx context.Context, c *queue.Client) *smtp.Reply {
	*d = Dialogue{g: d.g, ctx: ctx, client: *c}
	return greeting(d.ask("connect", nil))
}

// greeting makes a refusal one that may stand in place of a greeting (RFC 5321
// §4.3.2).
func greeting(r *smtp.Reply) *smtp.Reply {
	switch {
	case r == nil || r.Code == 421:
		return r
	case r.Transient():
		return &smtp.Reply{Code: 421, Enhanced: r.Enhanced, Text: r.Text}
	}
	return &smtp.Reply{Code: 554, Enhanced: r.Enhanced, Text: r.Text}
}

// Helo tells of HELO or EHLO.
func (d *Dialogue) Helo(c *queue.Client) *smtp.Reply {
	d.client = *c
	return d.ask("ehlo", nil)
}

// Mail tells of MAIL.
func (d *Dialogue) Mail(e *queue.Envelope) *smtp.Reply {
	d.env, d.client = e, e.Client
	return d.ask("mail", nil)
}

// Rcpt tells of RCPT: what is refused is this recipient.
func (d *Dialogue) Rcpt(r *queue.Recipient) *smtp.Reply { return d.ask("rcpt", r) }

// Data is no stage of its own: the chain asks, with the message.
func (d *Dialogue) Data() *smtp.Reply { return d.stuck }

// Reset ends a transaction.
func (d *Dialogue) Reset() { d.env = nil }

// Close ends the dialogue.
func (d *Dialogue) Close() { d.off = true }

// ask puts a stage to the scanner, if it wants to hear of it.
func (d *Dialogue) ask(stage string, r *queue.Recipient) *smtp.Reply {
	if d.off || d.stuck != nil {
		return d.stuck
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.g.timeout)
	defer cancel()
	reply, err := d.question(ctx, stage, r)
	if err != nil {
		return d.lost(stage, err)
	}
	return reply
}

// lost applies the failure matrix.
func (d *Dialogue) lost(stage string, err error) *smtp.Reply {
	d.off = true
	if d.ctx.Err() != nil {
		return nil // the client went, not the scanner
	}
	class := filter.Unreachable
	if f, ok := errors.AsType[*filter.Failure](err); ok {
		class = f.Class
	}
	action := d.g.failure[class]
	d.g.log.Warn("scanner lost in session", "filter", d.g.name, "stage", stage, "class", string(class), "action", string(action), "cause", err.Error())
	switch action {
	case filter.Tempfail:
		d.stuck = &gateTempfail
	case filter.Reject:
		d.stuck = &gateFailed
	}
	return d.stuck
}

// question is one hook request before there is a message.
func (d *Dialogue) question(ctx context.Context, stage string, r *queue.Recipient) (*smtp.Reply, error) {
	for again := false; ; again = true {
		reg, err := d.g.f.reg.get(ctx)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(reg.stages, stage) {
			return nil, nil
		}
		resp, err := d.send(ctx, reg, stage, r)
		if err != nil {
			return nil, err
		}
		gone := resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone
		if gone && !again && d.g.f.reg.drop(reg) {
			resp.Body.Close()
			continue
		}
		reply, err := d.answer(ctx, reg, stage, resp)
		resp.Body.Close()
		return reply, err
	}
}

func (d *Dialogue) send(ctx context.Context, reg *registration, stage string, r *queue.Recipient) (*http.Response, error) {
	text, err := json.Marshal(d.request(reg.properties, stage, r))
	if err != nil {
		return nil, err
	}
	return d.g.f.c.Do(ctx, hookclient.Request{
		Method: http.MethodPost, URL: reg.endpoint, Header: d.g.f.header(reg, d.g.f.next()), Size: int64(len(text)),
		Open: func() (io.Reader, error) { return strings.NewReader(string(text)), nil },
	})
}

// request is what the properties are at a stage; those that are not known yet are
// null.
func (d *Dialogue) request(properties []string, stage string, r *queue.Recipient) object {
	it := queue.Item{Envelope: queue.Envelope{Client: d.client}}
	var envelope any
	if d.env != nil {
		it.Envelope = *d.env
		it.Envelope.Client = d.client
		if r != nil {
			it.Envelope.Recipients = append(slices.Clone(it.Envelope.Recipients), *r)
		}
		envelope = envelopeOf(it.Envelope)
	}
	o := object{}
	for _, p := range properties {
		switch p {
		case "/envelope":
			o["envelope"] = envelope
		case "/queue", "/message", rawMessage:
			o[p[1:]] = nil
		default:
			o[p[1:]] = d.g.f.property(p, stage, &it)
		}
	}
	return o
}

// answer reads the reply that an answer comes to. Before there is a message nothing
// can be changed; what is to be discarded or held is so with the message, by the
// chain.
func (d *Dialogue) answer(ctx context.Context, reg *registration, stage string, resp *http.Response) (*smtp.Reply, error) {
	if err := hookclient.Status(who, resp); err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	if err := hookclient.JSON(who, resp, patchType); err != nil {
		return nil, err
	}
	text, err := hookclient.Read(ctx, who, resp.Body, maxAnswer)
	if err != nil {
		return nil, err
	}
	a, err := parseAnswer(text)
	if err != nil {
		return nil, err
	}
	for _, o := range a {
		if o.at[0] != "action" && o.at[0] != "response" {
			return nil, scanner.Protocol("%s changes %.60q at the stage %s", who, o.path, stage)
		}
	}
	c := changes{f: d.g.f, inv: &invocation{reg: reg}}
	if err := c.all(a); err != nil {
		return nil, err
	}
	v, err := c.verdict(d.g.name)
	if err != nil || v.Reply == nil {
		return nil, err
	}
	if err := filter.Validate(v); err != nil {
		return nil, scanner.Protocol("%s: %v", who, err)
	}
	reply := &smtp.Reply{Code: v.Reply.Code, Enhanced: v.Reply.Enhanced, Text: v.Reply.Text}
	if c.action == "disconnect" {
		reply.Code, reply.Enhanced = 421, "4.7.0"
	}
	return reply, nil
}
