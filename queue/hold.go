package queue

// HoldEnd is what becomes of a held item at Hold.Until.
type HoldEnd uint8

// The ends.
const (
	HoldRelease HoldEnd = iota // it goes on where it is
	HoldDelete                 // Finish with Deleted: nobody is told
	HoldBounce                 // FailPending: the sender is told
)

var holdEndNames = [...]string{"release", "delete", "bounce"}

func (h HoldEnd) String() string { return nameOf(holdEndNames[:], uint8(h)) }

// MarshalText and UnmarshalText use the names of String.
func (h HoldEnd) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText accepts what MarshalText writes.
func (h *HoldEnd) UnmarshalText(b []byte) error {
	return unname(holdEndNames[:], b, (*uint8)(h), "end of a hold")
}

// The replies of items whose hold ran out: of an Outcome, and of recipients that
// their sender is told of.
const (
	HoldDeleted = "deleted: its hold ran out"
	HoldBounced = "550 5.7.1 message was held for review and not released in time"
)

// ByFilter begins Hold.By of a filter's quarantine: the filter's name follows.
const ByFilter = "filter:"

// Quarantine names the filter that holds the item; "" when no filter does.
func (h *Hold) Quarantine() string {
	if h == nil || len(h.By) <= len(ByFilter) || h.By[:len(ByFilter)] != ByFilter {
		return ""
	}
	return h.By[len(ByFilter):]
}

// EndOps is what happens to an item whose hold ran out.
func (h *Hold) EndOps() []Op {
	switch h.Then {
	case HoldDelete:
		return []Op{Finish{Disposition: Deleted, Reply: HoldDeleted}}
	case HoldBounce:
		return []Op{ReleaseHold{}, FailPending{Reply: HoldBounced}}
	}
	return []Op{ReleaseHold{}}
}
