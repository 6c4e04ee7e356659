package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"mtad/internal/config"
	"mtad/internal/deliver"
	"mtad/internal/dsn"
	"mtad/internal/mxlookup"
	"mtad/internal/qmgr"
	"mtad/internal/route"
	"mtad/internal/smtpclient"
)

// wireDelivery makes what takes mail out of the queue.
func (a *App) wireDelivery(context.Context) error {
	c := a.cfg
	transports, err := a.transports()
	if err != nil {
		return err
	}
	reporter := dsn.New(dsn.Options{
		Hostname: c.Hostname, Postmaster: c.Postmaster, Open: a.queue.Open, Submit: a.submitReport(),
		Logger: a.log.Logger, Registry: a.reg,
	})
	a.qmgr = qmgr.New(qmgr.Options{
		Queue: a.queue, Transports: transports, Route: a.resolve, Report: reporter.Report,
		ActiveLimit: c.Queue.Active, Concurrency: c.Delivery.Concurrency,
		Initial: c.Delivery.DestinationInitial, Limit: c.Delivery.DestinationMax,
		MinBackoff: c.Delivery.MinBackoff, MaxBackoff: c.Delivery.MaxBackoff,
		Lifetime: c.Delivery.Lifetime, NullLifetime: c.Delivery.BounceLifetime, DelayWarning: c.Delivery.DelayWarning,
		Lease: c.Queue.Lease, DrainTimeout: c.Shutdown.Grace / 4,
		Logger: a.log.Logger, Registry: a.reg,
	})
	return nil
}

func (a *App) startDelivery() {
	w := startWorker(a.watch("queue manager", a.qmgr.Run))
	a.down.push("queue manager", w.end)
}

// transports are the ways out, by the names that routes use.
func (a *App) transports() (map[string]deliver.Transport, error) {
	relay := deliver.NewRelay(a.relayOptions("smtp", a.dns.Lookup))
	lmtp := deliver.NewRelay(a.relayOptions("lmtp", a.dns.Lookup))
	a.down.push("next hops", func(context.Context) error {
		_ = relay.Close()
		return lmtp.Close()
	})
	o := deliver.Options{Logger: a.log.Logger, Registry: a.reg}
	maildir, err := deliver.NewMaildir(deliver.MaildirOptions{Dir: a.cfg.Local.Maildir, Logger: a.log.Logger, Registry: a.reg})
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	a.down.push("mailboxes", func(context.Context) error { return maildir.Close() })
	return map[string]deliver.Transport{
		route.SMTP: relay, route.LMTP: lmtp, route.Maildir: maildir,
		route.Discard: deliver.NewDiscard(o), route.Fail: deliver.NewFail(o),
	}, nil
}

func (a *App) relayOptions(name string, lookup func(context.Context, string) ([]mxlookup.Target, error)) deliver.RelayOptions {
	d := a.cfg.Delivery
	return deliver.RelayOptions{
		Name: name, Lookup: lookup, Logger: a.log.Logger, Registry: a.reg,
		Client: smtpclient.Options{
			Hostname: a.cfg.Hostname, LMTP: name == "lmtp", TLS: tlsPolicy(d.TLS),
			Timeouts: smtpclient.Timeouts{Connect: d.ConnectTimeout, Greeting: d.CommandTimeout, Command: d.CommandTimeout, DataEnd: d.DataTimeout},
		},
	}
}

func tlsPolicy(word string) smtpclient.TLSPolicy {
	switch word {
	case config.TLSNone:
		return smtpclient.TLSNone
	case config.TLSRequired:
		return smtpclient.TLSEncrypt
	case config.TLSVerified:
		return smtpclient.TLSVerify
	}
	return smtpclient.TLSMay
}

func (a *App) lookup() *mxlookup.Resolver {
	d := a.cfg.Delivery
	families := map[string]mxlookup.Family{
		"ipv6-first": mxlookup.IPv6First, "ipv4-first": mxlookup.IPv4First, "ipv4": mxlookup.IPv4Only, "ipv6": mxlookup.IPv6Only,
	}
	return mxlookup.New(mxlookup.Options{
		Servers: d.DNSServers, Family: families[d.Addresses], Port: uint16(d.Port), Hostname: a.cfg.Hostname,
		Self: a.self, Logger: a.log.Logger, Registry: a.reg,
	})
}

// self reports whether mail sent to an address would come back to this mtad.
func (a *App) self(to netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.doors {
		tcp, ok := d.socket.Addr().(*net.TCPAddr)
		if !ok || tcp.Port != int(to.Port()) {
			continue
		}
		if own := tcp.AddrPort().Addr().Unmap(); own == to.Addr().Unmap() || own.IsUnspecified() && ownAddress(to.Addr()) {
			return true
		}
	}
	return false
}

func ownAddress(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, x := range list {
		if p, err := netip.ParsePrefix(x.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
