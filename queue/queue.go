package queue

import (
	"context"
	"io"
	"time"
)

// Queue is what a queue can do. All methods are safe for concurrent use. A
// method that takes a context gives up waiting when it ends; a change already
// handed to the store may take effect all the same, and the error then is
// ErrUncertain. After Close every method returns ErrUnavailable.
type Queue interface {
	// Create opens a message. Nothing is visible and nothing durable before
	// Commit. It answers ErrHighWater above a high-water mark, ErrFull without room, ErrTooLarge
	// when the envelope breaks a bound, ErrInvalid without recipients. The Queue
	// keeps no reference to e.
	Create(ctx context.Context, e Envelope, o CreateOptions) (Writer, error)

	// Claim leases up to s.Max items, waiting up to s.Wait for the first. No items
	// and no error means that none came. A claim is not durable: after a crash the
	// items are where they were. Items are fair between next hops: nobody's
	// backlog keeps another next hop's item from being returned.
	Claim(ctx context.Context, s ClaimSpec) ([]Claim, error)
	// Extend sets each lease to run d from now; errs[i] belongs to tokens[i].
	Extend(ctx context.Context, tokens []Token, d time.Duration) (errs []error)
	// Release gives an item back to where it was claimed from; it is not claimable
	// for delay. With lost, it counts as a lease that ran out (Item.LostClaims).
	Release(ctx context.Context, t Token, delay time.Duration, lost bool) error

	// Apply makes a change. It returns the items it left or made, the one named
	// first; a finished one has its Outcome. Durability is by class
	// (spec/queue.md §4): a change of an Active item by its holder is ordered and
	// synced soon after; every other change is synced before Apply returns.
	Apply(ctx context.Context, x Txn) ([]Item, error)
	// Upload opens a new blob under a lease, for content too large for a Txn. The
	// blob is invisible until a SetContent names it; without one it is dropped when
	// the lease ends.
	Upload(ctx context.Context, t Token) (BlobWriter, error)

	// Open reads content. It verifies checksums as it goes: a reader ends with
	// ErrCorrupt, never with wrong octets. What was opened stays readable when the
	// message is finished meanwhile.
	Open(ctx context.Context, s OpenSpec) (Content, error)
	// Get reads an item that is committed and not finished; read-your-writes.
	Get(ctx context.Context, id ID) (Item, error)
	// History reads every part of a message, live and finished, oldest first.
	// ErrNotFound when it is unknown or its record was dropped by age.
	History(ctx context.Context, message ID) ([]Item, error)

	// List returns up to n items (n<=0: 100) that match, oldest first, after cursor
	// ("" starts). The pages of one cursor chain are one snapshot: no repeats, no
	// misses; an implementation whose snapshot is gone answers ErrExpired.
	List(ctx context.Context, f Filter, after Cursor, n int) (Page, error)
	// Count counts what List would return in full.
	Count(ctx context.Context, f Filter) (Tally, error)
	// Shape counts waiting items by next hop and age, from counters that are kept
	// with every change: its cost does not grow with the number of items.
	Shape(ctx context.Context, s ShapeSpec) (Shape, error)
	// Stats is the state of the whole queue, as cheap as Shape.
	Stats(ctx context.Context) (Stats, error)

	// Bulk starts a change of everything that matches now. The job is durable: it
	// goes on after a restart where it was.
	Bulk(ctx context.Context, f Filter, a Action) (JobID, error)
	// Job reports on a job; finished ones are kept for a day.
	Job(ctx context.Context, id JobID) (JobStatus, error)

	// Watch streams events from after the cursor ("" is now, Since a time), at least
	// once, in order within a message. What it tells is on stable storage: no crash
	// takes it back. ErrExpired when the cursor is older than what is kept, or names
	// a place that is not.
	Watch(ctx context.Context, after Cursor) (EventStream, error)

	// Health says whether the queue can do its work.
	Health(ctx context.Context) Health
	Close() error
}

