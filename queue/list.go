package queue

import "time"

// Cursor is a place in a listing or event stream; opaque.
type Cursor string

// Filter selects items; the zero Filter selects all. Every field that is set
// has to match. String patterns are compared case-insensitively; "*" stands for
// any run of octets.
type Filter struct {
	IDs       []ID // exact; a message's ID selects all its parts
	States    []State
	Sender    string // reverse-path; "<>" is the null reverse-path
	Recipient string // any recipient's path
	NextHop   string // any pending recipient's next hop
	Stage     string
	Chain     string
	Held      *bool
	// Quarantined: held by a filter.
	Quarantined *bool
	HoldBy      string
	Reason      string // hold reason
	Origin      *Origin
	Parent      ID
	// OlderThan and YoungerThan compare the age since Created.
	OlderThan, YoungerThan time.Duration
	MinSize, MaxSize       int64 // octets; 0: no bound
}

// Page is one page of a listing.
type Page struct {
	Items []Item    `json:"items"`
	Next  Cursor    `json:"next,omitempty"` // "" at the end
	AsOf  time.Time `json:"as_of"`
	// Partial: some of the store could not answer.
	Partial bool `json:"partial,omitempty"`
}

// Tally is a count of items.
type Tally struct {
	Messages   int64 `json:"messages"`
	Recipients int64 `json:"recipients"`
	Bytes      int64 `json:"bytes"`
	Partial    bool  `json:"partial,omitempty"`
}

// ShapeSpec asks for a Shape. No States means all four; no Ages the default
// 5, 10, 20, 40, 80, 160, 320, 640, 1280 minutes.
type ShapeSpec struct {
	States []State
	Ages   []time.Duration
}

// Shape counts items by next hop and age, like Postfix's qshape. An item of
// Unfiltered counts once for each distinct next hop. Ages are exact to 5
// minutes below 80 minutes and to 40 minutes above.
type Shape struct {
	Ages []time.Duration `json:"ages"`
	Rows []ShapeRow      `json:"rows"` // most items first
	AsOf time.Time       `json:"as_of"`
}

// ShapeRow is one next hop in one state. Counts[i] are the items younger than
// Ages[i] and not younger than Ages[i-1]; the last one counts the rest.
type ShapeRow struct {
	State   State   `json:"state"`
	NextHop string  `json:"next_hop"`
	Total   int64   `json:"total"`
	Counts  []int64 `json:"counts"`
}

// Stats is the state of the queue.
type Stats struct {
	States []StateStats `json:"states"` // in the order of States
	Stages []StageStats `json:"stages"` // of Unfiltered, by name
	Held   int64        `json:"held"`
	Staged int64        `json:"staged"` // clients waiting for a verdict
	// Damaged counts records that were set aside because they could not be read.
	Damaged int64 `json:"damaged"`
	History int64 `json:"history"` // finished messages still known
}

// StateStats counts one state.
type StateStats struct {
	State    State     `json:"state"`
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Oldest   time.Time `json:"oldest,omitzero"` // Created of the oldest
	Leased   int64     `json:"leased"`
}

// StageStats counts the items that wait for one filter.
type StageStats struct {
	Stage    string    `json:"stage"`
	Messages int64     `json:"messages"`
	Leased   int64     `json:"leased"`
	Oldest   time.Time `json:"oldest,omitzero"`
}

// JobID names a bulk job.
type JobID string

// ActionKind is what a bulk job does to each item.
type ActionKind string

// The kinds. An item that is leased is waited for (until its lease ends), not
// skipped, unless Action.Force breaks the lease.
const (
	ActionFlush   ActionKind = "flush"   // due now
	ActionRequeue ActionKind = "requeue" // to Incoming, or with Stages through the filters again; ends a hold
	ActionHold    ActionKind = "hold"
	ActionRelease ActionKind = "release"
	ActionDelete  ActionKind = "delete"
	ActionBounce  ActionKind = "bounce" // FailPending; ends a hold
	// ActionRedirect is Action.Redirect; ends a hold.
	ActionRedirect ActionKind = "redirect"
)

// Action is what a bulk job does.
type Action struct {
	Kind ActionKind `json:"kind"`
	By   string     `json:"by"`
	// Reason is the hold's reason, or the reply of a bounce.
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	// Stages, for ActionRequeue, maps a chain to its first stage: an item whose
	// chain is named goes to Unfiltered at that stage, any other to Incoming.
	Stages map[string]string `json:"stages,omitempty"`
	Force  bool              `json:"force,omitempty"`
	// Redirect is for ActionRedirect.
	Redirect *Redirect `json:"redirect,omitempty"`
}

// JobStatus reports on a bulk job.
type JobStatus struct {
	ID       JobID     `json:"id"`
	Action   Action    `json:"action"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"` // zero while it runs
	Matched  int64     `json:"matched"`
	Changed  int64     `json:"changed"`
	Failed   int64     `json:"failed"`
	LastFail string    `json:"last_fail,omitempty"`
}

// EventKind says what happened to an item.
type EventKind string

// The kinds.
const (
	EventAccepted  EventKind = "accepted"
	EventFiltered  EventKind = "filtered" // a verdict
	EventClaimLost EventKind = "claim_lost"
	EventDelivered EventKind = "delivered" // a recipient: Delivered or Relayed
	EventDeferred  EventKind = "deferred"
	EventFailed    EventKind = "failed" // a recipient, permanently
	EventBounced   EventKind = "bounced"
	EventHeld      EventKind = "held"
	EventReleased  EventKind = "released"
	EventRequeued  EventKind = "requeued"
	EventSplit     EventKind = "split"
	EventFinished  EventKind = "finished"
	EventChanged   EventKind = "changed" // an operator's or a filter's edit
)

// Health says whether the queue can do its work.
type Health struct {
	// Ready: new messages are accepted. Reason says why not.
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"` // a code of spec/errors.json
	Detail string `json:"detail,omitempty"`
	// Writable: changes of what is queued are possible.
	Writable  bool  `json:"writable"`
	FreeBytes int64 `json:"free_bytes"`
	// Unsafe lists settings that void a promise and were asked for in words.
	Unsafe []string `json:"unsafe,omitempty"`
}
