package engine

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"time"

	"mtad/queue"
)

// idSource makes message IDs that never go back, whatever the clock does.
type idSource struct {
	mu   sync.Mutex
	node uint8
	last time.Time
	seq  uint16
}

const maxSeq = 1<<14 - 1

// next is an ID of now, or of the millisecond after the last one when the clock
// stands or went back.
func (s *idSource) next(now time.Time) queue.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := now.Truncate(time.Millisecond)
	switch {
	case ms.After(s.last):
		s.last, s.seq = ms, 0
	case s.seq < maxSeq:
		s.seq++
	default:
		s.last, s.seq = s.last.Add(time.Millisecond), 0
	}
	return queue.IDOf(s.last, s.node, s.seq)
}

// bump makes every later ID greater than newest.
func (s *idSource) bump(newest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest = newest.Add(time.Millisecond); newest.After(s.last) {
		s.last, s.seq = newest, 0
	}
}

// newToken makes a token that cannot be guessed. It carries the item, so that a
// change that took effect before a crash can be recognised when it is repeated.
func newToken(k key) queue.Token {
	return queue.Token(rand.Text() + "." + hex.EncodeToString(appendKey(nil, k)))
}

// tokenKey is the item that a token was made for; it proves nothing.
func tokenKey(t queue.Token) (key, bool) {
	_, s, ok := strings.Cut(string(t), ".")
	b, err := hex.DecodeString(s)
	return tailKey(b), ok && err == nil && len(b) == 12
}

// newBlobID draws a number that the message does not use.
func newBlobID(used []blob) queue.BlobID {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:])
		id := queue.BlobID(binary.BigEndian.Uint32(b[:]))
		free := id != 0
		for _, u := range used {
			free = free && u.id != id
		}
		if free {
			return id
		}
	}
}

func revOf(n uint64) queue.Rev { return queue.Rev(strconv.FormatUint(n, 36)) }
