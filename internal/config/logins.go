package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// AuthSQL is where logins are in a database.
type AuthSQL struct {
	Driver      string        `yaml:"driver"`
	DSNFile     string        `yaml:"dsn_file"`
	Query       string        `yaml:"query"`
	Senders     string        `yaml:"senders_query"`
	Connections int           `yaml:"connections"`
	Timeout     time.Duration `yaml:"timeout"`
}

// The words of AuthSQL.Driver.
const (
	DriverPostgres = "postgres"
	DriverMySQL    = "mysql"
	DriverSQLite   = "sqlite"
)

// placeholder stands in a query for the login.
func (s AuthSQL) placeholder() string {
	if s.Driver == DriverPostgres {
		return "$1"
	}
	return "?"
}

// OAuth is who is asked about access tokens.
type OAuth struct {
	Introspection   string        `yaml:"introspection"`
	CredentialsFile string        `yaml:"credentials_file"`
	CAFile          string        `yaml:"ca_file"`
	Login           string        `yaml:"login"`
	Scopes          []string      `yaml:"scopes"`
	Audience        string        `yaml:"audience"`
	Discovery       string        `yaml:"openid_configuration"`
	Timeout         time.Duration `yaml:"timeout"`
}

// oauthMechanisms are those for tokens.
func oauthMechanisms() []string { return []string{"OAUTHBEARER", "XOAUTH2"} }

// Private says that what a section means is also in files that are read at start
// and at each reload.
func (a Auth) Private() bool { return a.SQL.Driver != "" || a.OAuth.Introspection != "" }

// passwords says that mtad looks at passwords itself.
func (a Auth) passwords() bool { return a.PasswordFile != "" || a.SQL.Driver != "" }

// mechanisms are those that a section without Dovecot has.
func (a Auth) mechanisms() []string {
	m := localMechanisms()
	if a.OAuth.Introspection != "" {
		m = append(m, oauthMechanisms()...)
	}
	return m
}

func sqlKeys() []Key {
	const p = "auth.*.sql."
	return []Key{
		{Path: p + "driver", Enum: []string{DriverPostgres, DriverMySQL, DriverSQLite}, Live: true, Doc: "Logins are in a database: PostgreSQL, MySQL or MariaDB, or an SQLite file, which is opened for reading. Default: in none."},
		{Path: p + "dsn_file", Is: "path", Live: true, Doc: "File with one line that says where the database is, and with which password: `host=/run/postgresql dbname=mail user=mtad`, `mtad:password@unix(/run/mysqld/mysqld.sock)/mail`, or the path of an SQLite file. It is read at start and at each reload; others must not be able to."},
		{Path: p + "query", Live: true, Doc: "Finds a login, in lower case: `SELECT login, password FROM users WHERE login = $1` with PostgreSQL, with `?` in place of `$1` elsewhere. At most one row; its column `login` is the login's true name, every other one an entry as in a password file. Default: none; it has to be given."},
		{Path: p + "senders_query", Live: true, Doc: "Lists the addresses that a login may use beside those of `senders` and `sender_file`, one in a row: `SELECT address FROM senders WHERE login = $1`. It is asked once for each login. Default: none."},
		{Path: p + "connections", Default: "4", Min: "1", Max: "100", Live: true, Doc: "Connections to the database, at most."},
		{Path: p + "timeout", Default: "5s", Min: "100ms", Max: "1m", Live: true, Doc: "The longest wait for an answer, with that for a connection. After it the client is told 454, as when the database is down."},
	}
}

func oauthKeys() []Key {
	const p = "auth.*.oauth."
	return []Key{
		{Path: p + "introspection", Is: "url", Live: true, Doc: "Where access tokens are looked up (RFC 7662), for OAUTHBEARER and XOAUTH2: an `https:` URL, or an `http:` URL of this machine. It can stand alone, or beside passwords and certificates; not with `dovecot`. Default: tokens are not taken."},
		{Path: p + "credentials_file", Is: "path", Live: true, Doc: "File with `client_id:client_secret`, by which mtad says who it is there. It is read at start and at each reload; others must not be able to. Default: mtad does not say."},
		{Path: p + "ca_file", Is: "path", Live: true, Doc: "PEM file with the certificates that the server is verified with. Default: the system's."},
		{Path: p + "login", Default: "username", Live: true, Doc: "The member of the answer that is the login: `username`, `sub`, `email`, or one of the server's own."},
		{Path: p + "scopes", Live: true, Doc: "Scopes that a token must have, all of them. Default: none."},
		{Path: p + "audience", Live: true, Doc: "What the token must name as its audience (`aud`), or one of them. Default: any will do."},
		{Path: p + "openid_configuration", Is: "url", Live: true, Doc: "Told to clients without a good token (OAUTHBEARER), so that they know where to get one. Default: none."},
		{Path: p + "timeout", Default: "5s", Min: "100ms", Max: "1m", Live: true, Doc: "The longest wait for an answer. After it the client is told 454, as when the server is down."},
	}
}

// authSQL checks where logins are in a database.
func (k *checker) authSQL(key string, s AuthSQL) {
	if s.Driver == "" {
		if s.DSNFile != "" || s.Query != "" || s.Senders != "" {
			k.add(key, "a database of no sort", "give driver: postgres, mysql or sqlite")
		}
		return
	}
	if s.DSNFile == "" {
		k.add(key, "nothing says where the database is", "give dsn_file")
	}
	if s.Query == "" {
		k.add(key, "nothing says how a login is found", "give query")
	}
	for sub, query := range map[string]string{"query": s.Query, "senders_query": s.Senders} {
		if query != "" && !strings.Contains(query, s.placeholder()) {
			k.add(key+"."+sub, "the query has no place for the login", s.placeholder()+" stands for it with "+s.Driver)
		}
	}
}

// authOAuth checks who is asked about tokens.
func (k *checker) authOAuth(key string, o OAuth) {
	if o.Introspection == "" {
		if o.CredentialsFile != "" || len(o.Scopes) > 0 || o.Audience != "" {
			k.add(key, "nothing says where tokens are looked up", "give introspection")
		}
		return
	}
	u, err := url.Parse(o.Introspection)
	if err != nil {
		return // the value itself was refused
	}
	if u.Scheme == "http" && !thisHost(u.Hostname()) {
		k.add(key+".introspection", "tokens would go to another host in clear text", "https:")
	}
	if u.Scheme == "http" && o.CAFile != "" {
		k.add(key+".ca_file", "certificates for a URL without TLS", "https:")
	}
	if slices.ContainsFunc(o.Scopes, func(s string) bool { return s == "" || strings.ContainsAny(s, " \t\"\\") }) {
		k.add(key+".scopes", "a scope is a word without blanks and quotes", "")
	}
}
