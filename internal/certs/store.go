package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Pair names the PEM files of a certificate chain and its key.
type Pair struct{ Certificate, Key string }

// Options of a Store. The zero value is usable.
type Options struct {
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

// Store holds pairs. Its methods are safe for concurrent use.
type Store struct {
	log    *slog.Logger
	until  *prometheus.GaugeVec
	failed prometheus.Counter

	mu    sync.RWMutex
	pairs map[Pair]*loaded
}

// loaded is a pair as it was read last.
type loaded struct {
	cert *tls.Certificate
	seen [2]stamp // of the files that cert came from
	bad  [2]stamp // of files that could not be used: their log line was written
}

type stamp struct {
	changed time.Time
	size    int64
}

// New makes an empty Store.
func New(o Options) *Store {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		log: o.Logger, pairs: map[Pair]*loaded{},
		until: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mtad_tls_certificate_not_after_timestamp_seconds", Help: "End of the validity of a certificate in use, by its file or the host that it was ordered for.",
		}, []string{"certificate"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mtad_tls_certificate_failures_total", Help: "Changed certificate files that could not be used, and certificates that could not be ordered.",
		}),
	}
	if o.Registry != nil {
		o.Registry.MustRegister(s.until, s.failed)
	}
	return s
}

// Load reads a pair now, and keeps it up to date from then on. After an error
// nothing has changed.
func (s *Store) Load(p Pair) error {
	seen := stamps(p)
	cert, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return fmt.Errorf("certs: %s: %w", p.Certificate, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pairs[p] = &loaded{cert: &cert, seen: seen}
	s.note(p.Certificate, &cert)
	return nil
}

func (s *Store) note(name string, cert *tls.Certificate) {
	if cert.Leaf != nil {
		s.until.WithLabelValues(name).Set(float64(cert.Leaf.NotAfter.Unix()))
	}
}

// Get is the certificate of a pair; nil when it was never loaded.
func (s *Store) Get(p Pair) *tls.Certificate {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l := s.pairs[p]; l != nil {
		return l.cert
	}
	return nil
}

// Keep forgets all pairs but those named.
func (s *Store) Keep(used []Pair) {
	want := map[Pair]bool{}
	for _, p := range used {
		want[p] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.pairs {
		if !want[p] {
			delete(s.pairs, p)
			s.until.DeleteLabelValues(p.Certificate)
		}
	}
}

// Refresh looks at the files once, and reads what has changed.
func (s *Store) Refresh() {
	s.mu.RLock()
	known := map[Pair]loaded{}
	for p, l := range s.pairs {
		known[p] = *l
	}
	s.mu.RUnlock()
	for p, l := range known {
		if now := stamps(p); now != l.seen {
			s.reread(p, now, l.bad)
		}
	}
}

func (s *Store) reread(p Pair, now, bad [2]stamp) {
	err := s.Load(p)
	if err == nil {
		s.log.Info("certificate read again", "file", p.Certificate, "not_after", s.Get(p).Leaf.NotAfter)
		return
	}
	if now == bad {
		return
	}
	s.failed.Inc()
	s.log.Error("certificate has changed and cannot be used, the old one stays", "file", p.Certificate, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.pairs[p]; l != nil {
		l.bad = now
	}
}

// Run refreshes until ctx ends.
func (s *Store) Run(ctx context.Context, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			s.Refresh()
		}
	}
}

func stamps(p Pair) (both [2]stamp) {
	for i, path := range []string{p.Certificate, p.Key} {
		if fi, err := os.Stat(path); err == nil {
			both[i] = stamp{fi.ModTime(), fi.Size()}
		}
	}
	return both
}

var errNone = errors.New("certs: no certificate for this connection")