// CreateOptions say how a message enters.
type CreateOptions struct {
	Origin Origin
	Parent ID
	// Chain and Stage: with a Stage the message enters Unfiltered, without one
	// Incoming.
	Chain, Stage string
	Priority     int8
	NextAt       time.Time // not before (send-at)
	Expires      time.Time
	Hold         *Hold
	Meta         map[string]string
	// Trace returns our trace header fields for the ID that was given, CRLF at each
	// line's end. Called once, by Create.
	Trace func(ID) []byte
	// DedupeKey, when set, makes acceptance idempotent: a second Commit with the
	// same key returns a *DuplicateError with the first message's ID. Kept at least
	// as long as the message and its history record. At most 200 octets.
	DedupeKey string
	// EarlyDuplicate: Create answers the *DuplicateError, too, when the key is known
	// to be used by then; Commit does in any case.
	EarlyDuplicate bool
	// LateMeta, when set, is called once, by the first of Stage and Commit, when the
	// content is complete; what it returns is added to Meta, within the same bound.
	LateMeta func() map[string]string
	// SizeHint is the expected size in octets, 0 when unknown.
	SizeHint int64
	// MaxSize bounds what Write takes, in octets; Write answers ErrTooLarge beyond
	// it. 0 means no bound here.
	MaxSize int64
}

// Writer takes the content of one message. It is not safe for concurrent use,
// except that Wait may run while another goroutine calls Commit or Abort.
// Every Writer ends with a Commit that succeeded, or with Abort.
type Writer interface {
	// ID is the queue ID the message will have.
	ID() ID
	// Write appends content. Memory used is bounded whatever the size. A failed
	// Write is final: Commit answers the same error.
	io.Writer
	// Stage makes the complete content claimable in Unfiltered while it is not
	// committed. No Write may follow.
	Stage(ctx context.Context) error
	// Wait returns when no part of the staged item is in Unfiltered any more, or is
	// held there: the
	// parts as judged, those rejected or discarded with their Outcome. When ctx
	// ends first it returns ctx's error and the item stays staged.
	Wait(ctx context.Context) ([]Item, error)
	// Commit makes the message exist, durably; only then may a positive reply go
	// out. A staged message is committed as it is now, with leases on it still
	// valid: those parts that are not finished; when every part is finished it
	// keeps only the history record. May be repeated after ErrUncertain.
	Commit(ctx context.Context) (Item, error)
	// Abort drops everything. After a Commit that succeeded it does nothing.
	Abort() error
}

// BlobWriter takes the octets of a new blob. Not safe for concurrent use.
type BlobWriter interface {
	io.Writer
	// Seal ends the blob and names it for Piece.Blob. It is durable with the Txn
	// that uses it.
	Seal(ctx context.Context) (BlobID, int64, error)
	Abort() error
}

// ClaimSpec says which items to lease.
type ClaimSpec struct {
	// From is Unfiltered (with Stage), Incoming or Deferred. Claimed from the
	// latter two, an item is Active until the lease ends. Items that are held, not
	// due, or leased are passed over.
	From  State
	Stage string
	// Holder names the worker, for people.
	Holder   string
	Max      int   // items, 1 to MaxClaim
	MaxBytes int64 // content octets in all, 0: no bound; one item is returned in any case
	Lease    time.Duration
	Wait     time.Duration // at most MaxWait
	// NotNextHops are passed over; PerNextHop bounds the items of one next hop in
	// this claim (0: no bound), with exceptions in PerNextHopMax.
	NotNextHops   map[string]bool
	PerNextHop    int
	PerNextHopMax map[string]int
}

// Claim is one leased item.
type Claim struct {
	Item  Item
	Token Token
	For   time.Duration // how long the lease runs
}

// OpenSpec says what to read.
type OpenSpec struct {
	// Token reads under a lease, also a staged item; or ID reads what is committed
	// or in history's reach while its content is kept.
	Token Token
	ID    ID
	// Generation to read; -1 is the current one.
	Generation int
	// Trace puts Item.Trace in front; Offset counts from there.
	Trace  bool
	Offset int64
}

// Content is an open message. Size is what is left to read from the offset.
type Content interface {
	io.ReadCloser
	Size() int64
}
