package queue

import "time"

// Txn is a change of one item and the parts it is split into: all Ops, in
// order, or none. It names either the Token of a lease, or the ID with the Rev
// it was read at. With an ID, a living lease makes it ErrConflict unless Force breaks the
// lease.
type Txn struct {
	Token Token

	ID    ID
	Rev   Rev  // "" accepts any revision
	Force bool // operator's path: break a lease if there is one

	// Nonce, when set, makes the Txn idempotent: repeated with the same Nonce
	// within ten minutes it answers what the first one answered, also when the
	// lease has ended since because of it, and also after a crash. It is scoped by
	// the Token or ID; a failure is not remembered. At most 64 octets.
	Nonce string
	// By names who changes, for the trail: "filter:NAME", "qmgr", "operator:NAME".
	By string
	// Ops may be empty: nothing changes, nothing is written or synced, and Apply
	// answers the item as it is now (a holder's look at its own item, also while
	// it is staged), or ErrLeaseLost.
	Ops []Op
}

// Op is one change within a Txn. The implementations are the types below.
type Op interface{ op() }

// Move changes the state, and ends the lease.
// To Unfiltered: Stage names the filter whose turn it is, Chain, when set, the
// new chain (a re-scan). To Incoming: from Unfiltered, Deferred or Active. To
// Deferred: from Active, Incoming. Active is entered by Claim alone.
// On entering Incoming the item is split by (Transport, NextHop) of its pending
// recipients.
type Move struct {
	To     State
	Stage  string
	Chain  string
	NextAt time.Time
}

// SetContent makes the next generation from Pieces, in order.
type SetContent struct {
	By     string
	Pieces []Piece
}

// Piece is a run of octets of the new generation: Inline octets, or, with Inline
// nil, the range [Offset, Offset+Length) of Blob (received, or uploaded under
// the same lease) or, when FromCurrent is set, of the current generation's content.
type Piece struct {
	Inline      []byte
	Blob        BlobID
	FromCurrent bool
	Offset      int64
	Length      int64 // -1: to the end
}

// AddRecipients appends recipients; one whose Path is present already is skipped.
// An item of Incoming or Deferred is then split by (Transport, NextHop), as on
// entering Incoming; one that is Active when its attempt is over (Move to Incoming).
type AddRecipients struct{ Recipients []Recipient }

// UpdateRecipients changes recipients by index.
type UpdateRecipients struct{ Updates []RecipientUpdate }

// RecipientUpdate replaces what a recipient's status and route say. Path,
// Notify and ORCPT stay.
type RecipientUpdate struct {
	Index  int
	Status RecipientStatus
	// Attempted adds one to Attempts and sets LastAttempt.
	Attempted bool
	// Reply and Remote, when set, replace LastReply and LastRemote.
	Reply, Remote string
	// Transport and NextHop, when set, replace the route.
	Transport, NextHop string
	// DelaySent and Reported are set when true; false leaves them as they are.
	DelaySent, Reported bool
}

// SetReversePath replaces the reverse-path.
type SetReversePath struct{ Path string }

// AddVerdict remembers a filter's answer.
type AddVerdict struct{ Verdict Verdict }

// SetHold marks the item. An active item is held when its lease ends.
type SetHold struct{ Hold Hold }

// ReleaseHold takes the mark away; LostClaims is 0 again.
type ReleaseHold struct{}

// SetPriority changes the priority.
type SetPriority struct{ Priority int8 }

// SetNextAt changes when a waiting item is due; zero means now (a flush), which
// also ends the delay of a Release.
type SetNextAt struct{ At time.Time }

// SetMeta sets keys; an empty value removes one.
type SetMeta struct{ Set map[string]string }

// Attempt counts a delivery attempt of the item (Item.Attempts).
type Attempt struct{}

// FailPending turns every pending recipient into Failed with Reply and makes
// the item due now; from Unfiltered it moves it to Incoming. The queue manager claims it, reports and finishes it:
// deciding a bounce and making its DSN are two steps, each crash-proof.
type FailPending struct{ Reply string }

// Note adds a step to the trail.
type Note struct {
	Kind EventKind
	Text string
}

// Split takes recipients out into parts of their own, each changed by its own
// Ops. Every index occurs once at the most; recipients named in no Part stay in
// the item, which the Ops after Split go on with. At least one stays.
type Split struct{ Parts []Part }

// Part is one new item of a Split. Its Ops count recipients within the part, in
// the order of Recipients; the Ops after Split count those that stayed.
type Part struct {
	Recipients []int
	Ops        []Op // no Split
}

// Finish ends the item and its lease; a history record stays. Rejected is for
// staged items alone: on a committed one it is ErrConflict, since its client has
// the positive reply and nobody would be told. Done with a pending recipient is
// ErrInvalid: a slip of the caller must not lose mail.
type Finish struct {
	Disposition Disposition
	Reply       string
}

func (Move) op()             {}
func (SetContent) op()       {}
func (AddRecipients) op()    {}
func (UpdateRecipients) op() {}
func (SetReversePath) op()   {}
func (AddVerdict) op()       {}
func (SetHold) op()          {}
func (ReleaseHold) op()      {}
func (SetPriority) op()      {}
func (SetNextAt) op()        {}
func (SetMeta) op()          {}
func (Attempt) op()          {}
func (FailPending) op()      {}
func (Note) op()             {}
func (Split) op()            {}
func (Finish) op()           {}
