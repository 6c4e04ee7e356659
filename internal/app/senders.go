package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"

	"mtad/internal/config"
	"mtad/internal/dkimkey"
	"mtad/internal/dsn"
	"mtad/internal/filter"
	"mtad/internal/filter/dmarcfilter"
	"mtad/internal/filter/signfilter"
	"mtad/internal/msgauth"
	"mtad/queue"
)

// newDMARC makes the Kind dmarc.
func (a *App) newDMARC(c *config.Config, f config.Filter) (filter.Kind, error) {
	id := f.DMARC.ID
	if id == "" {
		id = c.Hostname
	}
	trusted := f.DMARC.Trusted
	return dmarcfilter.New(dmarcfilter.Options{
		ID: id, Forged: f.DMARC.Forged, Resolver: a.dns, Own: a.own,
		Trusted:  func(it *queue.Item) bool { return from(trusted, it.Envelope.Client) },
		OnReject: dmarcfilter.Policy(f.DMARC.OnReject), OnQuarantine: dmarcfilter.Policy(f.DMARC.OnQuarantine),
		Defer: f.DMARC.OnTempError == config.DMARCDefer, Time: f.DMARC.LookupTime,
	})
}

// newSigner makes the Kind dkim; its keys are read from files, once.
func (a *App) newSigner(f config.Filter) (*signfilter.Filter, error) {
	d := f.DKIM
	o := signfilter.Options{
		Own: func(it *queue.Item) bool { return a.own(it) || from(d.Networks, it.Envelope.Client) },
		Signing: msgauth.Signing{
			Headers: d.Headers, Oversign: d.Oversign, Canonicalization: d.Canonicalization, Expire: d.Expire,
		},
	}
	for _, k := range d.Keys {
		key, err := dkimkey.Read(k.File)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", dkimkey.Name(k.Selector, k.Domain), err)
		}
		o.Keys = append(o.Keys, signfilter.Key{
			Signer: msgauth.Signer{Domain: k.Domain, Selector: k.Selector, Key: key}, From: k.From,
		})
	}
	return signfilter.New(o)
}

// own reports whether a message came from a client of ours: one that has logged
// in, one in mynetworks, a submission listener, a caller of the API, or a program
// here. Who hands in for another client is taken at its word on who that is.
func (a *App) own(it *queue.Item) bool {
	c, client := a.Current(), it.Envelope.Client
	if client.SASLUser != "" || from(c.MyNetworks, client) {
		return true
	}
	switch it.Origin {
	case queue.OriginSMTP:
		kind := c.Listeners[client.Listener].Kind
		return kind == config.KindSubmission || kind == config.KindSubmissions
	case queue.OriginSubmit, queue.OriginHTTP:
		return client.Address == "" || client.Protocol == "HTTP" || client.Protocol == "HTTPS" || client.Protocol == "local"
	}
	return false
}

// from reports whether a client is in one of the networks.
func from(networks config.Networks, c queue.Client) bool {
	addr, err := netip.ParseAddr(c.Address)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// reportSigner makes what signs delivery reports; nil is nothing. Which filter it
// is does not change while mtad runs: when a reload takes that filter away, the
// signer in use stays.
func (a *App) reportSigner(c *config.Config) (*signfilter.Filter, error) {
	f, there := c.Filters[c.Delivery.ReportSigner]
	if !there || f.Kind != config.KindDKIM {
		return a.filter.reports.Load(), nil
	}
	s, err := a.newSigner(f)
	if err != nil {
		return nil, fmt.Errorf("app: report_signer: %w", err)
	}
	return s, nil
}

// submitReport puts reports into the queue, signed where a signer is named. One
// that cannot be signed goes without: a report is not to be lost over it.
func (a *App) submitReport() func(context.Context, queue.Envelope, queue.CreateOptions, io.WriterTo) (queue.ID, error) {
	submit := dsn.Into(a.queue, a.resolve)
	return func(ctx context.Context, e queue.Envelope, o queue.CreateOptions, content io.WriterTo) (queue.ID, error) {
		if s := a.filter.reports.Load(); s != nil {
			content = signedReport{content, s, a.log.Logger}
		}
		return submit(ctx, e, o, content)
	}
}

// signedReport is a report with its signatures in front.
type signedReport struct {
	report io.WriterTo
	signer *signfilter.Filter
	log    *slog.Logger
}

// WriteTo writes the signatures and the report.
func (r signedReport) WriteTo(w io.Writer) (int64, error) {
	var b memory
	if _, err := r.report.WriteTo(&b); err != nil {
		return 0, err
	}
	fields, err := r.signer.Report(b)
	if err != nil {
		r.log.Warn("a report goes out unsigned", "error", err)
	}
	n, err := w.Write(fields)
	if err != nil {
		return int64(n), err
	}
	m, err := w.Write(b)
	return int64(n) + int64(m), err
}

// memory is a bounded buffer: reports are.
type memory []byte

// maxReport is more than any report has, in octets.
const maxReport = 32 << 20

func (m *memory) Write(p []byte) (int, error) {
	if len(*m)+len(p) > maxReport {
		return 0, errors.New("app: the report is too long to be signed")
	}
	*m = append(*m, p...)
	return len(p), nil
}

// signs reports whether a configuration has keys, which are read again with it.
func signs(c *config.Config) bool {
	for _, f := range c.Filters {
		if f.Kind == config.KindDKIM {
			return true
		}
	}
	return false
}
