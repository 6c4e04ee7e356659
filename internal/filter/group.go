package filter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mtad/filterproto"
	"mtad/queue"
)

// group is a set of pending recipients that got the same verdict.
type group struct {
	index   []int // in Envelope.Recipients
	verdict filterproto.Verdict
}

// groupsOf sorts the pending recipients by their verdict. There is always a
// first group; it stays in the item.
func groupsOf(it queue.Item, v filterproto.Verdict) ([]group, error) {
	own, err := ownVerdicts(it, v)
	if err != nil {
		return nil, err
	}
	outer := v
	outer.Recipients = nil
	var groups []group
	place := make(map[string]int)
	keys := make(map[int]string) // of v.Recipients[i]
	outerKey := verdictKey(outer)
	for i, r := range it.Envelope.Recipients {
		if r.Status != queue.Pending {
			continue
		}
		key, verdict := outerKey, outer
		if n, ok := own[r.Path]; ok {
			verdict = v.Recipients[n].Verdict
			if keys[n] == "" {
				keys[n] = verdictKey(verdict)
			}
			key = keys[n]
		}
		n, ok := place[key]
		if !ok {
			n = len(groups)
			place[key] = n
			groups = append(groups, group{verdict: settled(verdict)})
		}
		groups[n].index = append(groups[n].index, i)
	}
	if groups == nil {
		groups = []group{{verdict: settled(outer)}}
	}
	return groups, nil
}

// ownVerdicts maps the paths that have a verdict of their own to its index.
func ownVerdicts(it queue.Item, v filterproto.Verdict) (map[string]int, error) {
	if len(v.Recipients) == 0 {
		return nil, nil
	}
	known := make(map[string]bool, len(it.Envelope.Recipients))
	for _, r := range it.Envelope.Recipients {
		known[r.Path] = true
	}
	own := make(map[string]int)
	for i, r := range v.Recipients {
		for j, path := range r.Recipients {
			if !known[path] {
				return nil, &VerdictError{Code: CodeRecipient, Field: fmt.Sprintf("recipients[%d].recipients[%d]", i, j), Detail: "no such recipient"}
			}
			own[path] = i
		}
	}
	return own, nil
}

// settled drops what counts with accept only.
func settled(v filterproto.Verdict) filterproto.Verdict {
	if v.Disposition != filterproto.Accept {
		v.Edits, v.Quarantine = nil, nil
	}
	return v
}

func verdictKey(v filterproto.Verdict) string {
	b, _ := json.Marshal(settled(v))
	return string(b)
}

// recipients works out what the recipient edits of a group come to: who is
// added, and how many are pending afterwards. Removals and revivals go into
// p.updates.
func (p *planner) recipients(g group, main bool) (added []queue.Recipient, left int, err error) {
	all := p.it.Envelope.Recipients
	removed := make(map[int]bool)
	var adds []filterproto.Edit
	for _, e := range g.verdict.Edits {
		switch e.Op {
		case filterproto.RecipientDelete:
			adds = slices.DeleteFunc(adds, func(a filterproto.Edit) bool { return samePath(a.Value, e.Value) })
			for _, i := range g.index {
				if samePath(all[i].Path, e.Value) {
					removed[i] = true
				}
			}
		case filterproto.RecipientAdd:
			if i := slices.IndexFunc(g.index, func(i int) bool { return samePath(all[i].Path, e.Value) }); i >= 0 {
				delete(removed, g.index[i])
			} else if !slices.ContainsFunc(adds, func(a filterproto.Edit) bool { return samePath(a.Value, e.Value) }) {
				adds = append(adds, e)
			}
		}
	}
	left = len(g.index) - len(removed)
	for _, i := range g.index {
		if removed[i] {
			p.updates = append(p.updates, queue.RecipientUpdate{Index: i, Status: queue.Removed, Reply: "removed by filter " + p.filter})
		}
	}
	for _, e := range adds {
		r, ok, err := p.newcomer(e, main)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			added = append(added, r)
			left++
		} else {
			left += p.revive(e.Value, main)
		}
	}
	if main && left == 0 && !p.onlyPending() {
		left = 1 // somebody was served before: the queue manager settles the rest
	}
	return added, left, nil
}

// newcomer makes a recipient of a recipient_add; ok is false when the message has
// it already in a status that decides.
func (p *planner) newcomer(e filterproto.Edit, main bool) (queue.Recipient, bool, error) {
	path := e.Value
	for _, r := range p.it.Envelope.Recipients {
		if r.Status == queue.Pending || !samePath(r.Path, path) {
			continue
		}
		if main || r.Status != queue.Removed {
			return queue.Recipient{}, false, nil
		}
	}
	params, _ := rcptParams(e.Params) // checked before
	r := queue.Recipient{Path: path, Notify: queue.Notify(params.Notify), ORCPT: params.ORCPT}
	if p.e.route != nil {
		var err error
		if r.Transport, r.NextHop, err = p.e.route(path); err != nil {
			return r, false, fmt.Errorf("filter: route of added recipient: %w", err)
		}
	}
	return r, true, nil
}

// revive makes a removed recipient pending again and counts it.
func (p *planner) revive(path string, main bool) int {
	if !main {
		return 0
	}
	for i, r := range p.it.Envelope.Recipients {
		if r.Status == queue.Removed && samePath(r.Path, path) {
			p.updates = append(p.updates, queue.RecipientUpdate{Index: i, Status: queue.Pending})
			return 1
		}
	}
	return 0
}

func (p *planner) onlyPending() bool {
	for _, r := range p.it.Envelope.Recipients {
		if r.Status != queue.Pending && r.Status != queue.Removed {
			return false
		}
	}
	return true
}

// samePath compares mailboxes: the local-part exactly, the domain without regard
// to case (RFC 5321 §2.4).
func samePath(a, b string) bool {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	if i < 0 || j < 0 {
		return a == b
	}
	return a[:i] == b[:j] && strings.EqualFold(a[i:], b[j:])
}
