package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mtad/queue"
)

// keepSnapshots is how many listings a Model can go on with.
const keepSnapshots = 64

// Get reads an item that is committed and not finished.
func (m *Model) Get(ctx context.Context, id queue.ID) (queue.Item, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Item{}, err
	}
	it := m.state.items[id]
	if it == nil || it.msg.staged {
		return queue.Item{}, queue.ErrNotFound
	}
	return it.view(), nil
}

// History reads every part of a message.
func (m *Model) History(ctx context.Context, id queue.ID) ([]queue.Item, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return nil, err
	}
	var parts []*item
	for _, from := range []map[queue.ID]*item{m.state.items, m.state.finished} {
		for _, it := range from {
			if it.msg.id == id.Message() && !it.msg.staged {
				parts = append(parts, it)
			}
		}
	}
	if len(parts) == 0 {
		return nil, queue.ErrNotFound
	}
	slices.SortFunc(parts, func(a, b *item) int { return compareID(a.ID, b.ID) })
	var out []queue.Item
	for _, it := range parts {
		out = append(out, it.view())
	}
	return out, nil
}

// matching views of what is committed and not finished, oldest first.
func (m *Model) matching(f queue.Filter) []queue.Item {
	now := m.clock.Now()
	var out []queue.Item
	for _, it := range m.state.live(func(it *item) bool { return !it.msg.staged }) {
		if v := it.view(); f.Match(&v, now) {
			out = append(out, v)
		}
	}
	return out
}

// List returns one page of a snapshot; the cursor is "snapshot.offset".
func (m *Model) List(ctx context.Context, f queue.Filter, after queue.Cursor, n int) (queue.Page, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Page{}, err
	}
	if n <= 0 {
		n = 100
	}
	n = min(n, queue.MaxPage)
	name, offset := strconv.Itoa(m.snapshotN), 0
	if after == "" {
		m.keep(m.matching(f))
	} else if name, offset, err = parseCursor(after); err != nil {
		return queue.Page{}, err
	}
	all, ok := m.snapshots[name]
	if !ok || offset > len(all) {
		return queue.Page{}, queue.ErrExpired
	}
	end := min(offset+n, len(all))
	page := queue.Page{Items: listed(all[offset:end]), AsOf: now}
	if end < len(all) {
		page.Next = queue.Cursor(fmt.Sprintf("%s.%d", name, end))
	}
	return page, nil
}

// keep remembers a snapshot and drops the oldest.
func (m *Model) keep(items []queue.Item) {
	m.snapshots[strconv.Itoa(m.snapshotN)] = items
	delete(m.snapshots, strconv.Itoa(m.snapshotN-keepSnapshots))
	m.snapshotN++
}

func parseCursor(c queue.Cursor) (snapshot string, offset int, err error) {
	snapshot, at, ok := strings.Cut(string(c), ".")
	offset, err = strconv.Atoi(at)
	if !ok || err != nil || offset < 0 {
		return "", 0, fmt.Errorf("%w: cursor", queue.ErrInvalid)
	}
	return snapshot, offset, nil
}

func listed(items []queue.Item) []queue.Item {
	out := cloneItems(items)
	for i := range out {
		r := &out[i].Envelope.Recipients
		*r = (*r)[:min(len(*r), queue.MaxListRecipients)]
	}
	return out
}

// Count counts what List would return.
func (m *Model) Count(ctx context.Context, f queue.Filter) (queue.Tally, error) {
	_, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.Tally{}, err
	}
	var t queue.Tally
	for _, it := range m.matching(f) {
		t.Messages++
		t.Recipients += int64(it.RecipientCount)
		t.Bytes += it.Size()
	}
	return t, nil
}
