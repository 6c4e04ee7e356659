package engine

import (
	"bytes"
	"encoding/binary"
	"slices"

	"mtad/queue"
)

// keyList collects keys in one buffer.
type keyList struct {
	buf  []byte
	ends []int
}

func (l *keyList) reset()     { l.buf, l.ends = l.buf[:0], l.ends[:0] }
func (l *keyList) end()       { l.ends = append(l.ends, len(l.buf)) }
func (l *keyList) count() int { return len(l.ends) }

func (l *keyList) at(i int) []byte {
	start := 0
	if i > 0 {
		start = l.ends[i-1]
	}
	return l.buf[start:l.ends[i]]
}

func (l *keyList) has(k []byte) bool {
	for i := range l.count() {
		if bytes.Equal(l.at(i), k) {
			return true
		}
	}
	return false
}

// addIndex appends the index keys of a live item. Keys whose value is not empty
// are not here: see waiting.
func (l *keyList) addIndex(r *rec) {
	k := r.key()
	l.buf = appendKey(word(append(l.buf, kState, byte(r.State)), r.Stage), k)
	l.end()
	l.buf = appendKey(word(append(l.buf, kSender), fold(r.Envelope.ReversePath)), k)
	l.end()
	if len(r.Envelope.Recipients) > maxIndexed {
		for _, space := range [...]byte{kRcpt, kHop} {
			l.buf = appendKey(word(append(l.buf, space), manyRecipients), k)
			l.end()
		}
	}
	seen := 0
	var hops [4]string
	nh := hops[:0]
	for i := range r.Envelope.Recipients {
		p := &r.Envelope.Recipients[i]
		if seen < maxIndexed {
			seen++
			l.buf = appendKey(word(append(l.buf, kRcpt), fold(p.Path)), k)
			l.end()
		}
		if p.Status == queue.Pending && len(nh) < maxIndexed && !slices.Contains(nh, p.NextHop) {
			nh = append(nh, p.NextHop)
			l.buf = appendKey(word(append(l.buf, kHop), fold(p.NextHop)), k)
			l.end()
		}
	}
	if p, ok := r.place(); ok {
		l.buf = p.append(l.buf)
		l.end()
	} else {
		l.buf = itemKey(l.buf, kHeld, k)
		l.end()
		if !r.Hold.Until.IsZero() {
			l.buf = timedKey(l.buf, kUntil, r.Hold.Until, k)
			l.end()
		}
	}
}

// writeIndex puts the difference between the index entries of old and new into
// the batch; either may be nil.
func (b *build) writeIndex(old, new *rec) {
	was, is := &b.was, &b.is
	was.reset()
	is.reset()
	if old != nil {
		was.addIndex(old)
	}
	if new != nil {
		is.addIndex(new)
	}
	for i := range was.count() {
		if k := was.at(i); !is.has(k) {
			b.out.DeleteIndex(k)
		}
	}
	for i := range is.count() {
		if k := is.at(i); !was.has(k) {
			b.out.PutIndex(k, nil)
		}
	}
	b.writeWaiting(old, new)
}

// writeWaiting keeps the entries of items that are not due yet.
func (b *build) writeWaiting(old, new *rec) {
	if old != nil {
		if p, ok := old.place(); ok && p.slot.due != 0 {
			b.key = waitingKey(b.key[:0], p.slot)
			b.out.DeleteIndex(b.key)
		}
	}
	if new != nil {
		if p, ok := new.place(); ok && p.slot.due != 0 {
			b.key = waitingKey(b.key[:0], p.slot)
			b.val = p.append(b.val[:0])
			b.out.PutIndex(b.key, b.val)
		}
	}
}

func waitingKey(dst []byte, s slot) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, kWaiting), uint64(s.due))
	return appendKey(dst, s.key)
}
