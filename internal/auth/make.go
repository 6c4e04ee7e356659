package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/xdg-go/scram"
)

// Schemes are the forms that Hash makes, the default first.
func Schemes() []string {
	return []string{"argon2id", "scram-sha-256", "bcrypt", "sha512-crypt"}
}

// What new hashes cost: about 50 ms of one processor core each.
const (
	newArgonMemory = 19 << 10 // KiB
	newArgonTime   = 2
	newIterations  = 100_000
	newBcryptCost  = 10
	newSHARounds   = 100_000
)

// Hash makes the second field of a line of a password file.
func Hash(scheme, password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("auth: the password is empty")
	case len(password) > MaxPassword:
		return "", fmt.Errorf("auth: the password has more than %d octets", MaxPassword)
	case strings.IndexByte(password, 0) >= 0:
		return "", errors.New("auth: the password has a NUL octet")
	case scheme == "scram-sha-256":
		return makeKeys(password)
	}
	h, err := hasher(scheme)
	if err != nil {
		return "", err
	}
	d, err := h.Hash(password)
	if err != nil {
		return "", fmt.Errorf("auth: %s: the password cannot be hashed", scheme)
	}
	return d.Encode(), nil
}

func hasher(scheme string) (algorithm.Hash, error) {
	switch scheme {
	case "argon2id":
		return argon2.New(argon2.WithVariantID(), argon2.WithM(newArgonMemory), argon2.WithT(newArgonTime), argon2.WithP(1))
	case "bcrypt":
		return bcrypt.New(bcrypt.WithCost(newBcryptCost))
	case "sha512-crypt":
		return shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(newSHARounds))
	}
	return nil, fmt.Errorf("auth: no scheme %q: one of %s", scheme, strings.Join(Schemes(), ", "))
}

func makeKeys(password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	k, err := derive(password, scram.KeyFactors{Salt: string(salt), Iters: newIterations})
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("{SCRAM-SHA-256}%d,%s,%s,%s", newIterations, b(salt), b(k.StoredKey), b(k.ServerKey)), nil
}
