package filter

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Status is the state of one filter, or of an orphaned stage.
type Status struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"`
	// Orphan: messages wait at this stage and no such filter is configured.
	Orphan bool `json:"orphan,omitempty"`
	// Chains that use the filter, by name.
	Chains []string `json:"chains,omitempty"`
	// Timings of those chains, in the same order.
	Timings []string `json:"timings,omitempty"`

	Depth    int64         `json:"depth"` // messages that wait, the leased ones included
	Leased   int64         `json:"leased"`
	Oldest   time.Time     `json:"oldest,omitzero"`
	Polling  int           `json:"polling"`            // scanners that wait for work, pull only
	LastPoll time.Time     `json:"last_poll,omitzero"` // pull only
	Scanning int           `json:"scanning"`           // driven only
	Limit    int           `json:"limit,omitempty"`    // scans that may run at a time now, driven only
	Breaker  string        `json:"breaker,omitempty"`  // closed, half-open, open; driven only
	RetryIn  time.Duration `json:"retry_in,omitempty"` // of an open breaker

	// Verdicts by disposition and Failures by class, since the engine was made.
	Verdicts    map[string]int64 `json:"verdicts,omitempty"`
	Failures    map[string]int64 `json:"failures,omitempty"`
	LastError   string           `json:"last_error,omitempty"` // class and cause; for operators
	LastErrorAt time.Time        `json:"last_error_at,omitzero"`
}

// Status reports on every filter, by name, and on orphaned stages after them.
func (e *Engine) Status(ctx context.Context) ([]Status, error) {
	stats, err := e.q.Stats(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*Status)
	var list []*Status
	for _, name := range slices.Sorted(maps.Keys(e.filters)) {
		s := e.statusOf(name)
		byName[name] = s
		list = append(list, s)
	}
	for _, st := range stats.Stages {
		s := byName[st.Stage]
		if s == nil {
			s = &Status{Name: st.Stage, Orphan: true}
			list = append(list, s)
		}
		s.Depth, s.Leased, s.Oldest = st.Messages, st.Leased, st.Oldest
	}
	out := make([]Status, len(list))
	for i, s := range list {
		out[i] = *s
	}
	return out, nil
}

func (e *Engine) statusOf(name string) *Status {
	def := e.filters[name]
	s := &Status{Name: name, Kind: def.Kind}
	for _, chain := range slices.Sorted(maps.Keys(e.chains)) {
		if slices.Contains(e.chains[chain].Filters, name) {
			s.Chains = append(s.Chains, chain)
			s.Timings = append(s.Timings, e.chains[chain].Timing.String())
		}
	}
	e.with(name, func(st *state) {
		s.Verdicts, s.Failures = maps.Clone(st.verdicts), maps.Clone(st.failures)
		s.LastError, s.LastErrorAt = st.lastError, st.lastErrorAt
		if def.Pull() {
			s.Polling, s.LastPoll = st.polling, st.lastPoll
			return
		}
		s.Limit = st.throttle.scans()
		s.Scanning, s.Breaker, s.RetryIn = st.scanning, st.breaker.mode.String(), st.breaker.retryIn(e.now())
	})
	return s
}
