package queue

import (
	"slices"
	"strings"
	"time"
)

// Match says whether the item, with all its recipients, is selected at now.
func (f Filter) Match(it *Item, now time.Time) bool {
	return f.matchItem(it) && f.matchEnvelope(&it.Envelope) && f.matchHold(it.Hold) && f.matchSizeAge(it, now)
}

func (f Filter) matchItem(it *Item) bool {
	isOurs := func(id ID) bool { return id == it.ID || id == it.ID.Message() }
	switch {
	case len(f.IDs) > 0 && !slices.ContainsFunc(f.IDs, isOurs),
		len(f.States) > 0 && !slices.Contains(f.States, it.State),
		f.Stage != "" && !matchPattern(f.Stage, it.Stage),
		f.Chain != "" && !matchPattern(f.Chain, it.Chain),
		f.Origin != nil && *f.Origin != it.Origin,
		f.Parent != "" && f.Parent != it.Parent && f.Parent != it.Parent.Message():
		return false
	}
	return true
}

func (f Filter) matchEnvelope(e *Envelope) bool {
	to := func(r Recipient) bool { return matchPattern(f.Recipient, r.Path) }
	by := func(r Recipient) bool { return r.Status == Pending && matchPattern(f.NextHop, r.NextHop) }
	switch {
	case f.Sender == "<>" && e.ReversePath != "",
		f.Sender != "<>" && f.Sender != "" && !matchPattern(f.Sender, e.ReversePath),
		f.Recipient != "" && !slices.ContainsFunc(e.Recipients, to),
		f.NextHop != "" && !slices.ContainsFunc(e.Recipients, by):
		return false
	}
	return true
}

func (f Filter) matchHold(h *Hold) bool {
	if f.Held != nil && *f.Held != (h != nil) {
		return false
	}
	if f.Quarantined != nil && *f.Quarantined != (h.Quarantine() != "") {
		return false
	}
	if h == nil {
		return f.HoldBy == "" && f.Reason == ""
	}
	return (f.HoldBy == "" || matchPattern(f.HoldBy, h.By)) && (f.Reason == "" || matchPattern(f.Reason, h.Reason))
}

func (f Filter) matchSizeAge(it *Item, now time.Time) bool {
	age := now.Sub(it.Created)
	switch {
	case f.OlderThan != 0 && age <= f.OlderThan,
		f.YoungerThan != 0 && age >= f.YoungerThan,
		f.MinSize != 0 && it.Size() < f.MinSize,
		f.MaxSize != 0 && it.Size() > f.MaxSize:
		return false
	}
	return true
}

// matchPattern compares without case; "*" in the pattern is any run of octets.
// It takes time proportional to the product of the lengths at worst.
func matchPattern(pattern, s string) bool {
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
