// Package tokens keeps the bearer tokens that were made while mtad runs: a file of
// names, hashes and what each allows. Those of the configuration are not here.
//
// # Promises
//
// Create and Revoke are on stable storage when they return: the file is written
// beside its old self, synced, and put in its place. It is readable by its owner
// alone, and holds hashes, never a secret. A file that cannot be read is an error of
// Open: a start without the tokens that were revoked, or made, is none.
//
// When a token was used last, and how much of its day is used up, is written about
// once a minute and at the end of Run: a crash forgets what came since. A Store is
// safe for concurrent use; one process has the file.
package tokens

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Token is a token as it is kept.
type Token struct {
	Name      string    `json:"name"`
	SHA256    string    `json:"sha256"` // of the secret, hexadecimal
	Scopes    []string  `json:"scopes"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Expires   time.Time `json:"expires,omitzero"` // zero: never
	Submit    Submit    `json:"submit,omitzero"`
	// LastUsed is true to about a minute.
	LastUsed time.Time `json:"last_used,omitzero"`
	Day      Day       `json:"day,omitzero"`
}

// Submit is what the bearer may hand in. The zero Submit has no bounds of its own.
type Submit struct {
	Senders    []string `json:"senders,omitempty"`    // as admission.Grant.Senders
	Recipients []string `json:"recipients,omitempty"` // likewise
	Rate       int      `json:"rate,omitempty"`       // messages in RatePer; 0: no bound
	RatePer    string   `json:"rate_per,omitempty"`   // second, minute, hour, day
	Size       int64    `json:"message_size,omitempty"`
	PerDay     int      `json:"recipients_per_day,omitempty"` // 0: no bound
	Chain      string   `json:"chain,omitempty"`
	Chains     []string `json:"chains,omitempty"`
	Sandbox    bool     `json:"sandbox,omitempty"`
}

// Day is how many recipients a UTC day has had.
type Day struct {
	Date       string `json:"date"` // 2006-01-02
	Recipients int    `json:"recipients"`
}

// Errors of a Store.
var (
	ErrExists  = errors.New("tokens: there is a token of this name")
	ErrUnknown = errors.New("tokens: no token of this name")
	ErrFull    = errors.New("tokens: too many tokens")
)

// Most is how many tokens there can be.
const Most = 10_000

// maxFile bounds what Open reads, in octets.
const maxFile = 256 << 20

// Store is the tokens and their file.
type Store struct {
	path string

	mu     sync.Mutex
	byName map[string]*Token
	byHash map[[sha256.Size]byte]*Token
	dirty  bool
}

// file is what is on disk.
type file struct {
	Version int     `json:"version"`
	Tokens  []Token `json:"tokens"`
}

// Open reads the tokens of a file; one that is not there has none.
func Open(path string) (*Store, error) {
	s := &Store{path: path, byName: map[string]*Token{}, byHash: map[[sha256.Size]byte]*Token{}}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	if fi.Size() > maxFile {
		return nil, fmt.Errorf("tokens: %s: too large", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("tokens: %s: %w", path, err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("tokens: %s: version %d is not known here", path, f.Version)
	}
	for i := range f.Tokens {
		if err := s.add(&f.Tokens[i]); err != nil {
			return nil, fmt.Errorf("tokens: %s: token %q: %w", path, f.Tokens[i].Name, err)
		}
	}
	return s, nil
}

func (s *Store) add(t *Token) error {
	var hash [sha256.Size]byte
	if n, err := hex.Decode(hash[:], []byte(t.SHA256)); err != nil || n != len(hash) || len(t.SHA256) != 2*len(hash) {
		return errors.New("tokens: not a SHA-256 hash")
	}
	if s.byName[t.Name] != nil || s.byHash[hash] != nil || t.Name == "" {
		return ErrExists
	}
	s.byName[t.Name], s.byHash[hash] = t, t
	return nil
}

// List is all tokens by name.
func (s *Store) List() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Token
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		out = append(out, *s.byName[name])
	}
	return out
}

// Find finds the token of a secret by its hash, expired or not. Which of them came
// close does not show: nobody knows a secret whose hash is near another one's.
func (s *Store) Find(hash [sha256.Size]byte) (Token, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byHash[hash]
	if t == nil {
		return Token{}, false
	}
	return *t, true
}

// Create keeps a token.
func (s *Store) Create(t Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byName) >= Most {
		return ErrFull
	}
	if err := s.add(&t); err != nil {
		return err
	}
	if err := s.write(); err != nil {
		s.drop(&t)
		return err
	}
	return nil
}

// Revoke ends a token. After an error of the disk it is still good.
func (s *Store) Revoke(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byName[name]
	if t == nil {
		return ErrUnknown
	}
	s.drop(t)
	if err := s.write(); err != nil {
		_ = s.add(t)
		return err
	}
	return nil
}

func (s *Store) drop(t *Token) {
	var hash [sha256.Size]byte
	_, _ = hex.Decode(hash[:], []byte(t.SHA256)) // add has read it
	delete(s.byName, t.Name)
	delete(s.byHash, hash)
}

// write replaces the file. mu is held.
func (s *Store) write() error {
	f := file{Version: 1, Tokens: []Token{}}
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		f.Tokens = append(f.Tokens, *s.byName[name])
	}
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	if err := replace(s.path, append(b, '\n')); err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	s.dirty = false
	return nil
}

// replace writes a file whole or not at all.
func replace(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
