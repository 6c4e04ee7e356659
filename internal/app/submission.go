package app

import (
	"cmp"
	"fmt"
	"os/user"
	"strconv"

	"mtad/internal/admission"
	"mtad/internal/config"
)

// newDoor makes the door for what does not come by SMTP.
func (a *App) newDoor(c *config.Config) (*admission.Door, error) {
	settings, err := submission(c)
	if err != nil {
		return nil, err
	}
	d := admission.New(admission.Options{
		Intake: a.intake, Hostname: c.Hostname, Local: a.local, HasChain: a.hasChain, History: a.queue.History, Delimiter: c.Local.Delimiter, Now: a.o.Now, Logger: a.log.Logger,
	})
	d.Set(settings)
	return d, nil
}

// hasChain says whether there is a chain by this name now.
func (a *App) hasChain(name string) bool {
	_, ok := a.Current().Chains[name]
	return ok
}

// submission is the authorisation list of a configuration. Names of users and groups are
// looked up now.
func submission(c *config.Config) (admission.Settings, error) {
	s := admission.Settings{Recipients: c.Submission.Recipients, MaxSize: int64(c.Submission.MessageSize), Chain: c.Submission.Chain}
	for i := range c.Submission.Allow {
		a := &c.Submission.Allow[i]
		r := admission.Rule{Everyone: a.Everyone, UID: orAny(a.UID), GID: orAny(a.GID)}
		r.Grant = grant(c, config.TokenSubmit{
			ClientAttributes: a.ClientAttributes, Senders: a.Senders, Recipients: a.Recipients,
			Chain: a.Chain, Rate: a.Rate, MessageSize: a.MessageSize,
		})
		if err := byName(a, &r); err != nil {
			return s, fmt.Errorf("%w: submission.allow[%d]: %w", ErrConfig, i, err)
		}
		s.Rules = append(s.Rules, r)
	}
	return s, nil
}

func byName(a *config.Submitter, r *admission.Rule) (err error) {
	switch {
	case a.User != "":
		u, lookupErr := user.Lookup(a.User)
		if lookupErr != nil {
			return fmt.Errorf("no user called %q", a.User)
		}
		r.UID, err = strconv.Atoi(u.Uid)
	case a.Group != "":
		g, lookupErr := user.LookupGroup(a.Group)
		if lookupErr != nil {
			return fmt.Errorf("no group called %q", a.Group)
		}
		r.GID, err = strconv.Atoi(g.Gid)
	}
	return err
}

func grant(c *config.Config, s config.TokenSubmit) admission.Grant {
	g := admission.Grant{
		ClientAttributes: s.ClientAttributes == config.ClaimAny, Senders: s.Senders, LocalOnly: s.Recipients == config.RecipientsLocal,
		Chain: cmp.Or(s.Chain, c.Submission.Chain), Rate: s.Rate, MaxSize: int64(s.MessageSize),
	}
	if g.Chain == config.NoChain {
		g.Chain = ""
	}
	return g
}
