package httpapi

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"mtad/filterproto"
	"mtad/queue"
)

// seal makes claim tokens: the queue's token and the filter's name under a MAC.
// It gives each token its scope without a table of them, and a forged token is
// refused before the queue is asked.
type seal struct{ key []byte }

const macSize = 16

// newSeal uses key, or one of its own for this process when there is none: leases
// do not outlive a process either.
func newSeal(key []byte) (seal, error) {
	if len(key) == 0 {
		key = make([]byte, 32)
		rand.Read(key)
	}
	if len(key) < 32 {
		return seal{}, errors.New("httpapi: token key shorter than 32 octets")
	}
	return seal{key: key}, nil
}

func (s seal) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

// wrap is the claim token that callers see.
func (s seal) wrap(filter string, t queue.Token) string {
	b := make([]byte, macSize, macSize+1+len(filter)+len(t))
	b = append(b, byte(len(filter)))
	b = append(b, filter...)
	b = append(b, t...)
	copy(b, s.mac(b[macSize:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

// unwrap is the inverse. Every fault is the same lease_lost, so that nothing is
// told about tokens of others.
func (s seal) unwrap(token string, who *caller) (filter string, t queue.Token, err error) {
	lost := queue.ErrLeaseLost
	if len(token) > filterproto.MaxToken {
		return "", "", lost
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < macSize+1 || !hmac.Equal(b[:macSize], s.mac(b[macSize:])) {
		return "", "", lost
	}
	n := int(b[macSize])
	b = b[macSize+1:]
	if n > len(b) {
		return "", "", lost
	}
	filter, t = string(b[:n]), queue.Token(b[n:])
	if !who.mayFilter(filter) {
		return "", "", lost
	}
	return filter, t, nil
}
