package app

import (
	"mtad/internal/config"
	"mtad/internal/route"
)

// routes makes the table of a configuration.
func routes(c *config.Config) (*route.Table, error) {
	o := route.Options{
		Local:     c.LocalDomains,
		Mailboxes: c.Local.Mailboxes,
		Delimiter: c.Local.Delimiter,
		Relay:     c.RelayDomains,
		Smarthost: c.Smarthost,
	}
	for _, r := range c.Routes {
		o.Rules = append(o.Rules, route.Rule{Match: r.Match, Transport: r.Transport, NextHop: r.NextHop})
	}
	return route.New(o)
}

// resolve asks the table in use. It is the Route of every package.
func (a *App) resolve(path string) (transport, nextHop string, err error) {
	r, err := a.table.Load().Resolve(path)
	return r.Transport, r.NextHop, err
}

func (a *App) local(domain string) bool { return a.table.Load().Local(domain) }

func (a *App) relay(domain string) bool { return a.table.Load().Relay(domain) }
