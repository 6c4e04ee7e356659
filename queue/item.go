package queue

import "time"

// Rev is a revision of an item. It changes with every change of the item;
// compare for equality only.
type Rev string

// Token is the proof of a lease. It is fencing: a change under a token whose
// lease ended is refused with ErrLeaseLost, even if nobody else holds the item.
type Token string

// Origin says through which kind of door a message came; it decides the first
// state (rule 3 of spec/queue.md: what mtad makes itself is not scanned again).
type Origin uint8

// The origins.
const (
	OriginSMTP    Origin = iota
	OriginSubmit         // the submission helper, sendmail, the maildrop
	OriginHTTP           // POST /v1/messages
	OriginDSN            // a delivery status notification; Parent is set
	OriginForward        // a locally forwarded copy; Parent is set
)

var originNames = [...]string{"smtp", "submit", "http", "dsn", "forward"}

func (o Origin) String() string { return nameOf(originNames[:], uint8(o)) }

// MarshalText and UnmarshalText use the names of String.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText accepts what MarshalText writes.
func (o *Origin) UnmarshalText(b []byte) error {
	return unname(originNames[:], b, (*uint8)(o), "origin")
}

// Item is one schedulable unit: a message, or a part of a split one. What a
// Queue returns is a copy that the caller owns.
type Item struct {
	ID     ID     `json:"id"`
	Rev    Rev    `json:"rev"`
	State  State  `json:"state"`
	Origin Origin `json:"origin"`
	Parent ID     `json:"parent,omitempty"` // of a DSN or forwarded copy

	// Chain is the filter chain the door named; Stage, in Unfiltered only, the
	// filter whose turn it is. Both are opaque here.
	Chain string `json:"chain,omitempty"`
	Stage string `json:"stage,omitempty"`
	// Staged: the client still waits for its reply and nothing is committed; the
	// item is visible to Claim and to nobody else.
	Staged bool `json:"staged,omitempty"`

	Priority int8      `json:"priority,omitempty"` // higher goes first; 0 is normal
	Created  time.Time `json:"created"`
	// NextAt: not claimable before. Zero means at once.
	NextAt time.Time `json:"next_at,omitzero"`
	// Expires: when the caller's lifetime for delivery ends; zero means the
	// queue manager's default.
	Expires  time.Time `json:"expires,omitzero"`
	Attempts int       `json:"attempts"` // delivery attempts begun
	// LostClaims counts leases that ran out since the last change of state or
	// stage. At the store's max_claims the item is held, reason "poison".
	LostClaims int `json:"lost_claims,omitempty"`

	Envelope Envelope `json:"envelope"`
	// RecipientCount is len(Envelope.Recipients) of the stored item. In a listing
	// the slice is cut at MaxListRecipients.
	RecipientCount int `json:"recipient_count"`

	// Trace is our own trace header field(s), CRLF included, kept apart from the
	// content.
	Trace []byte `json:"trace,omitempty"`
	// Generations are the content's versions, oldest first; the last is current.
	Generations []Generation `json:"generations"`
	Verdicts    []Verdict    `json:"verdicts,omitempty"`
	Hold        *Hold        `json:"hold,omitempty"`
	Lease       *Lease       `json:"lease,omitempty"` // nil: unclaimed. For people to see, not to act on.
	// Trail is what happened, oldest first, at most MaxTrail steps: the first half
	// and the newest are kept.
	Trail []Step `json:"trail,omitempty"`
	// Meta are small facts that filters and doors leave for later steps.
	Meta map[string]string `json:"meta,omitempty"`
	// Outcome is set when the item is finished (History, Writer.Wait).
	Outcome *Outcome `json:"outcome,omitempty"`
}

// Keys of Item.Meta that have a meaning beyond their writer.
const (
	// MetaSandbox marks an item that is judged and reported on as others are, and
	// never leaves: no transport is asked, and no DSN is made.
	MetaSandbox = "mtad.sandbox"
	// MetaSendAt is when an item may be delivered at the earliest (RFC 3339), where
	// its filters are not to wait for that.
	MetaSendAt = "mtad.send_at"
)

