package filter

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/queue"
)

// Options configure an Engine. Queue is required; for everything else the zero
// value works.
type Options struct {
	Queue   queue.Queue
	Chains  map[string]Chain
	Filters map[string]Definition

	// Route resolves a recipient that a verdict adds. Without it the recipient gets
	// no route and the queue manager resolves it.
	Route func(path string) (transport, nextHop string, err error)

	// MaxHeader bounds the header section that a header edit reads, in octets.
	// Default 1 MB, at most 16 MB. A longer one makes edits that need it fail.
	MaxHeader int
	// SweepInterval is how often waiting items are looked at. Default 1 s.
	SweepInterval time.Duration

	Logger   *slog.Logger
	Registry prometheus.Registerer
	// Now is the clock of decisions (breaker, failure classes). Default time.Now.
	Now func() time.Time
}

// Timing says when a chain runs relative to the client's reply. The values are
// those of intake.Timing, in the same order.
type Timing int

// The timings.
const (
	After          Timing = iota // reply first, then filter
	Inline                       // the client waits for the verdict
	InlineThenPark               // it waits for Chain.Wait; then commit and go on as After
)

func (t Timing) String() string {
	switch t {
	case After:
		return "after"
	case Inline:
		return "inline"
	case InlineThenPark:
		return "inline-then-park"
	}
	return fmt.Sprintf("timing(%d)", int(t))
}

// Chain is an ordered list of filters.
type Chain struct {
	// Filters are names of Options.Filters; each at most once, at most MaxChain.
	Filters []string
	Timing  Timing
	// Wait is how long a client waits. Default 30 s inline, 10 s inline-then-park.
	Wait time.Duration
}

// Bounds of a configuration.
const (
	MaxChain       = 32 // filters of one chain: generations and verdicts are bounded too
	maxMaxHeader   = 16 << 20
	defMaxHeader   = 1 << 20
	defInlineWait  = 30 * time.Second
	defParkWait    = 10 * time.Second
	defSweep       = time.Second
	defTimeout     = 5 * time.Minute
	defScan        = time.Minute
	defLease       = time.Minute
	defMinLease    = time.Second
	defMaxClaims   = 3
	defConcurrency = 10
	defMaxBatch    = 100
	defRetryDelay  = 30 * time.Second
)

// Definition is one filter.
type Definition struct {
	// Kind names the kind for people: "pull", "milter", "rspamd" … Default "pull".
	Kind string
	// Scanner does the work. nil is the pull kind.
	Scanner Kind

	// Failure says what to do for each class; a class not named, or with "", is Park.
	Failure map[Class]Action

	// Timeout: a pull filter is Unreachable when nobody came to claim for so long
	// (default 5 min). A driven one has so long for one scan (default 1 min).
	Timeout time.Duration
	// MaxSize is the largest content in octets that the filter is given; beyond it
	// the class is OverSize. 0: no bound.
	MaxSize int64
	// Retention of messages that the filter quarantines.
	Retention Retention
	// MaxClaims: a message whose lease ran out so many times is of class Crash.
	// Default 3; keep it below the store's max_claims.
	MaxClaims int
	// RetryDelay is how long an item rests after a defer without a time of its own
	// and after a failure that parks it. Default 30 s.
	RetryDelay time.Duration

	// Concurrency bounds the scans of a driven filter at one time. Default 10.
	Concurrency int
	// Breaker is for driven filters.
	Breaker BreakerSettings

	// MaxBatch bounds the items of one claim (default 100), MinLease and MaxLease
	// its lease (default 1 s and queue.MaxLease), DefaultLease is given when none is
	// asked for (default 1 min), MaxWait bounds the long poll (default queue.MaxWait).
	MaxBatch                         int
	MinLease, MaxLease, DefaultLease time.Duration
	MaxWait                          time.Duration
}

// Pull reports whether scanners come to claim.
func (d Definition) Pull() bool { return d.Scanner == nil }

func (d Definition) action(c Class) Action {
	if a := d.Failure[c]; a != "" {
		return a
	}
	return Park
}

func (d Definition) withDefaults() Definition {
	if d.Kind == "" {
		d.Kind = "pull"
	}
	setDefault(&d.MaxClaims, defMaxClaims)
	setDefault(&d.RetryDelay, defRetryDelay)
	setDefault(&d.Concurrency, defConcurrency)
	setDefault(&d.MaxBatch, defMaxBatch)
	setDefault(&d.MinLease, defMinLease)
	setDefault(&d.MaxLease, queue.MaxLease)
	setDefault(&d.DefaultLease, defLease)
	setDefault(&d.MaxWait, queue.MaxWait)
	if d.Pull() {
		setDefault(&d.Timeout, defTimeout)
	} else {
		setDefault(&d.Timeout, defScan)
	}
	d.MaxBatch = min(d.MaxBatch, queue.MaxClaim)
	d.MaxLease = min(d.MaxLease, queue.MaxLease)
	d.MinLease = min(d.MinLease, d.MaxLease)
	d.DefaultLease = min(max(d.DefaultLease, d.MinLease), d.MaxLease)
	d.MaxWait = min(d.MaxWait, queue.MaxWait)
	d.Breaker = d.Breaker.withDefaults()
	return d
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

func (o *Options) check() error {
	if o.Queue == nil {
		return errors.New("filter: no queue")
	}
	for name, d := range o.Filters {
		if !nameOK(name) {
			return fmt.Errorf("filter: name %q: want 1 to %d of letters, digits, '-', '_', '.'", name, maxName)
		}
		for c, a := range d.Failure {
			if !c.valid() || a != "" && !a.valid() {
				return fmt.Errorf("filter: %s: no failure rule %q: %q", name, c, a)
			}
		}
		if d.Retention.Keep < 0 || d.Retention.Then > queue.HoldBounce {
			return fmt.Errorf("filter: %s: no such retention", name)
		}
		if d.MaxSize < 0 {
			return fmt.Errorf("filter: %s: negative size limit", name)
		}
	}
	for name, c := range o.Chains {
		if err := o.checkChain(c); err != nil {
			return fmt.Errorf("filter: chain %s: %w", name, err)
		}
	}
	return nil
}

func (o *Options) checkChain(c Chain) error {
	if len(c.Filters) > MaxChain {
		return fmt.Errorf("%d filters, at most %d", len(c.Filters), MaxChain)
	}
	if c.Timing < After || c.Timing > InlineThenPark {
		return fmt.Errorf("no timing %d", int(c.Timing))
	}
	seen := make(map[string]bool)
	for _, f := range c.Filters {
		if _, ok := o.Filters[f]; !ok {
			return fmt.Errorf("no filter %q", f)
		}
		if seen[f] {
			return fmt.Errorf("filter %q twice", f)
		}
		seen[f] = true
	}
	return nil
}

// maxName bounds a filter's name: it is a stage, a metric label and part of By.
const maxName = 64

func nameOK(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
