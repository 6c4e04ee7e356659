package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"time"

	"mtad/internal/certs"
	"mtad/internal/config"
)

// certificatePoll is how often files of certificates are looked at.
const certificatePoll = 30 * time.Second

// certificates are what listeners show.
type certificates struct {
	store *certs.Store
	acme  *certs.ACME // nil: nothing is ordered
}

// plain makes the server side of one pair; nil when t names none.
func (c *certificates) plain(t config.TLS) (*tls.Config, error) {
	if t.Certificate == "" {
		return nil, nil
	}
	show := certs.Show{Default: pairOf(t), MinVersion: minVersion(t)}
	if err := c.store.Load(show.Default); err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	return c.store.Config(show), nil
}

// listener makes the server side of a listener; nil when there is nothing to
// show.
func (c *certificates) listener(cfg *config.Config, name string) (*tls.Config, error) {
	t := cfg.ListenerTLS(name)
	show := certs.Show{
		Default: pairOf(t), ACME: c.acme, MinVersion: minVersion(t),
		AskClient: cfg.Auth[cfg.Listeners[name].Auth].AsksCertificate(),
	}
	if t.Certificate == "" && c.acme == nil {
		return nil, nil
	}
	if t.Certificate != "" {
		if err := c.store.Load(show.Default); err != nil {
			return nil, fmt.Errorf("app: %w", err)
		}
	}
	for _, x := range cfg.Certificates {
		p := certs.Pair(x)
		if err := c.store.Load(p); err != nil {
			return nil, fmt.Errorf("app: %w", err)
		}
		show.More = append(show.More, p)
	}
	return c.store.Config(show), nil
}

func pairOf(t config.TLS) certs.Pair { return certs.Pair{Certificate: t.Certificate, Key: t.Key} }

func minVersion(t config.TLS) uint16 {
	if t.MinVersion == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// used are the pairs that a configuration names.
func used(cfg *config.Config) []certs.Pair {
	var pairs []certs.Pair
	if cfg.API.TLS.Certificate != "" {
		pairs = append(pairs, pairOf(cfg.API.TLS))
	}
	for name := range cfg.Listeners {
		if t := cfg.ListenerTLS(name); t.Certificate != "" {
			pairs = append(pairs, pairOf(t))
		}
	}
	for _, x := range cfg.Certificates {
		pairs = append(pairs, certs.Pair(x))
	}
	return pairs
}

// reload reads again what a configuration uses. What it does not use any more
// may be gone, and stays as it was for sessions that go on.
func (c *certificates) reload(cfg *config.Config) error {
	for _, p := range used(cfg) {
		if err := c.store.Load(p); err != nil {
			return fmt.Errorf("app: %w", err)
		}
	}
	return nil
}

// wireACME makes what orders certificates, and binds where challenges come.
func (a *App) wireACME(context.Context) error {
	o := a.cfg.ACME
	if len(o.Hosts) == 0 {
		return nil
	}
	var err error
	a.certs.acme, err = certs.NewACME(certs.ACMEOptions{
		Hosts: o.Hosts, Email: o.Email, Directory: o.Directory, Authorities: o.Authorities,
		Cache: filepath.Join(a.cfg.Spool.Directory, "acme"), HTTP: o.Challenge == config.ChallengeHTTP,
	}, a.certs.store)
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	if a.challenges, err = listenTCP(o.ChallengeAddress()); err != nil {
		return fmt.Errorf("acme: %w", err)
	}
	a.down.push("challenges", func(context.Context) error { _ = a.challenges.Close(); return nil })
	return nil
}

// startCertificates keeps certificates up to date.
func (a *App) startCertificates() {
	files := startWorker(func(ctx context.Context) error { return a.certs.store.Run(ctx, certificatePoll) })
	a.down.push("certificates", files.end)
	if a.certs.acme != nil {
		orders := startWorker(a.watch("acme", func(ctx context.Context) error { return a.certs.acme.Serve(ctx, a.challenges) }))
		a.down.push("acme", orders.end)
	}
}
