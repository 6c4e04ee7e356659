package app

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"mtad/internal/config"
	"mtad/internal/events"
	"mtad/internal/webhook"
)

// wireWebhooks makes the sender of events. Its places are kept beside the queue,
// whose events they are.
func (a *App) wireWebhooks() error {
	targets, err := webhooks(a.cfg)
	if err != nil {
		return err
	}
	a.hooks, err = webhook.New(webhook.Options{
		Queue: a.queue, Directory: filepath.Join(a.cfg.Spool.Directory, "webhooks"), Logger: a.log.Logger,
	}, targets)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	a.reg.MustRegister(a.hooks.Metrics())
	return nil
}

func (a *App) startWebhooks() {
	w := startWorker(a.watch("webhooks", a.hooks.Run))
	a.down.push("webhooks", w.end)
}

// webhooks are the receivers of a configuration, with their secrets.
func webhooks(c *config.Config) ([]webhook.Target, error) {
	var out []webhook.Target
	for _, name := range slices.Sorted(maps.Keys(c.Webhooks)) {
		h := c.Webhooks[name]
		t := webhook.Target{
			Name: name, URL: h.URL, AllowPrivate: h.AllowPrivate, AllowPlaintext: h.AllowPlaintext,
			Timeout: h.Timeout, Concurrency: h.Concurrency, Lifetime: h.Lifetime, MaxBackoff: h.MaxBackoff,
		}
		for _, e := range h.Events {
			t.Types = append(t.Types, events.Type(e))
		}
		file, err := os.ReadFile(h.SecretFile)
		if err == nil {
			t.Secrets, err = webhook.ParseSecrets(file)
		}
		if err == nil && h.CAFile != "" {
			t.CA, err = os.ReadFile(h.CAFile)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: webhook %s: %w", ErrConfig, name, err)
		}
		out = append(out, t)
	}
	return out, nil
}
