package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mtad/queue"
)

// committed reads a live item, nothing that is not durable.
func (e *Engine) committed(k key) (*rec, error) {
	e.vis.RLock()
	defer e.vis.RUnlock()
	e.mu.Lock()
	if err := e.usable(); err != nil {
		e.mu.Unlock()
		return nil, err
	}
	r := e.fresh.get(k)
	if r != nil && !e.pending[k] {
		e.mu.Unlock()
		return r, nil
	}
	e.mu.Unlock()
	return e.read(e.log, k)
}

// anywhere finds an item that is live or finished. mu is held.
func (e *Engine) anywhere(k key) (*rec, error) {
	r, err := e.fetch(k)
	if errors.Is(err, queue.ErrNotFound) {
		return e.readHistory(e.log, k)
	}
	return r, err
}

// readHistory reads a finished item.
func (e *Engine) readHistory(from Reader, k key) (*rec, error) {
	b, err := from.Get(itemKey(nil, kHistory, k), nil)
	if errors.Is(err, ErrNoKey) {
		return nil, queue.ErrNotFound
	}
	if err != nil {
		return nil, unavailable("read history", err)
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("engine: history of %s: %w: %w", k.id(), queue.ErrCorrupt, err)
	}
	return r, nil
}

// Get implements queue.Queue.
func (e *Engine) Get(_ context.Context, id queue.ID) (queue.Item, error) {
	k, ok := parseKey(id)
	if !ok {
		return queue.Item{}, queue.ErrNotFound
	}
	r, err := e.committed(k)
	if err != nil {
		return queue.Item{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.show(r, e.leases.byKey[k]), nil
}

// History implements queue.Queue.
func (e *Engine) History(_ context.Context, message queue.ID) ([]queue.Item, error) {
	k, ok := parseKey(message)
	if !ok {
		return nil, queue.ErrNotFound
	}
	snap, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var rs []*rec
	for _, space := range [...]byte{kRecord, kHistory} {
		parts, err := e.readMessage(snap, space, k.msg)
		if err != nil {
			return nil, err
		}
		rs = append(rs, parts...)
	}
	if len(rs) == 0 {
		return nil, queue.ErrNotFound
	}
	slices.SortFunc(rs, func(a, b *rec) int { return int(a.key().part) - int(b.key().part) })
	e.mu.Lock()
	defer e.mu.Unlock()
	items := make([]queue.Item, 0, len(rs))
	for _, r := range rs {
		var l *lease
		if r.Outcome == nil {
			l = e.leases.byKey[r.key()]
		}
		items = append(items, e.show(r, l))
	}
	return items, nil
}

// readMessage reads the parts of a message that are in one space.
func (e *Engine) readMessage(from Reader, space byte, msg uint64) ([]*rec, error) {
	prefix := messageKey(nil, space, msg)
	it, err := from.Range(prefix, after(prefix))
	if err != nil {
		return nil, unavailable("history", err)
	}
	defer it.Close()
	var rs []*rec
	for it.Next() {
		r, err := decodeRecord(it.Value())
		if err != nil {
			e.slog.Warn("record cannot be read", "id", tailKey(it.Key()).id(), "error", err)
			continue
		}
		rs = append(rs, r)
	}
	return rs, unavailable("history", it.Err())
}

// snapshot is a view of what is durable.
func (e *Engine) snapshot() (Snapshot, error) {
	e.mu.Lock()
	err := e.usable()
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	e.vis.RLock()
	defer e.vis.RUnlock()
	s, err := e.log.Snapshot()
	return s, unavailable("snapshot", err)
}
