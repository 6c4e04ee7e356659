package queue

import "fmt"

// State is where an item stands. The zero value is no state and means "any"
// where a filter is asked for.
type State uint8

// The four states (spec/queue.md §2). Nothing else is a state; Hold is a mark.
const (
	// Unfiltered: accepted, its filter chain not finished.
	Unfiltered State = iota + 1
	// Incoming: judged, waiting for its first delivery attempt.
	Incoming
	// Active: leased by the queue manager, delivery under way. An item is Active
	// only while that lease lives; it falls back to where it was.
	Active
	// Deferred: at least one attempt ended transiently; due at NextAt.
	Deferred
)

// States lists all of them, in the order mail passes through.
var States = [...]State{Unfiltered, Incoming, Active, Deferred}

var stateNames = [...]string{"", "unfiltered", "incoming", "active", "deferred"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState reads a state's name as String prints it.
func ParseState(name string) (State, error) {
	for _, s := range States {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("queue: no state %q", name)
}

// MarshalText and UnmarshalText use the names of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what MarshalText writes; the empty text is the zero State.
func (s *State) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*s = 0
		return nil
	}
	*s, err = ParseState(string(b))
	return err
}
