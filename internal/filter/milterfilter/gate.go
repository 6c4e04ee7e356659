package milterfilter

import (
	"context"
	"errors"
	"log/slog"

	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/smtp"
	"mtad/queue"
)

// Guard is one milter of a Gate.
type Guard struct {
	Name   string
	Filter *Filter
	// Failure is the failure matrix. Tempfail and Reject answer the client, for the
	// rest of its session; with the others the session goes on without the milter:
	// the chain applies the rule to the message.
	Failure map[filter.Class]filter.Action
}

// Gate asks milters, in order, while an SMTP client speaks. It is safe for
// concurrent use.
type Gate struct {
	guards []Guard
	log    *slog.Logger
}

// NewGate makes a Gate. A nil logger discards.
func NewGate(log *slog.Logger, guards ...Guard) *Gate {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Gate{guards: guards, log: log}
}

// Dialogue is the Gate's side of one SMTP session, for one goroutine. Each of its
// stages returns the reply of the first milter that refuses, nil when none does.
type Dialogue struct {
	g       *Gate
	talks   []talk
	greeted bool // HELO was told
	ctx     context.Context
	with    greeted
}

// talk is one milter's part in a dialogue.
type talk struct {
	Guard
	s      *milter.Session
	macros macros
	off    scope
	stuck  *smtp.Reply // of a milter that was lost

	told   []string       // of the envelope, as toldOf has it
	data   bool           // DATA was told
	answer *milter.Answer // that ended its part in the message or the session
	offer  *offer         // lent to the scan of the message
}

// scope is for how long a milter is not asked.
type scope uint8

const (
	asked      scope = iota
	forMessage       // until the transaction ends
	forSession
)

// Open begins a dialogue. The caller closes it.
func (g *Gate) Open() *Dialogue { return &Dialogue{g: g} }

// Connect tells of a client, also of one that takes another's place (XCLIENT). ctx
// bounds the whole session.
func (d *Dialogue) Connect(ctx context.Context, c *queue.Client) *smtp.Reply {
	d.Close()
	d.greeted, d.ctx = false, ctx
	d.talks = make([]talk, len(d.g.guards))
	for i := range d.talks {
		t := &d.talks[i]
		t.Guard, t.macros = d.g.guards[i], macros{}
		t.macros.client(&t.Filter.o, c)
	}
	r := d.ask(forSession, func(t *talk) (a milter.Answer, err error) {
		if t.s, err = t.Filter.client.Open(ctx); err != nil {
			return a, err
		}
		t.s.Macros = t.macros.lookup
		return t.s.Connect(peerOf(c))
	})
	return greeting(r)
}

// greeting makes our own replies those that may stand in place of a greeting (RFC
// 5321 §4.3.2).
func greeting(r *smtp.Reply) *smtp.Reply {
	switch r {
	case &gateReject:
		return &smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: r.Text}
	case &gateTempfail:
		return &smtp.Reply{Code: 421, Enhanced: "4.7.1", Text: r.Text}
	}
	return r
}

// Helo tells of HELO or EHLO.
func (d *Dialogue) Helo(c *queue.Client) *smtp.Reply {
	d.greeted, d.with = true, greetedBy(c)
	return d.ask(forSession, func(t *talk) (milter.Answer, error) {
		t.macros.helo(c)
		return t.s.Helo(heloOf(c))
	})
}

// Mail tells of MAIL, and before it of a HELO that XCLIENT brought.
func (d *Dialogue) Mail(e *queue.Envelope) *smtp.Reply {
	if !d.greeted {
		if r := d.Helo(&e.Client); r != nil {
			return r
		}
	}
	return d.ask(forMessage, func(t *talk) (milter.Answer, error) {
		t.macros.mail(e, "")
		t.told, t.data = []string{mailLine(e)}, false
		return t.s.Mail(wirePath(e.ReversePath), mailArgs(e))
	})
}

// Rcpt tells of RCPT: what is refused is this recipient.
func (d *Dialogue) Rcpt(r *queue.Recipient) *smtp.Reply {
	return d.ask(forMessage, func(t *talk) (milter.Answer, error) {
		t.macros.rcpt(r)
		a, err := t.s.Rcpt(wirePath(r.Path), rcptArgs(r))
		if a.Through() || a.Action == milter.Accept || a.Action == milter.Discard {
			t.told = append(t.told, rcptLine(r))
		}
		return a, err
	})
}

