package filter

import (
	"encoding/json"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

// Retention says how long a filter's quarantine lasts where the verdict does not
// say, and what happens then. The zero value keeps messages until somebody decides.
type Retention struct {
	Keep time.Duration
	Then queue.HoldEnd
}

// hold makes a filter's hold, from now on.
func (r Retention) hold(filter, reason string, now time.Time) *queue.Hold {
	h := &queue.Hold{By: by(filter), Reason: reason, Since: now}
	if h.Reason == "" {
		h.Reason = "quarantine"
	}
	if r.Keep > 0 {
		h.Until, h.Then = now.Add(r.Keep), r.Then
	}
	return h
}

// quarantine is the hold that a verdict asks for; nil when it does not. A verdict
// with a time of its own and no word on what follows is released then: that is
// what it meant before there was a word.
func (p *planner) quarantine(q *filterproto.Quarantine) *queue.Hold {
	if q == nil {
		return nil
	}
	r := p.def.Retention
	if q.Seconds > 0 {
		r = Retention{Keep: time.Duration(q.Seconds) * time.Second}
	}
	if q.Then != "" {
		_ = r.Then.UnmarshalText([]byte(q.Then)) // checked before
	}
	return r.hold(p.filter, q.Reason, p.now)
}

// carried is the hold that an earlier filter asked for. This filter's own, from
// before a re-scan, counts no more.
func (p *planner) carried() *queue.Hold {
	text := p.it.Meta[metaQuarantine]
	if text == "" {
		return nil
	}
	var h queue.Hold
	if err := json.Unmarshal([]byte(text), &h); err != nil || h.By == "" {
		return &queue.Hold{By: by(p.filter), Reason: "quarantine", Since: p.now}
	}
	if h.By == by(p.filter) {
		return nil
	}
	return &h
}

// releasedOnce reports whether the filter whose turn it is failed on the item
// before, and held it. It is not held for that again: it waits.
func releasedOnce(it queue.Item) bool { return it.Stage != "" && it.Meta[metaHeld] == it.Stage }
