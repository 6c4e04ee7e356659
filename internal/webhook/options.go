package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"mtad/internal/events"
)

// Target is one receiver. URL and Secrets are required; the zero value of
// everything else works.
type Target struct {
	Name    string
	URL     string
	Secrets []Secret
	Types   []events.Type // default: all
	// CA are certificates (PEM) that the server is verified with. Default: the
	// system's.
	CA []byte
	// AllowPrivate lets the URL lead to addresses that are not public,
	// AllowPlaintext lets it be http.
	AllowPrivate, AllowPlaintext bool
	// Timeout is for one attempt (default 15 s), Concurrency how many are under way
	// (default 4). Lifetime is how old an event gets until its last attempt (default
	// 24 h), MaxBackoff the longest wait between two (default 5 min).
	Timeout     time.Duration
	Concurrency int
	Lifetime    time.Duration
	MaxBackoff  time.Duration
}

// Options configure a Sender. Queue and Directory are required.
type Options struct {
	Queue events.Source
	// Directory holds a small file for each target; it is made when it is missing.
	Directory string
	// Window is how many events of a target are held at a time. Default 256.
	Window int
	Logger *slog.Logger
	// Now is the clock, Rand gives numbers in [0,1) for jitter.
	Now  func() time.Time
	Rand func() float64
	// MinBackoff is the wait after a first failure. Default 1 s.
	MinBackoff time.Duration
	// SaveTime is how often a target's place is written at the most. Default 1 s.
	SaveTime time.Duration
}

func (o Options) withDefaults() Options {
	def(&o.Window, 256)
	def(&o.MinBackoff, time.Second)
	def(&o.SaveTime, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return o
}

func (t Target) withDefaults() Target {
	def(&t.Timeout, 15*time.Second)
	def(&t.Concurrency, 4)
	def(&t.Lifetime, 24*time.Hour)
	def(&t.MaxBackoff, 5*time.Minute)
	return t
}

func def[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// CheckURL says whether a target may have this URL.
func CheckURL(s string, plaintext bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2000 || u.Hostname() == "" || u.Opaque != "":
		return errors.New("webhook: not an absolute URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("webhook: %s is not https", u.Scheme)
	case u.Scheme == "http" && !plaintext:
		return errors.New("webhook: the URL is not https")
	case u.User != nil:
		return errors.New("webhook: the URL has a user")
	case u.Fragment != "":
		return errors.New("webhook: the URL has a fragment")
	}
	return nil
}
