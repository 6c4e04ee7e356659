package engine

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"mtad/queue"
)

// Counters say how many items stand where, by state, next hop and age. Each item
// counts in a slot of 5 minutes and in one of 40; slots of 5 minutes are kept
// for the young only (keepFine), so their number does not grow with the age of
// the queue.
const (
	fineSlot   = 5 * time.Minute
	coarseSlot = 40 * time.Minute
	keepFine   = 160 * time.Minute
)

func slotOf(t time.Time, width time.Duration) uint64 {
	return uint64(max(t.UnixNano(), 0)) / uint64(width)
}

// counters caches counter values. They belong to the commit loop.
type counters struct{ values map[string]int64 }

const maxCounters = 20000

func (c *counters) reset() { c.values = make(map[string]int64) }

func fineKey(dst []byte, slot uint64, st queue.State, hop string) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, kFine), slot)
	return word(append(dst, byte(st)), hop)
}

func coarseKey(dst []byte, slot uint64, st queue.State, hop string) []byte {
	dst = word(append(dst, kCoarse, byte(st)), hop)
	return binary.BigEndian.AppendUint64(dst, slot)
}

// count adds n to the counters that r belongs to.
func (b *build) count(r *rec, n int64) {
	if r == nil {
		return
	}
	fine := slotOf(r.Created, fineSlot) >= slotOf(b.now.Add(-keepFine), fineSlot)
	add := func(hop string) {
		if fine {
			b.key = fineKey(b.key[:0], slotOf(r.Created, fineSlot), r.State, hop)
			b.counts[string(b.key)] += n
		}
		b.key = coarseKey(b.key[:0], slotOf(r.Created, coarseSlot), r.State, hop)
		b.counts[string(b.key)] += n
	}
	if r.State != queue.Unfiltered {
		add(fold(r.hop()))
		return
	}
	for _, h := range r.hops() {
		add(h)
	}
}

// hops are the distinct next hops of r's pending recipients, folded; at least
// one, which may be "".
func (r *rec) hops() []string {
	var hs []string
	var seen map[string]bool
	for i := range r.Envelope.Recipients {
		p := &r.Envelope.Recipients[i]
		if p.Status != queue.Pending {
			continue
		}
		h := fold(p.NextHop)
		if len(hs) < 16 && slices.Contains(hs, h) || seen[h] {
			continue
		}
		hs = append(hs, h)
		if len(hs) >= 16 {
			if seen == nil {
				seen = make(map[string]bool)
				for _, x := range hs {
					seen[x] = true
				}
			}
			seen[h] = true
		}
	}
	if len(hs) == 0 {
		hs = append(hs, "")
	}
	return hs
}

// writeCounts puts the new values into the batch.
func (b *build) writeCounts() {
	c := &b.e.counters
	if len(c.values) > maxCounters {
		c.reset()
	}
	for k, n := range b.counts {
		if n == 0 {
			continue
		}
		v, ok := c.values[k]
		if !ok {
			v = b.e.readCounter(k)
		}
		v += n
		c.values[k] = v
		if v == 0 {
			b.out.DeleteIndex([]byte(k))
		} else {
			b.val = binary.AppendVarint(b.val[:0], v)
			b.out.PutIndex([]byte(k), b.val)
		}
	}
}

func (e *Engine) readCounter(k string) int64 {
	b, err := e.log.Get([]byte(k), nil)
	if err != nil {
		if !errors.Is(err, ErrNoKey) {
			e.slog.Warn("counter cannot be read", "error", err)
		}
		return 0
	}
	v, _ := binary.Varint(b)
	return v
}
