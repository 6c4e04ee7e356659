package app

import (
	"context"
	"errors"
	"maps"
	"slices"

	"mtad/internal/admission"
	"mtad/internal/config"
	"mtad/internal/filter"
	"mtad/internal/filter/signfilter"
	"mtad/internal/httpapi"
	"mtad/internal/route"
	"mtad/internal/smtpd"
	"mtad/internal/webhook"
)

// pending is a reload that is ready and not yet in effect.
type pending struct {
	app       *App
	old, next *config.Config
	changed   []string

	table   *route.Table
	filters *filter.Engine // nil: as it was
	gates   gates          // likewise
	reports *signfilter.Filter
	tokens  []httpapi.Token
	peers   []httpapi.Peer
	submit  admission.Settings
	hooks   []webhook.Target
	opened  map[string]*door         // new listeners, bound
	servers map[string]*smtpd.Server // new servers for bound ones
	heirs   map[string]string        // of those: whose socket a listener takes over
	closed  []string                 // listeners that go
}

// make builds the parts. What fails here fails before anything has changed.
func (p *pending) make() (err error) {
	a := p.app
	if p.table, err = routes(p.next); err != nil {
		return errors.Join(ErrConfig, err)
	}
	if touches(p.changed, "filters", "chains") || signs(p.next) {
		if p.filters, err = a.newFilters(p.next); err != nil {
			return err
		}
		if p.gates, err = a.newGates(p.next); err != nil {
			return err
		}
		if p.reports, err = a.reportSigner(p.next); err != nil {
			return err
		}
	}
	if p.tokens, p.peers, err = access(p.next); err != nil {
		return err
	}
	if p.submit, err = submission(p.next); err != nil {
		return err
	}
	if p.hooks, err = webhooks(p.next); err != nil {
		return err
	}
	return p.makeDoors()
}

// makeDoors finds which listeners are new, gone, moved, or changed.
func (p *pending) makeDoors() error {
	p.opened, p.servers, p.heirs = map[string]*door{}, map[string]*smtpd.Server{}, map[string]string{}
	free := p.freed()
	all := touches(p.changed, "mynetworks", "tls", "certificates", "auth", "local_domains", "local.delimiter")
	logins, err := p.app.logins.changed(p.next)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.next.Listeners)) {
		place := placeOf(p.next.Listeners[name])
		was, there := p.old.Listeners[name]
		stays := there && placeOf(was) == place
		if stays && !all && !logins[p.next.Listeners[name].Auth] && !touches(p.changed, "listeners."+name) {
			continue
		}
		if err := p.makeDoor(name, stays, free[place]); err != nil {
			return err
		}
		delete(free, place)
	}
	return nil
}

// freed are the places that their listeners leave, with the listeners' names.
func (p *pending) freed() map[string]string {
	free := map[string]string{}
	for name, l := range p.old.Listeners {
		if next, ok := p.next.Listeners[name]; !ok || placeOf(next) != placeOf(l) {
			free[placeOf(l)] = name
			p.closed = append(p.closed, name)
		}
	}
	return free
}

// makeDoor makes a server for a socket that is there, or a door with its own.
func (p *pending) makeDoor(name string, stays bool, heirOf string) error {
	if !stays && heirOf == "" {
		d, err := p.app.openDoor(p.next, name)
		if err == nil {
			p.opened[name] = d
		}
		return err
	}
	srv, err := p.app.server(p.next, name)
	if err != nil {
		return err
	}
	if p.servers[name] = srv; !stays {
		p.heirs[name] = heirOf
	}
	return nil
}

// abandon closes what make opened.
func (p *pending) abandon() {
	p.app.logins.forget()
	for _, d := range p.opened {
		_ = d.socket.close()
		_ = d.server.Close()
	}
	for _, s := range p.servers {
		_ = s.Close()
	}
}

// commit puts everything into effect.
func (p *pending) commit(ctx context.Context) error {
	a := p.app
	if err := a.api.SetAccess(p.tokens, p.peers); err != nil {
		return err
	}
	if err := a.hooks.Set(p.hooks); err != nil {
		return err
	}
	if err := a.log.SetLevel(p.next.Log.Level); err != nil {
		return err
	}
	a.door.Set(p.submit)
	a.table.Store(p.table)
	p.swapFilters(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	p.swapDoors()
	a.cfg = p.next
	return nil
}

// swapDoors changes the set of listeners. App.mu is held.
func (p *pending) swapDoors() {
	a := p.app
	inherited := map[string]bool{}
	next := map[string]*door{}
	for name, srv := range p.servers {
		from := name
		if heir, ok := p.heirs[name]; ok {
			from, inherited[heir] = heir, true
		}
		old := a.doors[from]
		next[name] = &door{name: name, place: old.place, socket: old.socket, server: srv}
		if from == name {
			a.retire(old, false)
		}
	}
	for _, name := range p.closed {
		a.retire(a.doors[name], !inherited[name])
		delete(a.doors, name)
	}
	maps.Copy(next, p.opened)
	for name, d := range next {
		a.doors[name] = d
		d.serve()
	}
}

// retire ends a door's server in the background, and with it its socket.
func (a *App) retire(d *door, socket bool) {
	_ = d.view.Close()
	if socket {
		_ = d.socket.close()
	}
	a.retired.Go(func() {
		ctx, cancel := context.WithTimeout(a.retiring, retireTime)
		defer cancel()
		if err := d.retire(ctx); err != nil {
			a.log.Warn("sessions of an old listener were cut off", "listener", d.name)
		}
	})
}

// swapFilters puts the new filter engine in the old one's place.
func (p *pending) swapFilters(ctx context.Context) {
	if p.filters == nil {
		return
	}
	a := p.app
	a.filter.now.Store(p.filters)
	a.filter.gates.Store(&p.gates)
	a.filter.reports.Store(p.reports)
	a.mu.Lock()
	old := a.swept
	a.swept = startWorker(a.watch("filters", p.filters.Run))
	a.mu.Unlock()
	if err := old.end(ctx); err != nil {
		a.log.Warn("an old filter engine goes on for a while", "error", err)
	}
}
