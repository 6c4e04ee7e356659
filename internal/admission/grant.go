package admission

import (
	"slices"
	"strings"
	"time"
)

// Grant is what a caller may do. The zero Grant may send with any sender to
// anywhere and claim nothing about the client.
type Grant struct {
	// ClientAttributes: any claim about the client is believed. Otherwise one is
	// refused.
	ClientAttributes bool
	// Senders are the reverse-paths that may be used: "any", "own" (the login name at the
	// host or at a local domain), a mailbox, a domain, or ".domain" for all below it. Empty is any. The null
	// reverse-path may always be used.
	Senders []string
	// From: Senders holds for the addresses in the From field, too. A message without
	// a From that can be read is refused then, unless any may be used.
	From bool
	// Recipients are the forward-paths that may be used: mailboxes, domains, ".domain".
	// Empty is any.
	Recipients []string
	// LocalOnly: recipients in local domains alone.
	LocalOnly bool
	Chain     string // filter chain; "" has no filters
	// Chains are others that a caller may ask for; "*" is every one there is, and
	// "none" is no filters.
	Chains  []string
	Rate    int   // messages in RatePer; 0: no bound
	MaxSize int64 // octets of content; 0: Options.MaxSize
	// RatePer is for how long Rate is; 0: a minute.
	RatePer time.Duration
	// Spend takes recipients from what the caller has for a day, or says how long it
	// has to wait; a negative number gives back. nil: there is no bound.
	Spend func(recipients int, now time.Time) (wait time.Duration, ok bool)
	// Sandbox: messages are judged and never delivered.
	Sandbox bool
}

// Unlimited is the Grant of root and of the user who runs mtad.
func Unlimited(chain string) Grant {
	return Grant{ClientAttributes: true, Chain: chain, Chains: []string{"*", NoChain}}
}

// Bounded says that the Grant bounds who may send, to whom, how much, or whether it
// leaves.
func (g *Grant) Bounded() bool {
	return len(g.Senders) > 0 && !slices.Contains(g.Senders, "any") || len(g.Recipients) > 0 || g.LocalOnly ||
		g.Rate > 0 || g.MaxSize > 0 || g.Spend != nil || g.Sandbox
}

// MayChoose says whether a message may go through a chain; "" and NoChain are no
// filters, "*" is every chain.
func (g *Grant) MayChoose(chain string) bool {
	if chain == NoChain {
		chain = ""
	}
	switch {
	case chain == g.Chain:
		return true
	case chain == "":
		return slices.Contains(g.Chains, NoChain)
	}
	return slices.Contains(g.Chains, chain) || slices.Contains(g.Chains, "*")
}

// NoChain is what a caller asks for who wants no filters.
const NoChain = "none"

// Rule gives a Grant to local users.
type Rule struct {
	Everyone bool
	UID, GID int // -1: not by this
	Grant    Grant
}

// Rules is an authorisation list. The first rule that fits decides.
type Rules []Rule

// For finds the Grant of a process. groups are its groups, the primary one
// among them. No rule, no right.
func (r Rules) For(uid int, groups []int) (Grant, bool) {
	for i := range r {
		if r[i].Everyone || r[i].UID >= 0 && r[i].UID == uid || r[i].GID >= 0 && slices.Contains(groups, r[i].GID) {
			return r[i].Grant, true
		}
	}
	return Grant{}, false
}

// maySend says whether path, canonical and with its domain, may be the sender.
func (g *Grant) maySend(path string, own func(local, domain string) bool) bool {
	if path == "" || len(g.Senders) == 0 {
		return true
	}
	return among(g.Senders, path, own)
}

// maySendTo says whether path may be a recipient.
func (g *Grant) maySendTo(path string) bool {
	return len(g.Recipients) == 0 || among(g.Recipients, path, func(string, string) bool { return false })
}

// among says whether a list of mailboxes and domains has a path with its domain.
func among(list []string, path string, own func(local, domain string) bool) bool {
	at := strings.LastIndexByte(path, '@')
	local, domain := path[:at], path[at+1:]
	return slices.ContainsFunc(list, func(s string) bool {
		switch {
		case s == "any":
			return true
		case s == "own":
			return own(local, domain)
		case strings.HasPrefix(s, "."):
			return len(domain) > len(s) && strings.EqualFold(domain[len(domain)-len(s):], s)
		case strings.Contains(s, "@"):
			i := strings.LastIndexByte(s, '@')
			return s[:i] == local && strings.EqualFold(s[i+1:], domain)
		}
		return strings.EqualFold(s, domain)
	})
}
