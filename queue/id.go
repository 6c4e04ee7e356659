package queue

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ID names an item for its whole life: 13 characters of Crockford base32 over
// 64 bits (see IDOf), and for parts of a split message a dot and a decimal part
// number: "01HF8ZQ4Z8M2T" and "01HF8ZQ4Z8M2T.2". The zero ID is invalid.
// The text form sorts by the time of acceptance.
type ID string

// ErrInvalidID is returned by ParseID.
var ErrInvalidID = errors.New("queue: invalid queue ID")

const (
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	idLen     = 13
	// MaxPart is the highest part number; a message has at most MaxPart+1 parts.
	MaxPart = 1<<20 - 1

	idNodeBits = 8
	idSeqBits  = 14
)

// idEpoch is where the ID's millisecond count starts: 2020-01-01 UTC.
const idEpoch = 1577836800000

// IDOf builds the ID of a message from its parts: 42 bits of milliseconds since
// 2020-01-01 UTC, 8 bits of node, 14 bits of sequence within the millisecond.
func IDOf(t time.Time, node uint8, seq uint16) ID {
	ms := uint64(t.UnixMilli() - idEpoch)
	return idFromBits(ms<<(idNodeBits+idSeqBits)|uint64(node)<<idSeqBits|uint64(seq)&(1<<idSeqBits-1), 0)
}

// IDFromBits is the inverse of ID.Bits.
func IDFromBits(message uint64, part uint32) ID { return idFromBits(message, part) }

func idFromBits(v uint64, part uint32) ID {
	var b [idLen]byte
	for i := idLen - 1; i >= 0; i-- {
		b[i] = crockford[v&31]
		v >>= 5
	}
	if part == 0 {
		return ID(b[:])
	}
	return ID(string(b[:]) + "." + strconv.FormatUint(uint64(part), 10))
}

// ParseID reads the text form. Lower case is accepted, as are I and L for 1
// and O for 0 (Crockford); what it returns is canonical.
func ParseID(s string) (ID, error) {
	base, suffix, split := strings.Cut(s, ".")
	if len(base) != idLen || len(suffix) > 7 {
		return "", ErrInvalidID
	}
	var v uint64
	for i := range len(base) {
		d := crockfordValue(base[i])
		if d < 0 || i == 0 && d > 15 {
			return "", ErrInvalidID
		}
		v = v<<5 | uint64(d)
	}
	var part uint64
	if split {
		var err error
		part, err = strconv.ParseUint(suffix, 10, 32)
		if err != nil || part == 0 || part > MaxPart || suffix[0] == '0' {
			return "", ErrInvalidID
		}
	}
	return idFromBits(v, uint32(part)), nil
}

func crockfordValue(c byte) int {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		c = '0'
	case 'I', 'L':
		c = '1'
	}
	return strings.IndexByte(crockford, c)
}

// Bits returns the 64 bits of the message's ID and the part number (0 for the
// message itself). It is for stores that keep IDs as numbers, and panics on an
// ID that did not come from ParseID, IDOf or a Queue.
func (id ID) Bits() (message uint64, part uint32) {
	base, suffix, _ := strings.Cut(string(id), ".")
	if len(base) != idLen {
		panic("queue: Bits of invalid ID " + strconv.Quote(string(id)))
	}
	for i := range len(base) {
		message = message<<5 | uint64(crockfordValue(base[i]))
	}
	if suffix != "" {
		p, _ := strconv.ParseUint(suffix, 10, 32)
		part = uint32(p)
	}
	return message, part
}

// Message is the queue ID without the part: what the 250 carried, what every
// log line, DSN and trace begins with.
func (id ID) Message() ID {
	base, _, _ := strings.Cut(string(id), ".")
	return ID(base)
}

// Part is the part number, 0 for the message itself.
func (id ID) Part() uint32 {
	_, part := id.Bits()
	return part
}

// Time is the moment of acceptance that the ID carries, to the millisecond.
func (id ID) Time() time.Time {
	v, _ := id.Bits()
	return time.UnixMilli(int64(v>>(idNodeBits+idSeqBits)) + idEpoch).UTC()
}