// Data tells of DATA.
func (d *Dialogue) Data() *smtp.Reply {
	return d.ask(forMessage, func(t *talk) (milter.Answer, error) {
		t.data = true
		return t.s.Data()
	})
}

// Judged says which message the transaction became, whose client waits for the
// verdict: each milter that is asked for it goes on from here, with its content.
// The caller does nothing more with the Dialogue until Reset.
func (d *Dialogue) Judged(id queue.ID) {
	for i := range d.talks {
		t := &d.talks[i]
		if t.s == nil || t.Filter.o.Live == nil || t.off == asked && !t.data || t.off != asked && t.answer == nil {
			continue
		}
		t.offer = &offer{subject: subject{t.Name, id}, f: t.Filter, home: d.ctx, s: t.s, macros: t.macros, with: d.with, told: t.told, answer: t.answer}
		if t.answer != nil {
			t.offer.s = nil
		}
		t.Filter.o.Live.offer(t.offer)
	}
}

// takeBack ends the offer of a conversation. One that a scan still has is the
// scan's now; one that failed has had its rule applied to the message.
func (t *talk) takeBack() {
	if t.offer == nil {
		return
	}
	state := t.Filter.o.Live.reclaim(t.offer)
	lent := t.offer.s != nil
	switch t.offer = nil; {
	case lent && state == left:
		t.s = nil
		t.close()
	case lent && state == spent:
		t.close()
	}
}

// Reset ends a transaction.
func (d *Dialogue) Reset() {
	for i := range d.talks {
		t := &d.talks[i]
		t.takeBack()
		if t.s == nil {
			continue
		}
		t.told = nil
		t.macros.forget()
		if err := t.s.Abort(); err != nil {
			d.lost(t, err)
		} else if t.off == forMessage {
			t.off, t.answer = asked, nil
		}
	}
}

// Close ends the dialogue.
func (d *Dialogue) Close() {
	for i := range d.talks {
		d.talks[i].takeBack()
		d.talks[i].close()
	}
	d.talks = nil
}

func (t *talk) close() {
	if t.s != nil {
		t.s.Close()
		t.s = nil
	}
	t.off, t.answer = forSession, nil
}

// Replies of ours.
var (
	gateReject   = smtp.Reply{Code: 550, Enhanced: "5.7.1", Text: "refused by policy"}
	gateTempfail = smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "cannot be checked now, try again later"}
	gateShutdown = smtp.Reply{Code: 421, Enhanced: "4.3.2", Text: "closing connection"}
	gateFailed   = smtp.Reply{Code: 554, Enhanced: "5.7.0", Text: "cannot be checked"}
)

// ask puts a question to every milter until one refuses. through is for how long
// one is not asked any more that has heard enough.
func (d *Dialogue) ask(through scope, question func(*talk) (milter.Answer, error)) *smtp.Reply {
	for i := range d.talks {
		t := &d.talks[i]
		if t.stuck != nil {
			return t.stuck
		}
		if t.off != asked {
			continue
		}
		a, err := question(t)
		if err != nil {
			if r := d.lost(t, err); r != nil {
				return r
			}
			continue
		}
		if r := d.answer(t, a, through); r != nil {
			return r
		}
	}
	return nil
}

func (d *Dialogue) answer(t *talk, a milter.Answer, through scope) *smtp.Reply {
	switch a.Action {
	case milter.Accept, milter.Discard:
		// What it says of the message the chain does.
		t.off, t.answer = max(t.off, through), &a
	case milter.Reject, milter.Tempfail:
		if !a.Reply.IsZero() {
			return &a.Reply
		}
		if a.Action == milter.Reject {
			return &gateReject
		}
		return &gateTempfail
	case milter.Shutdown:
		return &gateShutdown
	}
	return nil
}

// lost applies the failure matrix to a milter that cannot be asked any more.
func (d *Dialogue) lost(t *talk, err error) *smtp.Reply {
	class := classOf(err)
	action := t.Failure[class]
	if errors.Is(err, context.Canceled) {
		t.close() // the client went, not the milter
		return nil
	}
	d.g.log.Warn("milter lost in session", "filter", t.Name, "class", string(class), "action", string(action), "cause", err.Error())
	t.close()
	switch action {
	case filter.Tempfail:
		t.stuck = &gateTempfail
	case filter.Reject:
		t.stuck = &gateFailed
	}
	return t.stuck
}
