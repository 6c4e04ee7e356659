package engine

import (
	"maps"
	"slices"

	"mtad/queue"
)

// copyItem is a copy of r's item that the caller may keep and change.
func copyItem(r *rec) queue.Item {
	it := r.Item
	it.Rev = revOf(r.rev)
	it.RecipientCount = len(it.Envelope.Recipients)
	it.Envelope.Recipients = slices.Clone(it.Envelope.Recipients)
	it.Trace = slices.Clone(it.Trace)
	it.Generations = slices.Clone(it.Generations)
	for i := range it.Generations {
		it.Generations[i].Segments = slices.Clone(it.Generations[i].Segments)
	}
	it.Verdicts = slices.Clone(it.Verdicts)
	for i := range it.Verdicts {
		it.Verdicts[i].Symbols = slices.Clone(it.Verdicts[i].Symbols)
	}
	it.Trail = slices.Clone(it.Trail)
	it.Meta = maps.Clone(it.Meta)
	if it.Hold != nil {
		h := *it.Hold
		it.Hold = &h
	}
	if it.Outcome != nil {
		o := *it.Outcome
		it.Outcome = &o
	}
	return it
}

// draft is a shallow copy to work on: what a change touches is copied by the
// change.
func (r *rec) draft() *rec {
	c := *r
	return &c
}
