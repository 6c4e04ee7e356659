package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"runtime"

	"github.com/xdg-go/scram"
)

// source is where Local finds the passwords of logins. Its methods are safe for
// concurrent use.
type source interface {
	// entry is what is known of a login as the client wrote it. One that does not
	// exist has an entry, too, and costs what others do. Every error is transient.
	entry(ctx context.Context, login string) (*entry, error)
	// SCRAM says whether every login is known to have keys.
	SCRAM() bool
}

// entry is one login of a source. It is never changed.
type entry struct {
	name   string // in the source's spelling
	exists bool
	own    *secret // nil, or the zero secret: nothing opens it
	like   *secret // what stands in for it then
	vault  *vault
}

func (e *entry) opens() bool { return e.own != nil && (e.own.digest != nil || e.own.keys != nil) }

// verify compares a password. The error is ErrRefused, or that of ctx, which may
// end while others are hashed.
func (e *entry) verify(ctx context.Context, password string) error {
	s := e.like
	if e.opens() {
		s = e.own
	}
	select {
	case e.vault.hashing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	ok := s.matches(password)
	<-e.vault.hashing
	if !ok || !e.opens() {
		return ErrRefused
	}
	return nil
}

// keys are the SCRAM keys. A login that has none gets a salt as others have,
// always the same as long as mtad runs, and keys that nothing fits.
func (e *entry) keys() scram.StoredCredentials {
	if e.own != nil && e.own.keys != nil {
		return *e.own.keys
	}
	c := scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Iters: 4096, Salt: string(e.vault.mac("salt", e.name)[:16])},
		StoredKey:  e.vault.mac("stored", e.name), ServerKey: e.vault.mac("server", e.name),
	}
	if like := e.like.keys; like != nil {
		c.Iters = like.Iters
		if n := len(like.Salt); n <= sha256.Size {
			c.Salt = string(e.vault.mac("salt", e.name)[:n])
		}
	}
	return c
}

// vault is what every source has beside its secrets.
type vault struct {
	key     [32]byte      // makes made-up salts and stand-ins that no client can foretell
	hashing chan struct{} // one token for each password that is hashed
}

// newVault lets so many passwords be hashed at a time; 0 stands for half the
// number of processors, so that guessing leaves the other half to mail.
func newVault(hashes int) vault {
	if hashes <= 0 {
		hashes = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	v := vault{hashing: make(chan struct{}, hashes)}
	_, _ = rand.Read(v.key[:]) // never fails
	return v
}

func (v *vault) mac(use, name string) []byte {
	h := hmac.New(sha256.New, v.key[:])
	_, _ = h.Write([]byte(use + "\x00" + name))
	return h.Sum(nil)
}
