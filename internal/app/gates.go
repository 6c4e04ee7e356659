package app

import (
	"context"
	"fmt"

	"mtad/internal/auth"
	"mtad/internal/config"
	"mtad/internal/filter/milterfilter"
	"mtad/internal/filter/mtahooksfilter"
	"mtad/internal/smtp"
	"mtad/internal/smtpd"
	"mtad/queue"
)

// gates open the dialogues of filters that are asked while a client speaks, in the
// order of their chain, by chain.
type gates map[string][]func() dialogue

// dialogue is a filter's part in one SMTP session. Each stage returns the reply that
// refuses, nil when nothing does.
type dialogue interface {
	Connect(context.Context, *queue.Client) *smtp.Reply
	Helo(*queue.Client) *smtp.Reply
	Mail(*queue.Envelope) *smtp.Reply
	Rcpt(*queue.Recipient) *smtp.Reply
	Data() *smtp.Reply
	Reset()
	Close()
}

// newGates makes the gates of a configuration; a chain without filters for the
// session has none.
func (a *App) newGates(c *config.Config) (gates, error) {
	g := gates{}
	for name, chain := range c.Chains {
		for _, filterName := range chain.Filters {
			open, err := a.newGate(c, filterName)
			if err != nil {
				return nil, fmt.Errorf("app: filter %s: %w", filterName, err)
			}
			if open != nil {
				g[name] = append(g[name], open)
			}
		}
	}
	return g, nil
}

// newGate makes the gate of one filter; nil when it has no part in the session.
func (a *App) newGate(c *config.Config, name string) (func() dialogue, error) {
	switch f := c.Filters[name]; {
	case f.Kind == config.KindMilter && f.Milter.InSession:
		m, err := a.newMilter(c, f)
		if err != nil {
			return nil, err
		}
		gate := milterfilter.NewGate(a.log.Logger, milterfilter.Guard{Name: name, Filter: m, Failure: failures(f.OnFailure)})
		return func() dialogue { return gate.Open() }, nil
	case f.Kind == config.KindMTAHooks && f.MTAHooks.InSession:
		o, err := mtaHooksOptions(c, f)
		if err != nil {
			return nil, err
		}
		gate, err := mtahooksfilter.NewGate(o, name, failures(f.OnFailure), a.log.Logger)
		if err != nil {
			return nil, err
		}
		return func() dialogue { return gate.Open() }, nil
	}
	return nil, nil
}

// guard lets the gate of a chain take part in the policy of a listener. A
// session keeps the gate it began with.
func (a *App) guard(p *smtpd.Policy, chain string) {
	if chain == "" {
		return
	}
	p.Connect = func(ctx context.Context, c *smtpd.Conversation) *smtp.Reply {
		s := stateOf(c)
		if s.gate == nil {
			for _, open := range (*a.filter.gates.Load())[chain] {
				s.gate = append(s.gate, open())
			}
		}
		return s.gate.ask(func(d dialogue) *smtp.Reply { return d.Connect(ctx, &c.Client) })
	}
	p.Helo = guarded(func(d dialogue, c *smtpd.Conversation) *smtp.Reply { return d.Helo(&c.Client) })
	p.Mail = guarded(func(d dialogue, c *smtpd.Conversation) *smtp.Reply { return d.Mail(c.Envelope) })
	p.Data = guarded(func(d dialogue, _ *smtpd.Conversation) *smtp.Reply { return d.Data() })
	p.Rcpt = func(_ context.Context, c *smtpd.Conversation, r *queue.Recipient) *smtp.Reply {
		return stateOf(c).gate.ask(func(d dialogue) *smtp.Reply { return d.Rcpt(r) })
	}
	p.Judged = func(c *smtpd.Conversation, id queue.ID) {
		for _, d := range stateOf(c).gate {
			if j, ok := d.(interface{ Judged(queue.ID) }); ok {
				j.Judged(id)
			}
		}
	}
	p.Reset = func(c *smtpd.Conversation) {
		for _, d := range stateOf(c).gate {
			d.Reset()
		}
	}
	p.Close = func(c *smtpd.Conversation) {
		for _, d := range stateOf(c).gate {
			d.Close()
		}
	}
}

// dialogues are those of one session.
type dialogues []dialogue

// ask puts a stage to one after the other until one refuses.
func (ds dialogues) ask(stage func(dialogue) *smtp.Reply) *smtp.Reply {
	for _, d := range ds {
		if r := stage(d); r != nil {
			return r
		}
	}
	return nil
}

// state is what the App keeps of a session.
type state struct {
	gate dialogues // those that take part
	auth auth.Session
	// senders are addresses that its login may use beside those of msa.Owners.
	senders []string
}

func stateOf(c *smtpd.Conversation) *state {
	s, _ := c.State.(*state)
	if s == nil {
		s = &state{}
		c.State = s
	}
	return s
}

// guarded is a stage that the session's dialogues are asked at.
func guarded(stage func(dialogue, *smtpd.Conversation) *smtp.Reply) func(context.Context, *smtpd.Conversation) *smtp.Reply {
	return func(_ context.Context, c *smtpd.Conversation) *smtp.Reply {
		return stateOf(c).gate.ask(func(d dialogue) *smtp.Reply { return stage(d, c) })
	}
}
