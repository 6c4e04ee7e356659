package app

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"mtad/internal/config"
	"mtad/internal/filter/smtpfilter"
	"mtad/internal/intake"
	"mtad/internal/smtp"
	"mtad/internal/smtpd"
	"mtad/queue"
)

func (a *App) newSMTPFilter(c *config.Config, f config.Filter) (*smtpfilter.Filter, error) {
	network, address := "tcp", f.Address
	if path, ok := strings.CutPrefix(f.Address, "unix:"); ok {
		network, address = "unix", path
	}
	return smtpfilter.New(smtpfilter.Options{
		Network: network, Address: address, LMTP: f.SMTP.Protocol == config.ProtocolLMTP, Hostname: c.Hostname,
		Trace: f.SMTP.Trace, Growth: int64(f.SMTP.Growth), Returns: &a.returns, Logger: a.log.Logger,
	})
}

// reinjection makes a listener one where scanners give messages back: for
// listed clients alone, and with no way into the queue but a pairing.
func (a *App) reinjection(o *smtpd.Options, l config.Listener) {
	clients := []netip.Prefix(l.XForward)
	if len(clients) == 0 {
		clients = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	o.Receiver = reinjected{&a.returns}
	o.Networks, o.XForward, o.XClient = clients, clients, nil
	o.ClientName, o.Room = nil, nil // it must take connections when no other listener does
	o.Limits.Size += int64(config.ReinjectionGrowth)
	o.Policy.Connect = func(_ context.Context, c *smtpd.Conversation) *smtp.Reply {
		addr, err := netip.ParseAddr(c.Client.Address)
		if err == nil && slices.ContainsFunc(clients, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) }) {
			return nil
		}
		a.log.Warn("connection to a reinjection listener refused", slog.String("listener", o.Name), slog.String("client_address", c.Client.Address))
		return &smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: "this port is for content filters"}
	}
}

// reinjected is the smtpd.Receiver of such a listener.
type reinjected struct{ returns *smtpfilter.Returns }

// Route takes every recipient: those of the message that is given back count.
func (reinjected) Route(string) (transport, nextHop string, err error) { return "", "", nil }

// Open begins a message that is given back.
func (r reinjected) Open(ctx context.Context, env queue.Envelope, d intake.Door) (smtpd.Message, error) {
	return &returned{r.returns.Open(ctx, d.Meta["xforward_ident"], env)}, nil
}

type returned struct{ *smtpfilter.Returned }

// Inline is false: nobody else is waited for.
func (*returned) Inline() bool { return false }

// Close settles the message.
func (r *returned) Close(context.Context) (intake.Result, error) {
	reply := r.Returned.Close()
	return intake.Result{ID: r.ID(), Committed: reply.Positive(), Reply: reply}, nil
}
