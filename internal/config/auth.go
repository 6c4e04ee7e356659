package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// Auth is who may log in, and as whom they may send.
type Auth struct {
	PasswordFile string   `yaml:"password_file"`
	SQL          AuthSQL  `yaml:"sql"`
	OAuth        OAuth    `yaml:"oauth"`
	Dovecot      string   `yaml:"dovecot"`
	Authorities  string   `yaml:"certificate_authorities"`
	Certificates string   `yaml:"certificate_logins"`
	Mechanisms   []string `yaml:"mechanisms"`
	Realm        string   `yaml:"realm"`

	Senders    string `yaml:"senders"`
	SenderFile string `yaml:"sender_file"`
	CheckFrom  bool   `yaml:"check_from"`

	SessionFailures int           `yaml:"failures_per_session"`
	AddressFailures int           `yaml:"failures_per_address"`
	LoginFailures   int           `yaml:"failures_per_login"`
	Window          time.Duration `yaml:"failure_window"`
	MaxDelay        time.Duration `yaml:"max_delay"`
}

// AsksCertificate says that clients are asked for a certificate.
func (a Auth) AsksCertificate() bool { return a.Authorities != "" || a.Certificates != "" }

// The words of Auth.Senders.
const (
	SendersOwn    = "own"
	SendersListed = "listed"
	SendersAny    = "any"
)

// The words of Listener.Complete.
const (
	CompleteDate      = "date"
	CompleteMessageID = "message-id"
	CompleteSender    = "sender"
)

// localMechanisms are those that mtad has itself.
func localMechanisms() []string {
	return []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL"}
}

func authKeys() []Key {
	const p = "auth.*."
	all := append(localMechanisms(), "SCRAM-SHA-1", "CRAM-MD5", "DIGEST-MD5", "OAUTHBEARER", "XOAUTH2", "GSSAPI", "NTLM")
	keys := []Key{
		{Path: "listeners.*.auth", Is: "name", Live: true, Doc: "Who may log in here, the name of a section below `auth`; for the kinds `submission` and `submissions`. Mail is then taken from who logged in and from nobody else, also not from `mynetworks`, and both are possible over TLS alone. Default: no AUTH."},
		{Path: "listeners.*.complete", Default: "date,message-id", Enum: []string{CompleteDate, CompleteMessageID, CompleteSender, "none"}, Live: true, Doc: "Header fields that are added where a message has none (RFC 6409 §8), for the kinds `submission` and `submissions`; `sender` when From is not an address of the login. What is there stays as it is."},
		{Path: p + "password_file", Is: "path", Live: true, Doc: "File with `login:hash` lines, as `mtad password` makes them; read again when it changes. One of `password_file`, `sql` and `dovecot`, or client certificates or tokens alone. See [submission over SMTP](submission-smtp.md)."},
		{Path: p + "dovecot", Is: "peer", Live: true, Doc: "Authentication socket of a Dovecot server: `unix:/path` or `host:port`. Not with any of the others. Default: none."},
		{Path: p + "certificate_authorities", Is: "path", Live: true, Doc: "PEM file with authorities. A client certificate that one of them signed is a login (EXTERNAL): its e-mail address, or its common name."},
		{Path: p + "certificate_logins", Is: "path", Live: true, Doc: "File with lines of a client certificate's SHA-256 fingerprint and its login (EXTERNAL)."},
		{Path: p + "mechanisms", Enum: all, Live: true, Doc: "The SASL mechanisms that are offered. Default: all there are but SCRAM-SHA-256-PLUS, which some clients choose and cannot do; SCRAM-SHA-256 only if every login of the password file has the keys for it, and with `sql` not at all."},
		{Path: p + "realm", Is: "domain", Live: true, Doc: "Put behind a login without `@` that is not found as it is, and behind that of a token. Default: none."},
		{Path: p + "senders", Default: SendersOwn, Enum: []string{SendersOwn, SendersListed, SendersAny}, Live: true, Doc: "The reverse-paths that a login may use: `own` is the login where it is an address, and the login at one of `local_domains` where it is none, with any extension behind `local.delimiter`; `listed` only what `sender_file` gives it; `any` all. The null reverse-path is everybody's. Others are refused with 553 5.7.1."},
		{Path: p + "sender_file", Is: "path", Live: true, Doc: "File with lines of an address and the logins that may use it, too: `sales@example.org ann bob`, `@example.org ann`; the login `*` stands for all. Read again when it changes."},
		{Path: p + "check_from", Default: "false", Live: true, Doc: "Refuse messages, too, whose From field names an address that the login may not use, or cannot be read."},
		{Path: p + "failures_per_session", Default: "3", Min: "1", Max: "20", Live: true, Doc: "Failed logins after which the connection is closed."},
		{Path: p + "failures_per_address", Default: "20", Min: "1", Max: "100000", Live: true, Doc: "Failed logins of a client (an IPv4 address, an IPv6 /64) within `failure_window` after which it is turned away unheard. Before that each failure makes the next attempt wait longer."},
		{Path: p + "failures_per_login", Default: "10", Min: "1", Max: "100000", Live: true, Doc: "Failed logins with one name, from anywhere, after which clients wait that have not logged in with it lately."},
		{Path: p + "failure_window", Default: "10m", Min: "1s", Max: "1d", Live: true, Doc: "How long failures are remembered, at least."},
		{Path: p + "max_delay", Default: "10s", Min: "1ms", Max: "1m", Live: true, Doc: "The longest wait before an attempt is looked at."},
	}
	return slices.Concat(keys, sqlKeys(), oauthKeys())
}

