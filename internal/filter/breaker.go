package filter

import "time"

// BreakerSettings are the bounds of a circuit breaker. The zero value takes the
// defaults.
type BreakerSettings struct {
	// Failures in a row that open it. Default 5.
	Failures int
	// Open is how long it stays open the first time (default 5 s); it doubles with
	// each failed probe up to MaxOpen (default 2 min).
	Open, MaxOpen time.Duration
}

func (s BreakerSettings) withDefaults() BreakerSettings {
	setDefault(&s.Failures, 5)
	setDefault(&s.Open, 5*time.Second)
	setDefault(&s.MaxOpen, 2*time.Minute)
	s.MaxOpen = max(s.MaxOpen, s.Open)
	return s
}

// breakerMode is where a breaker stands. The values are those of the metric.
type breakerMode int

const (
	closed   breakerMode = iota // work flows
	halfOpen                    // one probe is out
	open                        // nothing is tried before until
)

func (m breakerMode) String() string { return [...]string{"closed", "half-open", "open"}[m] }

// breaker is a circuit breaker as a value: every method is a function of state,
// event and now, and does no I/O. It is not safe for concurrent use.
//
//	closed    --Failures failures in a row--> open
//	open      --allow after until-----------> half-open, one probe
//	half-open --success---------------------> closed
//	half-open --failure---------------------> open, twice as long
//	half-open --abandon---------------------> open, due at once
type breaker struct {
	settings BreakerSettings
	mode     breakerMode
	failures int // in a row, while closed
	open     time.Duration
	until    time.Time
}

// allow asks whether one more scan may start now. In half-open only the probe
// may, and asking for it makes it so.
func (b *breaker) allow(now time.Time) bool {
	if b.mode == open && !now.Before(b.until) {
		b.mode = halfOpen
		return true
	}
	return b.mode == closed
}

// success reports that a scan was answered.
func (b *breaker) success() {
	// A scan begun before the breaker opened proves nothing about now.
	if b.mode == open {
		return
	}
	b.mode, b.failures, b.open = closed, 0, 0
}

// failure reports that a scan failed for a reason that is the filter's.
func (b *breaker) failure(now time.Time) {
	switch b.mode {
	case closed:
		b.failures++
		if b.failures >= b.settings.Failures {
			b.trip(now, b.settings.Open)
		}
	case halfOpen:
		b.trip(now, min(2*b.open, b.settings.MaxOpen))
	case open:
	}
}

// abandon gives a probe back that was never made (there was nothing to scan).
func (b *breaker) abandon(now time.Time) {
	if b.mode == halfOpen {
		b.mode, b.until = open, now
	}
}

func (b *breaker) trip(now time.Time, d time.Duration) {
	b.mode, b.open, b.until = open, d, now.Add(d)
}

// retryIn is how long until allow may say yes again; 0 when it may now.
func (b *breaker) retryIn(now time.Time) time.Duration {
	if b.mode != open {
		return 0
	}
	return max(0, b.until.Sub(now))
}
