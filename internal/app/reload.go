package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mtad/internal/config"
)

// retireTime is how long sessions of a listener that a reload changed have to
// come to their end: those that wait for a command are told 421 at once, those
// within a message finish it.
const retireTime = 10 * time.Minute

// ErrStopped: the App was stopped.
var ErrStopped = errors.New("app: stopped")

// Reload puts a new configuration into effect. It returns the keys that changed
// and want a restart; everything else that changed holds when it returns. After
// an error nothing has changed.
func (a *App) Reload(ctx context.Context, next *config.Config) (waiting []string, err error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	defer func() { a.life.Reloaded(err == nil) }()
	a.mu.Lock()
	stopped, old := a.stopped, a.cfg
	a.mu.Unlock()
	if stopped {
		return nil, ErrStopped
	}
	p, waiting, err := a.prepare(old, next)
	if err != nil {
		return nil, err
	}
	if err := a.certs.reload(p.next); err != nil {
		p.abandon()
		return nil, err
	}
	if err := p.commit(ctx); err != nil {
		p.abandon()
		return nil, err
	}
	a.certs.store.Keep(used(p.next))
	a.life.Loaded(time.Now())
	return waiting, nil
}

// Current is the configuration in use.
func (a *App) Current() *config.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

// prepare makes everything that the new configuration needs, and changes
// nothing.
func (a *App) prepare(old, next *config.Config) (*pending, []string, error) {
	p := &pending{app: a, old: old, next: withOld(old, next)}
	var changed, waiting []string
	for _, c := range old.Changes(next) {
		if c.Live {
			changed = append(changed, c.Key)
		} else {
			waiting = append(waiting, c.Key)
		}
	}
	p.changed = changed
	if err := p.make(); err != nil {
		p.abandon()
		return nil, nil, err
	}
	return p, waiting, nil
}

// withOld is next with the old values of what cannot change while mtad runs.
func withOld(old, next *config.Config) *config.Config {
	c := *next
	c.Hostname, c.Postmaster, c.Received = old.Hostname, old.Postmaster, old.Received
	c.Spool, c.Queue, c.Delivery = old.Spool, old.Queue, old.Delivery
	c.Local.Maildir = old.Local.Maildir
	c.ACME = old.ACME
	c.API.Listen, c.API.Unix, c.API.TLS, c.API.AllowPlaintext = old.API.Listen, old.API.Unix, old.API.TLS, old.API.AllowPlaintext
	c.Log.Format = old.Log.Format
	return &c
}

// touches says whether a change concerns one of the sections.
func touches(changed []string, sections ...string) bool {
	return slices.ContainsFunc(changed, func(key string) bool {
		return slices.ContainsFunc(sections, func(s string) bool {
			return key == s || strings.HasPrefix(key, s+".") || strings.HasPrefix(key, s+"[")
		})
	})
}

// report says in one line what a reload did.
func (a *App) report(waiting []string, err error) {
	switch {
	case err != nil:
		a.log.Error("configuration refused, the old one stays in use", "error", err)
	case len(waiting) > 0:
		a.log.Warn("configuration reloaded; some changes wait for a restart", "keys", fmt.Sprint(waiting))
	default:
		a.log.Info("configuration reloaded")
	}
}
