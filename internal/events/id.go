package events

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"mtad/queue"
)

// MaxID bounds the ID of an event, in octets.
const MaxID = 128

// ErrID is returned for what is not the ID of an event.
var ErrID = errors.New("events: not the ID of an event")

// idOf names an event: its time, so that another spool's events have other names,
// and the place after it in the queue's stream.
func idOf(at time.Time, c queue.Cursor) string {
	return strconv.FormatInt(max(at.UnixMilli(), 0), 16) + "-" + string(c)
}

// CursorOf returns the place after the event of this ID.
func CursorOf(id string) (queue.Cursor, error) {
	stamp, cursor, ok := strings.Cut(id, "-")
	if !ok || len(id) > MaxID || cursor == "" {
		return "", ErrID
	}
	if n, err := strconv.ParseInt(stamp, 16, 64); err != nil || strconv.FormatInt(n, 16) != stamp || n < 0 {
		return "", ErrID
	}
	for _, c := range []byte(cursor) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("@._~-", rune(c)) {
			return "", ErrID
		}
	}
	return queue.Cursor(cursor), nil
}

// Position is where reading begins: after the event After names, or at Since, or
// now. It is what a reader keeps to go on later.
type Position struct {
	After string    `json:"after,omitempty"`
	Since time.Time `json:"since,omitzero"` // not looked at with After
}

// Cursor returns the queue's.
func (p Position) Cursor() (queue.Cursor, error) {
	switch {
	case p.After != "":
		return CursorOf(p.After)
	case !p.Since.IsZero():
		return queue.Since(p.Since), nil
	}
	return "", nil
}