// SendAt is when MetaSendAt says, zero if it says nothing.
func (it *Item) SendAt() time.Time {
	t, _ := time.Parse(time.RFC3339, it.Meta[MetaSendAt]) // ours; else it says nothing
	return t
}

// Sandbox says that the item never leaves.
func (it *Item) Sandbox() bool { return it.Meta[MetaSandbox] != "" }

// Generation returns the current generation.
func (it *Item) Generation() Generation { return it.Generations[len(it.Generations)-1] }

// Size is the current content's length in octets, without Trace.
func (it *Item) Size() int64 { return it.Generation().Size }

// Generation is one immutable version of the content.
type Generation struct {
	N    int    `json:"n"`            // 0 is what was received
	By   string `json:"by,omitempty"` // filter that made it
	Size int64  `json:"size"`         // octets, without Trace
	// Segments make up the content, in order.
	Segments []Segment `json:"segments"`
}

// Segment is a run of octets of a Blob.
type Segment struct {
	Blob   BlobID `json:"blob"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// BlobID names immutable octets within a message. Blob 0 is what was received.
type BlobID uint32

// Hold is the mark that keeps an item from being claimed, in any state but
// Active. An operator's hold and a filter's quarantine differ in By only.
type Hold struct {
	By     string    `json:"by"`     // "operator:NAME", "filter:NAME", "mtad"
	Reason string    `json:"reason"` // "quarantine", "poison", "corrupt", or free text
	Since  time.Time `json:"since"`
	// Until: it ends by itself then, as Then says. Zero means when somebody ends it.
	Until time.Time `json:"until,omitzero"`
	Then  HoldEnd   `json:"then,omitempty"`
}

// Lease says who works on an item.
type Lease struct {
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Stage  string    `json:"stage,omitempty"` // the item's stage at the claim
}

// Verdict is one filter's answer as it is remembered. The queue does not
// interpret it; what it did to the item was done by the other Ops of its Txn.
type Verdict struct {
	Filter      string    `json:"filter"`
	Disposition string    `json:"disposition"`
	Generation  int       `json:"generation"` // judged
	Score       float64   `json:"score,omitempty"`
	Symbols     []string  `json:"symbols,omitempty"`
	Reply       string    `json:"reply,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	At          time.Time `json:"at"`
}

// Step is one line of an item's trail.
type Step struct {
	At   time.Time `json:"at"`
	Kind EventKind `json:"kind"`
	Text string    `json:"text,omitempty"`
}

// Outcome is how an item ended.
type Outcome struct {
	Disposition Disposition `json:"disposition"`
	Reply       string      `json:"reply,omitempty"`
	At          time.Time   `json:"at"`
}

// Disposition is how an item left the queue.
type Disposition uint8

// The dispositions.
const (
	Done      Disposition = iota // every recipient has a final status
	Rejected                     // refused while the client waited; never accepted
	Discarded                    // dropped on a filter's word, no DSN
	Deleted                      // dropped on an operator's word, no DSN
)

var dispositionNames = [...]string{"done", "rejected", "discarded", "deleted"}

func (d Disposition) String() string { return nameOf(dispositionNames[:], uint8(d)) }

// MarshalText and UnmarshalText use the names of String.
func (d Disposition) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts what MarshalText writes.
func (d *Disposition) UnmarshalText(b []byte) error {
	return unname(dispositionNames[:], b, (*uint8)(d), "disposition")
}

// Bounds that hold in every Queue. What a door allows is its own, lower.
const (
	MaxRecipients     = 100_000 // of one message
	MaxListRecipients = 20      // of one item in a listing
	MaxTrail          = 32
	MaxTrace          = 8 << 10   // octets of Item.Trace
	MaxMeta           = 64 << 10  // octets of keys and values of Item.Meta
	MaxInline         = 1 << 20   // octets of new content within one Txn (SetContent pieces)
	MaxSegments       = 256       // of one generation
	MaxGenerations    = 64        // of one item
	MaxVerdicts       = 64        // of one item; the oldest are dropped
	MaxText           = 1000      // octets of a reply, reason or step
	MaxClaim          = 1000      // items of one Claim
	MaxPage           = 1000      // items of one List
	MaxLease          = time.Hour // longest lease or extension
	MaxWait           = time.Minute
)