// auth checks the sections and who names them.
func (k *checker) auth() {
	names := slices.Sorted(maps.Keys(k.Auth))
	for _, name := range names {
		k.authSection("auth."+name, k.Auth[name])
	}
	for _, name := range slices.Sorted(maps.Keys(k.Listeners)) {
		l, key := k.Listeners[name], "listeners."+name
		if l.Auth == "" {
			continue
		}
		k.known(key+".auth", "auth section", l.Auth, names)
		if !l.Submission() {
			k.add(key+".auth", "clients log in at listeners of the kinds submission and submissions", "kind: submission")
		}
		if k.ListenerTLS(name).Certificate == "" && len(k.ACME.Hosts) == 0 {
			k.add(key+".auth", "nobody can log in without TLS", "give tls.certificate and tls.key, or acme.hosts")
		}
	}
}

func (k *checker) authSection(key string, a Auth) {
	own := a.passwords() || a.AsksCertificate() || a.OAuth.Introspection != ""
	switch {
	case a.PasswordFile != "" && a.SQL.Driver != "":
		k.add(key, "password_file and sql exclude each other", "keep one of them")
	case a.passwords() && a.Dovecot != "":
		k.add(key, "password_file and dovecot exclude each other", "keep one of them; so do sql and dovecot")
	case !own && a.Dovecot == "":
		k.add(key, "nobody can log in", "give password_file, sql, oauth or dovecot")
	case a.Dovecot != "" && a.AsksCertificate():
		k.add(key, "client certificates go with password_file, or alone", "take away dovecot, or the certificates")
	case a.Dovecot != "" && own:
		k.add(key, "oauth and dovecot exclude each other", "keep one of them")
	}
	k.authSQL(key+".sql", a.SQL)
	k.authOAuth(key+".oauth", a.OAuth)
	if a.Senders == SendersListed && a.SenderFile == "" && a.SQL.Senders == "" {
		k.add(key+".senders", "no list of senders", "give sender_file, or sql.senders_query")
	}
	if a.Dovecot != "" {
		return
	}
	for i, m := range a.Mechanisms {
		switch {
		case slices.Contains(a.mechanisms(), m):
		case slices.Contains(oauthMechanisms(), m):
			k.add(fmt.Sprintf("%s.mechanisms[%d]", key, i), m+" is there with oauth and with dovecot", "give oauth.introspection")
		default:
			k.add(fmt.Sprintf("%s.mechanisms[%d]", key, i), m+" is there with dovecot alone", "")
		}
	}
}

// Submission says that mail comes in here from where it begins.
func (l Listener) Submission() bool { return l.Kind == KindSubmission || l.Kind == KindSubmissions }

// authFiles looks at the files.
func (k *checker) authFiles() {
	for name, a := range k.Auth {
		key := "auth." + name
		k.secret(key+".password_file", a.PasswordFile)
		k.secret(key+".sql.dsn_file", a.SQL.DSNFile)
		k.secret(key+".oauth.credentials_file", a.OAuth.CredentialsFile)
		k.certificates(key+".oauth.ca_file", a.OAuth.CAFile)
		k.certificates(key+".certificate_authorities", a.Authorities)
		for sub, path := range map[string]string{"certificate_logins": a.Certificates, "sender_file": a.SenderFile} {
			if path == "" {
				continue
			}
			if _, err := os.ReadFile(path); err != nil {
				k.add(key+"."+sub, path+" cannot be read: "+reason(err), "")
			}
		}
	}
}
