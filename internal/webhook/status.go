package webhook

import (
	"net/url"
	"time"

	"mtad/internal/events"
)

// The states of a target.
const (
	Starting = "starting"
	Running  = "running"
	Retrying = "retrying" // it failed several times in a row
	Stopped  = "stopped"  // it answered 410; a replay or another URL begins anew
)

// Status is the state of a target.
type Status struct {
	Name  string
	URL   string // scheme and host: the rest may be secret
	Types []events.Type
	State string
	// Reason says why it is Stopped.
	Reason string
	// Position is the place that is kept.
	Position events.Position
	// Pending are the events read and not settled; Lag is the age of the oldest.
	Pending                                      int
	Lag                                          time.Duration
	Attempts, Delivered, Failures, Dropped, Gaps int64
	LastError                                    string
	LastErrorAt, LastSuccess                     time.Time

	oldest time.Time
}

// shown is what may be shown of a URL.
func shown(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	out := u.Scheme + "://" + u.Host
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		out += "/…"
	}
	return out
}

// status is what there is to see.
func (t *target) status(now time.Time) Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Position, s.Reason = t.saved.Position, t.saved.Stopped
	if !s.oldest.IsZero() {
		s.Lag = max(now.Sub(s.oldest), 0)
	}
	return s
}
