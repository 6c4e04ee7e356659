package engine

import (
	"fmt"
	"log/slog"
	"time"
)

// Options configure an Engine. The zero value is usable.
type Options struct {
	Logger *slog.Logger
	// Now is the clock; nil is time.Now. Leases need its monotonic reading.
	Now func() time.Time
	// Node is part of every queue ID, to keep several queues apart.
	Node uint8

	// MaxClaims is how many leases may run out before an item is held with the
	// reason "poison"; 0 is 5.
	MaxClaims int
	// ActiveLimit bounds the items that are Active; 0 is 20000.
	ActiveLimit int
	// History is how long finished items are known; 0 is 72 h, negative is not at
	// all.
	History time.Duration
	// Events is how long events can be read by Watch; 0 is 24 h.
	Events time.Duration

	// The marks above which new mail is refused with queue.ErrFull; 0 is no mark.
	// Mail of origin dsn is refused by want of space on disk only.
	MaxUnfiltered      int64
	MaxUnfilteredBytes int64
	MaxUnfilteredAge   time.Duration

	// SyncDelay is the longest time between an answer of class lazy and its sync;
	// 0 is 8 ms.
	SyncDelay time.Duration
	// GatherDelay is the longest time a commit waits for others that are about to
	// come; 0 is 1 ms, negative is none.
	GatherDelay time.Duration
	// CursorIdle is how long an unused listing is kept; 0 is 2 min.
	CursorIdle time.Duration
	// MaxCursors bounds open listings; 0 is 64.
	MaxCursors int

	// Observe, when set, is told of every batch. It is called by the commit loop
	// and must be quick.
	Observe func(BatchStats)

	// Unsafe names promises that may be broken, in words.
	Unsafe Unsafe
}

// Unsafe allows what void a promise. What is used shows in Health.Unsafe.
type Unsafe struct {
	NoSync      bool // a log that does not sync
	ClockBehind bool // a clock before the newest record
}

// BatchStats describe one durable batch.
type BatchStats struct {
	Ops          int // requests answered by it
	Bytes        int // octets written, without the log's own
	Synced       bool
	SyncDuration time.Duration // of Apply
	Err          error
}

// ClockError says that the clock is before the newest record: IDs and ages
// would go wrong. It is permanent until the clock is set.
type ClockError struct{ Now, Newest time.Time }

func (e *ClockError) Error() string {
	return fmt.Sprintf("engine: clock says %s, but the newest record is of %s",
		e.Now.UTC().Format(time.RFC3339), e.Newest.UTC().Format(time.RFC3339))
}

// UnsafeLogError says that the log breaks its promise by configuration.
type UnsafeLogError struct{ Settings []string }

func (e *UnsafeLogError) Error() string {
	return fmt.Sprintf("engine: log is unsafe: %v", e.Settings)
}

const (
	clockTolerance = 5 * time.Second
	nonceTime      = 10 * time.Minute
	maxNonces      = 1 << 17
	chunkSize      = 256 << 10
	maxDedupe      = 200
	maxNonce       = 64
	maxName        = 200 // octets of stage, chain, holder
)

func (o Options) withDefaults() Options {
	def := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxClaims <= 0 {
		o.MaxClaims = 5
	}
	if o.ActiveLimit <= 0 {
		o.ActiveLimit = 20000
	}
	if o.MaxCursors <= 0 {
		o.MaxCursors = 64
	}
	def(&o.History, 72*time.Hour)
	def(&o.Events, 24*time.Hour)
	def(&o.SyncDelay, 8*time.Millisecond)
	def(&o.GatherDelay, time.Millisecond)
	def(&o.CursorIdle, 2*time.Minute)
	return o
}
