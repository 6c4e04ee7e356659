package app

import (
	"slices"
	"strings"

	"mtad/internal/config"
	"mtad/internal/route"
)

// routes makes the table of a configuration. The postmaster always has a mailbox
// (RFC 5321 §4.5.1): there is one where local.mailboxes does not name it, and, where
// the host name is no local domain, for postmaster at the host name alone.
func routes(c *config.Config) (*route.Table, error) {
	o := route.Options{
		Local:     c.LocalDomains,
		Mailboxes: c.Local.Mailboxes,
		Delimiter: c.Local.Delimiter,
		Relay:     c.RelayDomains,
		Smarthost: c.Smarthost,
	}
	if o.Mailboxes != nil && !slices.Contains(o.Mailboxes, "postmaster") {
		o.Mailboxes = append(slices.Clone(o.Mailboxes), "postmaster")
	}
	own := "postmaster@" + c.Hostname
	routed := slices.Contains(c.LocalDomains, c.Hostname)
	for _, r := range c.Routes {
		o.Rules = append(o.Rules, route.Rule{Match: r.Match, Transport: r.Transport, NextHop: r.NextHop})
		routed = routed || strings.EqualFold(r.Match, own) || r.Match == c.Hostname
	}
	if !routed {
		o.Rules = append(o.Rules, route.Rule{Match: own, Transport: route.Maildir, NextHop: "postmaster"})
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
