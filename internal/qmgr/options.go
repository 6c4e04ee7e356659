package qmgr

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/deliver"
	"mtad/internal/dsn"
	"mtad/queue"
)

// Defaults. Zero values of Options stand for them.
const (
	DefaultActiveLimit = 20_000
	DefaultConcurrency = 200
	DefaultInitial     = 5
	DefaultLimit       = 20
	DefaultDeadAfter   = 5
	DefaultDeadMin     = time.Minute
	DefaultDeadMax     = 30 * time.Minute
	DefaultMinBackoff  = 5 * time.Minute
	DefaultMaxBackoff  = 4 * time.Hour
	DefaultFactor      = 2.0
	DefaultJitter      = 0.2
	DefaultLifetime    = 5 * 24 * time.Hour
	DefaultDelay       = 4 * time.Hour
	DefaultLease       = 5 * time.Minute
	DefaultDrain       = 20 * time.Second

	minActive = 16 // below, fairness between Incoming and Deferred has no room
)

// Options configure a Manager. Queue and Transports are required.
type Options struct {
	Queue      queue.Queue
	Transports map[string]deliver.Transport
	// Route says where a recipient goes now; asked again at each claim. Without a
	// transport the stored route holds; one beside an error is the way to fail
	// (package route). Has to be quick. nil: stored routes hold.
	Route func(path string) (transport, nextHop string, err error)
	// Report makes a DSN, durably, and may be repeated (dsn.Reporter.Report).
	// nil: nobody is told.
	Report func(ctx context.Context, it queue.Item, kind dsn.Kind, rcpts []int) error

	Holder      string // in leases; default "qmgr"
	ActiveLimit int    // items claimed at a time, at least 16
	Concurrency int    // deliveries at a time
	// Initial and Limit are a destination's concurrency window at the start and at
	// most. Neither exceeds half of Concurrency, rounded up.
	Initial, Limit int
	// DeadAfter connection failures in a row make a destination dead, for DeadMin,
	// doubled with each failed probe up to DeadMax. By default a minute and half an
	// hour, but no longer than MinBackoff and MaxBackoff.
	DeadAfter        int
	DeadMin, DeadMax time.Duration

	// MinBackoff × Factor^(attempts-1), at most MaxBackoff, is the wait after a
	// transient result; Jitter is the fraction by which it varies, up or down,
	// within [MinBackoff, MaxBackoff].
	MinBackoff, MaxBackoff time.Duration
	Factor, Jitter         float64
	// Lifetime of a message from its acceptance, where Item.Expires does not say
	// otherwise; NullLifetime that of the null reverse-path (default Lifetime).
	Lifetime, NullLifetime time.Duration
	// DelayWarning is the age at which a delayed DSN goes out, once. Zero: only
	// where NOTIFY=DELAY asks for it, after DefaultDelay.
	DelayWarning time.Duration

	Lease time.Duration // renewed at a third of it
	// DrainTimeout is what running attempts get after Run's ctx ended.
	DrainTimeout time.Duration

	Rand     func() float64 // in [0,1), safe for concurrent use; default math/rand/v2
	Logger   *slog.Logger
	Registry prometheus.Registerer
}

func (o Options) withDefaults() Options {
	def(&o.Holder, "qmgr")
	def(&o.ActiveLimit, DefaultActiveLimit)
	def(&o.Concurrency, DefaultConcurrency)
	def(&o.Initial, DefaultInitial)
	def(&o.Limit, DefaultLimit)
	def(&o.DeadAfter, DefaultDeadAfter)
	def(&o.MinBackoff, DefaultMinBackoff)
	def(&o.MaxBackoff, max(DefaultMaxBackoff, o.MinBackoff))
	def(&o.Factor, DefaultFactor)
	def(&o.Jitter, DefaultJitter)
	def(&o.Lifetime, DefaultLifetime)
	def(&o.NullLifetime, o.Lifetime)
	def(&o.Lease, DefaultLease)
	def(&o.DrainTimeout, DefaultDrain)
	def(&o.Logger, slog.New(slog.DiscardHandler))
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	o.ActiveLimit = max(o.ActiveLimit, minActive)
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	def(&o.DeadMin, min(DefaultDeadMin, o.MinBackoff))
	def(&o.DeadMax, min(DefaultDeadMax, o.MaxBackoff))
	o.DeadMax = max(o.DeadMax, o.DeadMin)
	o.Factor = max(o.Factor, 1)
	o.Limit = min(o.Limit, (o.Concurrency+1)/2)
	o.Initial = min(o.Initial, o.Limit)
	o.Lease = min(o.Lease, queue.MaxLease)
	return o
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
