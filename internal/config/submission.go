package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Submission is who may hand in mail other than by SMTP.
type Submission struct {
	Allow       []Submitter `yaml:"allow"`
	Chain       string      `yaml:"chain"`
	Recipients  int         `yaml:"recipients"`
	MessageSize Size        `yaml:"message_size"`
	Maildrop    string      `yaml:"maildrop"` // directory, or NoMaildrop
}

// NoMaildrop is the word for no maildrop.
const NoMaildrop = "none"

// Submitter is a rule for local users: exactly one of Everyone, UID, GID, User
// and Group, and what they may do.
type Submitter struct {
	Everyone         bool     `yaml:"everyone"`
	UID              *int     `yaml:"uid"`
	GID              *int     `yaml:"gid"`
	User             string   `yaml:"user"`
	Group            string   `yaml:"group"`
	ClientAttributes string   `yaml:"client_attributes"`
	Senders          []string `yaml:"senders"`
	Recipients       string   `yaml:"recipients"`
	Chain            string   `yaml:"chain"`
	Rate             int      `yaml:"messages_per_minute"`
	MessageSize      Size     `yaml:"message_size"`
}

// TokenSubmit is what the bearer of a token with the scope submit may do.
type TokenSubmit struct {
	ClientAttributes string   `yaml:"client_attributes"`
	Senders          []string `yaml:"senders"`
	Recipients       string   `yaml:"recipients"`
	Chain            string   `yaml:"chain"`
	Rate             int      `yaml:"messages_per_minute"`
	MessageSize      Size     `yaml:"message_size"`
}

// Words of submission rules.
const (
	ClaimAny        = "any"   // client_attributes
	RecipientsLocal = "local" // recipients
	NoChain         = "none"  // chain
)

func submissionKeys() []Key {
	const p = "submission."
	return slices.Concat([]Key{
		{Path: p + "allow[].everyone", Default: "false", Live: true, Doc: "`true`: the rule is for every local user. Of `everyone`, `uid`, `gid`, `user` and `group` exactly one is given. The first rule that fits a user decides; a user whom none fits may not submit. Root and the user who runs mtad need no rule, may do everything, and are bounded by `submission.recipients` and `submission.message_size` alone. Without `submission.allow` there is one rule, `everyone: true`; an empty list lets nobody else submit."},
		{Path: p + "allow[].uid", Min: "0", Max: "4294967294", Live: true, Doc: "The rule is for this user ID. Exactly one of `everyone`, `uid`, `gid`, `user` and `group` is given."},
		{Path: p + "allow[].gid", Min: "0", Max: "4294967294", Live: true, Doc: "The rule is for processes in this group, primary or supplementary, by ID. Exactly one of the five is given."},
		{Path: p + "allow[].user", Is: "login", Live: true, Doc: "The rule is for this user, by name. Exactly one of the five is given."},
		{Path: p + "allow[].group", Is: "login", Live: true, Doc: "The rule is for processes in this group, by name. Exactly one of the five is given."},
	}, grantKeys(p+"allow[]."), []Key{
		{Path: p + "chain", Is: "name", Live: true, Doc: "The filter chain of what is handed in over the API or by the helper, where a rule or token names no other. Default: no filters."},
		{Path: p + "recipients", Default: "1000", Min: "1", Max: "50000", Live: true, Doc: "Recipients of one message."},
		{Path: p + "message_size", Default: "50M", Min: "1K", Max: "1G", Live: true, Doc: "Octets of a message, where a rule or token has no other bound."},
		{Path: p + "maildrop", Is: "path", Doc: "Directory in which local users leave mail while mtad is down (docs/sendmail.md); `none` for none. mtad makes it, for its own user. Default: `maildrop` in the spool directory."},
	}, grantKeys("api.tokens.*.submit."))
}

// grantKeys are the keys that rules and tokens share.
func grantKeys(p string) []Key {
	return []Key{
		{Path: p + "client_attributes", Default: "none", Enum: []string{"none", ClaimAny}, Live: true, Doc: "`any`: what is said about the client that the message came from (`client_address`, `sasl_username` … of spec/submission.md) is believed. `none`: a message that says any of it is refused."},
		{Path: p + "senders", Is: "sender", Live: true, Doc: "The reverse-paths that may be used: `own` (the login name at the host name or a local domain), mailboxes, domains, `.domain` for all below it, or `any`. `<>` may always be used. Default: any."},
		{Path: p + "recipients", Default: "any", Enum: []string{"any", RecipientsLocal}, Live: true, Doc: "`local`: recipients in `local_domains` alone."},
		{Path: p + "chain", Is: "name", Live: true, Doc: "The filter chain; `none` for no filters. Default: `submission.chain`."},
		{Path: p + "messages_per_minute", Default: "0", Min: "0", Max: "1000000", Live: true, Doc: "Messages of one user or token in a minute; as many may come at once. 0: no bound."},
		{Path: p + "message_size", Default: "0", Min: "0", Max: "1G", Live: true, Doc: "Octets of a message. 0: `submission.message_size`."},
	}
}

// everyone is the rule of a file that has none.
func everyone() []Submitter {
	return []Submitter{{Everyone: true, ClientAttributes: "none", Recipients: "any"}}
}

func (k *checker) submission() {
	chains := slices.Sorted(maps.Keys(k.Chains))
	chain := func(key, name string, none bool) {
		if name != "" && (!none || name != NoChain) {
			k.known(key, "chain", name, chains)
		}
	}
	chain("submission.chain", k.Submission.Chain, false)
	for i := range k.Submission.Allow {
		s, key := &k.Submission.Allow[i], fmt.Sprintf("submission.allow[%d]", i)
		if n := s.named(); n != 1 {
			k.add(key, fmt.Sprintf("a rule for %d kinds of users", n), "give exactly one of everyone: true, uid, gid, user and group")
		}
		chain(key+".chain", s.Chain, true)
	}
	for _, name := range slices.Sorted(maps.Keys(k.API.Tokens)) {
		chain("api.tokens."+name+".submit.chain", k.API.Tokens[name].Submit.Chain, true)
		if i := slices.Index(k.API.Tokens[name].Submit.Senders, "own"); i >= 0 {
			k.add(fmt.Sprintf("api.tokens.%s.submit.senders[%d]", name, i), "a token has no login name", "name the mailboxes or domains")
		}
	}
}

// named counts what the rule says about whom it is for.
func (s *Submitter) named() int {
	n := 0
	for _, given := range []bool{s.Everyone, s.UID != nil, s.GID != nil, s.User != "", s.Group != ""} {
		if given {
			n++
		}
	}
	return n
}

// checkLogin is the name of a user or group.
func checkLogin(s string) (string, error) {
	if s == "" || len(s) > 64 || s[0] == '-' || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(":,/", r) }) {
		return "", hinted{"%q is not the name of a user or group", "write a number with uid or gid", s}
	}
	return s, nil
}

// checkSender is "any", "own", a mailbox, a domain or ".domain".
func checkSender(s string) (string, error) {
	switch {
	case s == "any" || s == "own":
		return s, nil
	case strings.Contains(s, "@"):
		return checkMailbox(s)
	}
	return checkPattern(s)
}
