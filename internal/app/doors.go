package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"slices"
	"sync"

	"mtad/internal/config"
	"mtad/internal/smtpd"
)

// socketMode lets local programs submit; what they may do is decided by the
// listener.
const socketMode fs.FileMode = 0o666

// door is one SMTP listener: a socket, and the server that has it now.
type door struct {
	name   string
	place  string // what it is bound to, as in the configuration
	socket *socket
	server *smtpd.Server
	view   net.Listener
	ended  chan struct{}
}

// bindDoors binds every listener and makes its server.
func (a *App) bindDoors(context.Context) error {
	a.down.push("listeners", func(context.Context) error {
		for _, d := range a.doors {
			_ = d.socket.close()
		}
		return nil
	})
	a.makeRoom()
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Listeners)) {
		d, err := a.openDoor(a.cfg, name)
		if err != nil {
			return err
		}
		a.doors[name] = d
	}
	return nil
}

// openDoor binds a listener and makes the server for it.
func (a *App) openDoor(c *config.Config, name string) (*door, error) {
	l := c.Listeners[name]
	srv, err := a.server(c, name)
	if err != nil {
		return nil, err
	}
	ln, err := a.bind(l)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", name, err)
	}
	return &door{name: name, place: placeOf(l), socket: newSocket(ln), server: srv}, nil
}

func (a *App) bind(l config.Listener) (net.Listener, error) {
	switch {
	case l.Unix != "":
		return listenUnix(l.Unix, socketMode)
	case l.Systemd != "":
		return fromSystemd(a.o.Sockets, l.Systemd)
	}
	return listenTCP(l.Address)
}

func placeOf(l config.Listener) string { return l.Address + "|" + l.Unix + "|" + l.Systemd }

// server makes the SMTP server of a listener from a configuration.
func (a *App) server(c *config.Config, name string) (*smtpd.Server, error) {
	l := c.Listeners[name]
	who, err := a.logins.find(c, l.Auth)
	if err != nil {
		return nil, fmt.Errorf("app: listener %s: %w", name, err)
	}
	tlsConfig, err := a.certs.listener(c, name)
	if err != nil {
		return nil, err
	}
	o := smtpd.Options{
		Name: name, Hostname: c.Hostname, Intake: a.intake, Chain: l.Chain,
		Networks: c.MyNetworks, XClient: l.XClient, XForward: l.XForward, Proxy: l.ProxyProtocol,
		ClientName: clientName(a.dns),
		TLS:        tlsConfig, ImplicitTLS: l.Kind == config.KindSubmissions,
		Limits: limits(l.Limits), Room: a.room, Logger: a.log.Logger, Registry: a.reg,
	}
	if l.Kind == config.KindSMTP {
		o.Local, o.Relay = a.local, a.relay
	}
	if l.LineEnds == "normalize" {
		o.LineEnds = smtpd.Normalize
	}
	a.guard(&o.Policy, l.Chain)
	if l.Submission() {
		a.submissionDoor(&o, l, who)
	}
	if l.Kind == config.KindReinjection {
		a.reinjection(&o, l)
	}
	srv, err := smtpd.New(o)
	if err != nil {
		return nil, fmt.Errorf("app: listener %s: %w", name, err)
	}
	return srv, nil
}

func limits(l config.Limits) smtpd.Limits {
	greeting := l.GreetDelay
	if greeting == 0 {
		greeting = -1
	}
	return smtpd.Limits{
		CommandLine: int(l.CommandLine), TextLine: int(l.TextLine), Size: int64(l.MessageSize), Recipients: l.Recipients,
		Errors: l.Errors, UnknownCommands: l.UnknownCommands, IdleCommands: l.IdleCommands, Messages: l.Messages,
		Connections: l.Connections, PerClient: orNone(l.ConnectionsPerClient), Rate: orNone(l.ConnectRate),
		Greeting: greeting, Command: l.CommandTimeout, StressCommand: l.StressTimeout, Handshake: l.HandshakeTimeout,
		DataBlock: l.DataTimeout, Data: l.DataTime, DataRate: orNone(int64(l.DataRate)), Session: l.SessionTime,
	}
}

// serve gives the socket's connections to the door's server.
func (d *door) serve() {
	d.view, d.ended = d.socket.view(), make(chan struct{})
	go func(ended chan struct{}) {
		defer close(ended)
		_ = d.server.Serve(d.view) // ends when the view is closed
	}(d.ended)
}

// retire ends the server's sessions once they are through; the socket stays.
func (d *door) retire(ctx context.Context) error {
	return d.server.Shutdown(ctx)
}

// retirement returns the cleanup of what reloads put out of use.
func (a *App) retirement() func(context.Context) error {
	var cut context.CancelFunc
	a.retiring, cut = context.WithCancel(context.Background())
	return func(context.Context) error {
		cut()
		a.retired.Wait()
		return nil
	}
}

// stopDoors stops accepting everywhere at once, and lets the sessions end.
func (a *App) stopDoors(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, len(a.doors))
	for _, d := range a.doors {
		_ = d.socket.close()
		wg.Go(func() {
			if err := d.retire(ctx); err != nil {
				errs <- fmt.Errorf("listener %s: sessions were cut off: %w", d.name, err)
			}
		})
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}
