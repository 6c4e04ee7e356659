package queue

import "errors"

// The errors of a Queue. Callers test with errors.Is; an error that is none of
// these is unknown and therefore transient.
var (
	// ErrNotFound: no such item, proven. Finished messages are found by History.
	ErrNotFound = errors.New("queue: no such message")
	// ErrConflict: the revision named is not the current one, or the transition
	// is not legal from the item's present state. Nothing changed.
	ErrConflict = errors.New("queue: changed by somebody else")
	// ErrLeaseLost: the token names no living lease. Nothing changed.
	ErrLeaseLost = errors.New("queue: lease lost")
	// ErrUncertain: the change may or may not be durable. Repeat it with the same
	// Nonce or DedupeKey, or let the lease run out.
	ErrUncertain = errors.New("queue: outcome uncertain")
	// ErrUnavailable: the store cannot answer now (I/O trouble, closing).
	ErrUnavailable = errors.New("queue: store unavailable")
	// ErrFull: no room: a high-water mark or the free-space floor is reached.
	// Nothing was kept.
	ErrFull = errors.New("queue: insufficient system storage")
	// ErrHighWater: a high-water mark is reached, too much mail waits. It matches
	// ErrFull.
	ErrHighWater error = highWaterError{}
	// ErrTooLarge: a bound of Limits was exceeded. Nothing was kept. Permanent.
	ErrTooLarge = errors.New("queue: too large")
	// ErrCorrupt: stored bytes do not match their checksum. The item is set aside
	// (held, reason "corrupt"), never dropped.
	ErrCorrupt = errors.New("queue: damaged record or content")
	// ErrExists: CreateOptions.DedupeKey was used before; the error is a
	// *DuplicateError naming the message it made.
	ErrExists = errors.New("queue: already accepted")
	// ErrExpired: a cursor or job is too old to be continued.
	ErrExpired = errors.New("queue: cursor expired")
	// ErrInvalid: the request breaks the contract (an unknown recipient index, a
	// segment outside its blob). Permanent; nothing changed.
	ErrInvalid = errors.New("queue: invalid request")
)

type highWaterError struct{}

func (highWaterError) Error() string { return "queue: too much mail waits" }

// Is reports a match with ErrFull.
func (highWaterError) Is(target error) bool { return target == ErrFull }

// DuplicateError is what Commit returns when DedupeKey was used before. It
// matches ErrExists.
type DuplicateError struct{ ID ID }

func (e *DuplicateError) Error() string { return "queue: already accepted as " + string(e.ID) }

// Is reports a match with ErrExists.
func (e *DuplicateError) Is(target error) bool { return target == ErrExists }
