package engine

import (
	"bytes"
	"encoding/binary"
	"errors"

	"mtad/queue"
)

// damaged sets a record aside that cannot be read: it is kept under its ID, is
// counted, and is in nobody's way. raw is what was read.
func (e *Engine) damaged(k key, raw []byte) {
	raw = bytes.Clone(raw)
	e.work.Go(func() {
		err := e.do(e.ctx, false, func(o *op) error {
			now, err := e.log.Get(itemKey(nil, kRecord, k), nil)
			if err != nil || !bytes.Equal(now, raw) {
				return nil // somebody was faster
			}
			o.deletes = append(o.deletes, itemKey(nil, kRecord, k))
			o.puts = append(o.puts, put{itemKey(nil, kDamaged, k), raw})
			o.sync = true
			e.tot.damaged++
			e.forget(o, k, raw)
			return nil
		})
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			e.slog.Error("damaged record not set aside", "id", k.id(), "error", err)
		}
	})
}

// forget takes a damaged record out of the counts and the index as far as it can
// still be understood; entries that stay lead nowhere and are passed over.
func (e *Engine) forget(o *op, k key, raw []byte) {
	if len(raw) < recordHeader {
		return
	}
	r, err := decodeRecord(seal(bytes.Clone(raw)))
	if err != nil || r.key() != k || r.Outcome != nil || int(r.State) >= len(e.tot.states) {
		return
	}
	e.tot.add(r, -1)
	o.b.writeIndex(r, nil)
	o.b.count(r, -1)
}

// reportCorrupt holds an item whose content is damaged.
func (e *Engine) reportCorrupt(k key) {
	e.work.Go(func() {
		err := e.do(e.ctx, false, func(o *op) error {
			old, err := o.load(k)
			if err != nil || old.Hold != nil {
				return err
			}
			r := old.draft()
			r.rev = e.revs.Add(1)
			r.Hold = &queue.Hold{By: "mtad", Reason: "corrupt", Since: o.b.now}
			addStep(r, queue.Step{At: o.b.now, Kind: queue.EventHeld, Text: "corrupt"})
			o.tell(r, queue.Event{Kind: queue.EventHeld, Text: "corrupt", Hold: r.Hold})
			o.set(old, r)
			o.sync = true
			if l := e.leases.byKey[k]; l != nil {
				l.was, l.rev, l.r = l.rev, r.rev, r
			}
			return nil
		})
		if err != nil {
			e.slog.Error("damaged content", "id", k.id(), "error", err)
		}
	})
}

// recount makes the totals anew from the records. It is slow, and needed only
// when the totals themselves are damaged. mu is held.
func (e *Engine) recount() error {
	e.tot = totals{stages: map[string]int64{}}
	each := func(space byte, f func(k key, v []byte)) error {
		it, err := e.log.Range([]byte{space}, []byte{space + 1})
		if err != nil {
			return err
		}
		defer it.Close()
		for it.Next() {
			if space == kEvents && len(it.Key()) == 9 {
				e.tot.seq = binary.BigEndian.Uint64(it.Key()[1:])
				continue
			}
			f(tailKey(it.Key()), it.Value())
		}
		return it.Err()
	}
	err := each(kRecord, func(k key, v []byte) {
		e.tot.newest = max(e.tot.newest, k.msg)
		if r, err := decodeRecord(v); err == nil && int(r.State) < len(e.tot.states) {
			e.tot.add(r, 1)
		}
	})
	if err == nil {
		err = each(kHistory, func(k key, _ []byte) { e.tot.history++; e.tot.newest = max(e.tot.newest, k.msg) })
	}
	if err == nil {
		err = each(kDamaged, func(key, []byte) { e.tot.damaged++ })
	}
	if err == nil {
		err = each(kEvents, func(k key, _ []byte) {})
	}
	return err
}
