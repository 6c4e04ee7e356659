package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mtad/internal/admission"
	"mtad/queue"
)

// The scopes. A filter's scope is ScopeFilter with its name, or with "*".
const (
	ScopeFilter     = "filter:"
	ScopeQueueRead  = "queue:read"
	ScopeQueueWrite = "queue:write"
	ScopeSubmit     = "submit"
	ScopeMetrics    = "metrics"
	ScopeEvents     = "events"
	// ScopeTokens makes and ends tokens, of no more scopes than the caller has.
	ScopeTokens = "tokens"
)

// AllScopes gives every right there is.
func AllScopes() []string {
	return []string{ScopeFilter + "*", ScopeQueueRead, ScopeQueueWrite, ScopeSubmit, ScopeMetrics, ScopeEvents, ScopeTokens}
}

// Token is a bearer token as it is stored: what it allows, and the hash of the
// secret, never the secret itself.
type Token struct {
	Name    string // who it was given to, for logs and the trail
	Hash    [sha256.Size]byte
	Scopes  []string
	Expires time.Time // zero: never
	Created time.Time // of one that was made: earlier messages are those of another token of the name
	// Submit is what a bearer with ScopeSubmit may hand in.
	Submit admission.Grant
}

const tokenPrefix = "mtad_"

// NewToken makes a bearer token: plain is for its holder, and shown once; stored
// is for Options.Tokens, with Name and Expires left to fill in. The secret is 256
// bits from the system's generator, so a plain hash is enough to store it
// (spec/adr: a slow hash defends short passwords, and there are none).
func NewToken(scopes ...string) (plain string, stored Token) {
	var secret [32]byte
	rand.Read(secret[:])
	plain = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return plain, Token{Hash: HashToken(plain), Scopes: slices.Clone(scopes)}
}

// HashToken is what is stored of a token.
func HashToken(plain string) [sha256.Size]byte { return sha256.Sum256([]byte(plain)) }

// Peer says what a user may do on a unix socket without a token. UID and GID are
// those of the process that connected, at that time, as the kernel gives them; the
// group is its primary one.
type Peer struct {
	Name     string // for logs and the trail; default uid:N
	UID, GID int    // -1: any. Not both.
	Scopes   []string
}

var scopeForm = regexp.MustCompile(`^(filter:(\*|[A-Za-z0-9._-]{1,64})|queue:read|queue:write|submit|metrics|events|tokens)$`)

func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if !scopeForm.MatchString(s) {
			return fmt.Errorf("httpapi: no scope %q", s)
		}
	}
	return nil
}

// access is who may do what; replaced as a whole by SetAccess.
type access struct {
	tokens []Token
	peers  []Peer
}

func newAccess(tokens []Token, peers []Peer) (*access, error) {
	for _, t := range tokens {
		if err := checkScopes(t.Scopes); err != nil {
			return nil, err
		}
		if t.Hash == ([sha256.Size]byte{}) {
			return nil, fmt.Errorf("httpapi: token %q without a hash", t.Name)
		}
	}
	for _, p := range peers {
		if err := checkScopes(p.Scopes); err != nil {
			return nil, err
		}
		if p.UID < 0 && p.GID < 0 {
			return nil, errors.New("httpapi: a peer needs a user or a group")
		}
	}
	return &access{tokens: slices.Clone(tokens), peers: slices.Clone(peers)}, nil
}

// token finds a bearer token. Every stored hash is compared, each in constant
// time: how long it takes says nothing about which one came close.
func (a *access) token(plain string, now time.Time) (Token, bool) {
	hash := HashToken(plain)
	found := -1
	for i := range a.tokens {
		if subtle.ConstantTimeCompare(hash[:], a.tokens[i].Hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Token{}, false
	}
	t := a.tokens[found]
	return t, t.Expires.IsZero() || now.Before(t.Expires)
}

// peer joins what the rules give a user.
func (a *access) peer(c credentials) (caller, bool) {
	who := caller{name: fmt.Sprintf("uid:%d", c.uid)}
	ok := false
	for _, p := range a.peers {
		if p.UID >= 0 && p.UID != c.uid || p.GID >= 0 && p.GID != c.gid {
			continue
		}
		if p.Name != "" && !ok {
			who.name = p.Name
		}
		ok = true
		who.scopes = append(who.scopes, p.Scopes...)
	}
	return who, ok
}

// caller is who sent a request.
type caller struct {
	name   string
	scopes []string
	local  bool            // a process of this machine, at a unix socket
	grant  admission.Grant // with ScopeSubmit: what it may hand in
	as     string          // with ScopeSubmit: whose message it is, "uid:N" or "token:NAME"
	since  time.Time       // messages before are somebody else's, of the same name
	until  time.Time       // with ScopeTokens by a token alone: when that ends; zero: never
	login  func() string   // the user's name; nil: there is none
}

func (c *caller) has(scope string) bool { return slices.Contains(c.scopes, scope) }

// handedIn reports whether a message, by its items, is one that the caller handed in.
func (c *caller) handedIn(items []queue.Item) bool {
	return len(items) > 0 && c.as != "" && items[0].Meta[admission.MetaCaller] == c.as && !items[0].Created.Before(c.since)
}

// mayFilter reports whether the caller may act as the filter.
func (c *caller) mayFilter(name string) bool {
	return c.has(ScopeFilter+name) || c.has(ScopeFilter+"*")
}

// anyFilter reports whether the caller is some filter.
func (c *caller) anyFilter() bool {
	return slices.ContainsFunc(c.scopes, func(s string) bool { return strings.HasPrefix(s, ScopeFilter) })
}

// by names the caller in an item's trail.
func (c *caller) by() string { return "operator:" + c.name }
