package auth

import (
	"crypto/rand"
	"encoding/binary"
	"sync"

	"github.com/xdg-go/scram"
)

// slots is how many secrets a source that cannot list its logins remembers as
// stand-ins for those it does not have.
const slots = 64

// standIns are secrets of logins that were asked for, so that a login that does
// not exist costs what one of them does, the same name always the same one. A
// slot belongs to the first login that came to it. Until the first login is
// asked for, and where nobody has SCRAM keys, a made-up secret stands in, of the
// cost that Hash gives to new ones.
type standIns struct {
	mu   sync.Mutex
	made *secret
	all  [slots]standIn // with a password hash or keys
	keys [slots]standIn // with keys
}

type standIn struct {
	name   string
	secret *secret
}

func (s *standIns) init() error {
	text, err := Hash("argon2id", rand.Text())
	if err != nil {
		return err
	}
	s.made = &secret{keys: &scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Iters: newIterations, Salt: string(make([]byte, 16))},
	}}
	s.made.digest, err = parseHash(text)
	return err
}

// slot is the place of a name.
func (v *vault) slot(name string) int {
	return int(binary.BigEndian.Uint64(v.mac("stand-in", name)) % slots)
}

// add remembers a secret of a login.
func (s *standIns) add(slot int, name string, own *secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range []struct {
		at   *standIn
		take bool
	}{{&s.all[slot], true}, {&s.keys[slot], own.keys != nil}} {
		if in.take && (in.at.secret == nil || in.at.name == name) {
			*in.at = standIn{name, own}
		}
	}
}

// find is what stands in at a place.
func (s *standIns) find(slot int) *secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	like, keys := next(&s.all, slot), next(&s.keys, slot)
	switch {
	case like == nil:
		return s.made
	case keys == nil:
		keys = s.made
	}
	if like.digest == nil {
		return &secret{keys: like.keys}
	}
	return &secret{digest: like.digest, keys: keys.keys}
}

// next is the first secret from a place on.
func next(all *[slots]standIn, from int) *secret {
	for i := range slots {
		if s := all[(from+i)%slots].secret; s != nil {
			return s
		}
	}
	return nil
}
