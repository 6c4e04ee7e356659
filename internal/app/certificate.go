package app

import (
	"crypto/tls"
	"fmt"
	"sync"

	"mtad/internal/config"
)

// certificates holds what was read from PEM files, so that a reload can replace
// it under servers that go on.
type certificates struct {
	mu     sync.RWMutex
	byPath map[config.TLS]*tls.Certificate
}

// config makes the server side for t; nil when t names no certificate.
func (c *certificates) config(t config.TLS) (*tls.Config, error) {
	if t.Certificate == "" {
		return nil, nil
	}
	if err := c.load(t); err != nil {
		return nil, err
	}
	version := uint16(tls.VersionTLS12)
	if t.MinVersion == "1.3" {
		version = tls.VersionTLS13
	}
	return &tls.Config{
		MinVersion: version,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.RLock()
			defer c.mu.RUnlock()
			return c.byPath[t], nil
		},
	}, nil
}

func (c *certificates) load(t config.TLS) error {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return fmt.Errorf("app: certificate %s: %w", t.Certificate, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byPath == nil {
		c.byPath = map[config.TLS]*tls.Certificate{}
	}
	c.byPath[t] = &pair
	return nil
}

// reload reads again what a configuration uses; what it does not use any more may
// be gone, and stays as it was for sessions that go on.
func (c *certificates) reload(cfg *config.Config) error {
	used := []config.TLS{cfg.API.TLS}
	for name := range cfg.Listeners {
		used = append(used, cfg.ListenerTLS(name))
	}
	for _, t := range used {
		if t.Certificate == "" {
			continue
		}
		if err := c.load(t); err != nil {
			return err
		}
	}
	return nil
}
