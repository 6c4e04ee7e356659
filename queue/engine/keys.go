package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"mtad/queue"
)

// The key spaces, by first octet. Truth: records, groups, dedupe keys, history,
// events, jobs, damaged records, totals. Index: the others.
const (
	kRecord  = 'r' // message, part: a live item
	kGroup   = 'g' // message: live parts and next part number of a split message
	kDedupe  = 'd' // dedupe key: the message it made
	kHistory = 'f' // message, part: a finished item
	kByEnd   = 'h' // time, message, part: history by the time it ended
	kEvents  = 'e' // sequence: events of one batch
	kJob     = 'j' // job
	kDamaged = 'x' // message, part: a record that cannot be read
	kTotals  = 't' // the totals
	kOpen    = 'u' // message, blob: chunks are being written that nothing names
	kReady   = 'q' // lane, next hop, priority, due, item: what can be claimed
	kWaiting = 'w' // due, item: what is not due yet; the value is its kReady key
	kUntil   = 'v' // time, item: holds that end by themselves
	kState   = 's' // state, stage, item
	kHeld    = 'p' // item: held
	kSender  = 'a' // reverse-path, item
	kRcpt    = 'b' // path, item
	kHop     = 'n' // next hop, item
	kFine    = 'k' // slot of 5 minutes, state, next hop: count
	kCoarse  = 'l' // state, next hop, slot of 40 minutes: count
)

// maxWord is how much of a string goes into a key as it is.
const maxWord = 200

// word is a string as part of a key: with its length in front, long ones cut and
// completed by a hash.
func word(dst []byte, s string) []byte {
	s = shorten(s)
	dst = append(dst, byte(len(s)))
	return append(dst, s...)
}

// shorten is the form of s in keys. Shortening twice changes nothing.
func shorten(s string) string {
	if len(s) <= maxWord || len(s) == maxWord+sha256.Size {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:maxWord] + string(sum[:])
}

func cutWord(b []byte) (string, []byte, bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	return string(b[1 : 1+b[0]]), b[1+b[0]:], true
}

func appendKey(dst []byte, k key) []byte {
	dst = binary.BigEndian.AppendUint64(dst, k.msg)
	return binary.BigEndian.AppendUint32(dst, k.part)
}

// tailKey is the item that a key ends with.
func tailKey(b []byte) key {
	if len(b) < 12 {
		return key{}
	}
	b = b[len(b)-12:]
	return key{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}
}

func itemKey(dst []byte, space byte, k key) []byte { return appendKey(append(dst, space), k) }

func messageKey(dst []byte, space byte, msg uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, space), msg)
}

func timedKey(dst []byte, space byte, t time.Time, k key) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, space), uint64(nanos(t)))
	return appendKey(dst, k)
}

func seqKey(dst []byte, space byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, space), seq)
}

// after is the smallest key behind all that begin with prefix.
func after(prefix []byte) []byte {
	b := slices.Clone(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return bytes.Repeat([]byte{0xff}, len(prefix)+1)
}

// laneID names what a Claim asks for: a state, and in Unfiltered a stage.
type laneID struct {
	state queue.State
	stage string
}

func (l laneID) prefix(dst []byte) []byte { return word(append(dst, kReady, byte(l.state)), l.stage) }

// slot is an item's place in its next hop's queue: the order of claims.
type slot struct {
	rank byte // 0 is the highest priority
	due  int64
	key  key
}

func (s slot) less(o slot) bool {
	switch {
	case s.rank != o.rank:
		return s.rank < o.rank
	case s.due != o.due:
		return s.due < o.due
	}
	return s.key.less(o.key)
}

func rankOf(p int8) byte { return byte(127 - int(p)) }

func (s slot) append(dst []byte) []byte {
	dst = append(dst, s.rank)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.due))
	return appendKey(dst, s.key)
}

const slotLen = 1 + 8 + 12

func cutSlot(b []byte) (slot, bool) {
	if len(b) != slotLen {
		return slot{}, false
	}
	return slot{rank: b[0], due: int64(binary.BigEndian.Uint64(b[1:])), key: tailKey(b)}, true
}

// place is where a claimable item stands.
type place struct {
	lane laneID
	hop  string
	slot slot
}

func (p place) append(dst []byte) []byte { return p.slot.append(word(p.lane.prefix(dst), p.hop)) }

func parsePlace(b []byte) (p place, ok bool) {
	if len(b) < 2 || b[0] != kReady {
		return p, false
	}
	p.lane.state = queue.State(b[1])
	var rest []byte
	if p.lane.stage, rest, ok = cutWord(b[2:]); !ok {
		return p, false
	}
	if p.hop, rest, ok = cutWord(rest); !ok {
		return p, false
	}
	p.slot, ok = cutSlot(rest)
	return p, ok
}

// hop is the next hop that an item is scheduled by: that of its first pending
// recipient. An item with nothing pending waits for a report only, and for
// nobody's queue.
func (r *rec) hop() string {
	for i := range r.Envelope.Recipients {
		if p := &r.Envelope.Recipients[i]; p.Status == queue.Pending {
			return p.NextHop
		}
	}
	return ""
}

// place is where r is claimed from; false while it is held.
func (r *rec) place() (place, bool) {
	if r.held() || r.Outcome != nil {
		return place{}, false
	}
	hop := ""
	if r.State != queue.Unfiltered { // a filter serves all of them in one line
		hop = shorten(r.hop())
	}
	return place{
		lane: laneID{r.State, r.Stage},
		hop:  hop,
		slot: slot{rank: rankOf(r.Priority), due: nanos(r.NextAt), key: r.key()},
	}, true
}

// fold makes paths that differ in case only the same word.
func fold(s string) string { return strings.ToLower(s) }

// maxIndexed is how many recipients of an item are found by index. Items with
// more are found under manyRecipients as well, which is no path.
const (
	maxIndexed     = 100
	manyRecipients = "\x00many"
)
