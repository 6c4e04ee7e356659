package app

import (
	"maps"
	"slices"

	"mtad/api"
	"mtad/internal/config"
	"mtad/internal/pickup"
)

// startPickup takes what local users left in the maildrop, and what they will leave. Without
// a maildrop mtad goes on: its log and status say so.
func (a *App) startPickup() {
	dir := a.cfg.Submission.Maildrop
	if dir == config.NoMaildrop {
		return
	}
	p, err := pickup.New(pickup.Options{Dir: dir, Door: a.door, Hostname: a.cfg.Hostname, Logger: a.log.Logger, Now: a.o.Now})
	if err != nil {
		a.log.Error("there is no maildrop", "directory", dir, "error", err)
		return
	}
	a.pickup.Store(p)
	a.down.push("maildrop", startWorker(a.watch("maildrop", p.Run)).end)
}

// maildrop is the maildrop as /v1/status shows it; zero: there is none.
func (a *App) maildrop() api.Maildrop {
	p := a.pickup.Load()
	if p == nil {
		return api.Maildrop{}
	}
	st := p.Status()
	out := api.Maildrop{Directory: st.Directory, Waiting: st.Waiting, Aside: []api.MaildropAside{}}
	for _, reason := range slices.Sorted(maps.Keys(st.Aside)) {
		out.Aside = append(out.Aside, api.MaildropAside{Reason: reason, Count: st.Aside[reason]})
	}
	return out
}
