package app

import (
	"context"
	"fmt"

	"mtad/internal/auth"
	"mtad/internal/config"
	"mtad/internal/filter/milterfilter"
	"mtad/internal/smtp"
	"mtad/internal/smtpd"
	"mtad/queue"
)

// gates are the milters that are asked while a client speaks, by chain.
type gates map[string]*milterfilter.Gate

// newGates makes the gates of a configuration; a chain without milters for the
// session has none.
func (a *App) newGates(c *config.Config) (gates, error) {
	g := gates{}
	for name, chain := range c.Chains {
		var guards []milterfilter.Guard
		for _, filterName := range chain.Filters {
			f := c.Filters[filterName]
			if f.Kind != config.KindMilter || !f.Milter.InSession {
				continue
			}
			m, err := newMilter(c, f)
			if err != nil {
				return nil, fmt.Errorf("app: filter %s: %w", filterName, err)
			}
			guards = append(guards, milterfilter.Guard{Name: filterName, Filter: m, Failure: failures(f.OnFailure)})
		}
		if guards != nil {
			g[name] = milterfilter.NewGate(a.log.Logger, guards...)
		}
	}
	return g, nil
}

// guard lets the gate of a chain take part in the policy of a listener. A
// session keeps the gate it began with.
func (a *App) guard(p *smtpd.Policy, chain string) {
	if chain == "" {
		return
	}
	p.Connect = func(ctx context.Context, c *smtpd.Conversation) *smtp.Reply {
		d := dialogue(c)
		if d == nil {
			gate := (*a.filter.gates.Load())[chain]
			if gate == nil {
				return nil
			}
			d = gate.Open()
			stateOf(c).gate = d
		}
		return d.Connect(ctx, &c.Client)
	}
	p.Helo = guarded(func(d *milterfilter.Dialogue, c *smtpd.Conversation) *smtp.Reply { return d.Helo(&c.Client) })
	p.Mail = guarded(func(d *milterfilter.Dialogue, c *smtpd.Conversation) *smtp.Reply { return d.Mail(c.Envelope) })
	p.Data = guarded(func(d *milterfilter.Dialogue, _ *smtpd.Conversation) *smtp.Reply { return d.Data() })
	p.Rcpt = func(_ context.Context, c *smtpd.Conversation, r *queue.Recipient) *smtp.Reply {
		if d := dialogue(c); d != nil {
			return d.Rcpt(r)
		}
		return nil
	}
	p.Reset = func(c *smtpd.Conversation) {
		if d := dialogue(c); d != nil {
			d.Reset()
		}
	}
	p.Close = func(c *smtpd.Conversation) {
		if d := dialogue(c); d != nil {
			d.Close()
		}
	}
}

func dialogue(c *smtpd.Conversation) *milterfilter.Dialogue {
	return stateOf(c).gate
}

// state is what the App keeps of a session.
type state struct {
	gate *milterfilter.Dialogue // nil: no milter takes part
	auth auth.Session
}

func stateOf(c *smtpd.Conversation) *state {
	s, _ := c.State.(*state)
	if s == nil {
		s = &state{}
		c.State = s
	}
	return s
}

// guarded is a stage that only sessions with a gate have.
func guarded(stage func(*milterfilter.Dialogue, *smtpd.Conversation) *smtp.Reply) func(context.Context, *smtpd.Conversation) *smtp.Reply {
	return func(_ context.Context, c *smtpd.Conversation) *smtp.Reply {
		if d := dialogue(c); d != nil {
			return stage(d, c)
		}
		return nil
	}
}
