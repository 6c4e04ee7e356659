package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/xdg-go/scram"
)

// Bounds of what an entry of a password file may ask for: a typing error must
// not take the machine's memory or its processor for good.
const (
	maxArgonMemory = 1 << 20 // KiB
	maxArgonTime   = 100
	maxArgonLanes  = 64
	maxBcryptCost  = 16
	maxSHARounds   = 5_000_000
	maxIterations  = 10_000_000
	maxSalt        = 1024
)

// MaxPassword is the longest password in octets that is looked at.
const MaxPassword = 1024

// secret is what is known of a login's password. The zero secret matches
// nothing.
type secret struct {
	digest algorithm.Digest         // nil: there is none
	keys   *scram.StoredCredentials // nil: there are none
	shut   bool                     // nobody logs in, whatever else the file has of the login
}

// matches compares in constant time. Where there are both, the hash decides.
func (s *secret) matches(password string) bool {
	if len(password) > MaxPassword {
		return false
	}
	if s.digest != nil {
		ok, err := s.digest.MatchAdvanced(password)
		return err == nil && ok
	}
	if s.keys != nil {
		derived, err := derive(password, s.keys.KeyFactors)
		return err == nil && subtle.ConstantTimeCompare(derived.StoredKey, s.keys.StoredKey) == 1
	}
	return false
}

func derive(password string, f scram.KeyFactors) (scram.StoredCredentials, error) {
	c, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		return scram.StoredCredentials{}, errors.New("the password has characters that SASLprep forbids")
	}
	return c.GetStoredCredentialsWithError(f)
}

// add reads one hash and adds it: of each sort there is one at most.
func (s *secret) add(text string) error {
	if rest, ok := cutScheme(text, "SCRAM-SHA-256"); ok {
		keys, err := parseKeys(rest)
		if err == nil && s.keys != nil {
			err = errors.New("a second entry of SCRAM keys")
		}
		s.keys = keys
		return err
	}
	digest, err := parseHash(text)
	if err == nil && s.digest != nil {
		err = errors.New("a second password hash")
	}
	s.digest = digest
	return err
}

// parseHash reads a hash in the form of crypt(5), with or without Dovecot's
// "{SCHEME}" before it.
func parseHash(text string) (algorithm.Digest, error) {
	for _, scheme := range []string{"ARGON2ID", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "CRYPT"} {
		if rest, ok := cutScheme(text, scheme); ok {
			text = rest
			break
		}
	}
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		return parseSHA(text)
	}
	return nil, errors.New("no hash that is known here: argon2id, bcrypt, SHA-256-crypt, SHA-512-crypt or {SCRAM-SHA-256}")
}

func cutScheme(text, scheme string) (string, bool) {
	n := len(scheme) + 2
	if len(text) >= n && text[0] == '{' && text[n-1] == '}' && strings.EqualFold(text[1:n-1], scheme) {
		return text[n:], true
	}
	return text, false
}

func parseArgon(text string) (algorithm.Digest, error) {
	d, err := argon2.Decode(text)
	if err != nil {
		return nil, errors.New("argon2id hash cannot be read")
	}
	parts := strings.Split(text, "$")
	for option := range strings.SplitSeq(parts[3], ",") {
		name, value, _ := strings.Cut(option, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		limit := map[string]uint64{"m": maxArgonMemory, "t": maxArgonTime, "p": maxArgonLanes}[name]
		if err != nil || n == 0 || n > limit {
			return nil, fmt.Errorf("argon2id parameter %s is not between 1 and %d", name, limit)
		}
	}
	if len(d.Salt()) > maxSalt || len(d.Key()) > maxSalt {
		return nil, errors.New("argon2id hash is too long")
	}
	return d, nil
}

func parseBcrypt(text string) (algorithm.Digest, error) {
	d, err := bcrypt.Decode(text)
	if err != nil {
		return nil, errors.New("bcrypt hash cannot be read")
	}
	if cost, err := strconv.Atoi(strings.Split(text, "$")[2]); err != nil || cost > maxBcryptCost {
		return nil, fmt.Errorf("bcrypt cost is above %d", maxBcryptCost)
	}
	return d, nil
}

func parseSHA(text string) (algorithm.Digest, error) {
	d, err := shacrypt.Decode(text)
	if err != nil {
		return nil, errors.New("SHA-crypt hash cannot be read")
	}
	if rounds, ok := strings.CutPrefix(strings.Split(text, "$")[2], "rounds="); ok {
		if n, err := strconv.Atoi(rounds); err != nil || n > maxSHARounds {
			return nil, fmt.Errorf("SHA-crypt has more than %d rounds", maxSHARounds)
		}
	}
	return d, nil
}

// parseKeys reads "iterations,salt,StoredKey,ServerKey", the last three in
// base64.
func parseKeys(text string) (*scram.StoredCredentials, error) {
	bad := errors.New("SCRAM keys cannot be read: iterations,salt,StoredKey,ServerKey")
	f := strings.Split(text, ",")
	if len(f) != 4 || len(text) > 4*maxSalt {
		return nil, bad
	}
	n, err := strconv.Atoi(f[0])
	if err != nil || n < 4096 || n > maxIterations {
		return nil, fmt.Errorf("SCRAM iterations are not between 4096 and %d", maxIterations)
	}
	var b [3][]byte
	for i := range b {
		if b[i], err = base64.StdEncoding.DecodeString(f[i+1]); err != nil {
			return nil, bad
		}
	}
	if len(b[0]) == 0 || len(b[1]) != sha256.Size || len(b[2]) != sha256.Size {
		return nil, bad
	}
	return &scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(b[0]), Iters: n}, StoredKey: b[1], ServerKey: b[2],
	}, nil
}
