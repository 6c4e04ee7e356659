package config

import (
	"strings"
	"testing"
)

func TestLoginsThatCannotWorkAreFound(t *testing.T) {
	const tls, listener = "tls: {certificate: /c, key: /k}\n", "listeners:\n  s: {kind: submission, address: 127.0.0.1:587, auth: people}\n"
	const people = "auth:\n  people: {password_file: /p}\n"
	for text, want := range map[string]string{
		listener + people: "nobody can log in without TLS",
		tls + listener:    `no auth section called "people"`,
		tls + listener + "auth:\n  peeple: {password_file: /p}\n":                     `no auth section called "people"`,
		tls + strings.Replace(listener, "kind: submission", "kind: smtp", 1) + people: "clients log in at listeners of the kinds",
		"auth:\n  people: {}\n": "nobody can log in",
		"auth:\n  people: {password_file: /p, dovecot: \"unix:/d\"}\n":                                              "exclude each other",
		"auth:\n  people: {dovecot: \"unix:/d\", certificate_logins: /l}\n":                                         "client certificates go with",
		"auth:\n  people: {password_file: /p, mechanisms: [XOAUTH2]}\n":                                             "XOAUTH2 is there with oauth and with dovecot",
		"auth:\n  people: {password_file: /p, mechanisms: [NTLM]}\n":                                                "NTLM is there with dovecot alone",
		"auth:\n  people: {password_file: /p, sql: {driver: sqlite, dsn_file: /d, query: '?'}}\n":                   "password_file and sql exclude each other",
		"auth:\n  people: {dovecot: \"unix:/d\", sql: {driver: sqlite, dsn_file: /d, query: '?'}}\n":                "exclude each other",
		"auth:\n  people: {dovecot: \"unix:/d\", oauth: {introspection: 'https://id.example.org/'}}\n":              "oauth and dovecot exclude each other",
		"auth:\n  people: {sql: {query: 'SELECT ?'}}\n":                                                             "a database of no sort",
		"auth:\n  people: {sql: {driver: oracle, dsn_file: /d, query: 'SELECT ?'}}\n":                               "not one of its words",
		"auth:\n  people: {sql: {driver: mysql, query: 'SELECT ?'}}\n":                                              "nothing says where the database is",
		"auth:\n  people: {sql: {driver: mysql, dsn_file: /d}}\n":                                                   "nothing says how a login is found",
		"auth:\n  people: {sql: {driver: mysql, dsn_file: /d, query: 'SELECT $1'}}\n":                               "the query has no place for the login",
		"auth:\n  people: {sql: {driver: postgres, dsn_file: /d, query: 'SELECT $1', senders_query: 'SELECT ?'}}\n": "the query has no place for the login",
		"auth:\n  people: {oauth: {introspection: 'http://id.example.org/'}}\n":                                     "tokens would go to another host in clear text",
		"auth:\n  people: {oauth: {introspection: 'http://127.0.0.1.example.org/'}}\n":                              "tokens would go to another host in clear text",
		"auth:\n  people: {oauth: {introspection: 'https://u:p@id.example.org/'}}\n":                                "is not a URL that can be posted to",
		"auth:\n  people: {oauth: {credentials_file: /c}}\n":                                                        "nothing says where tokens are looked up",
		"auth:\n  people: {oauth: {introspection: 'https://id.example.org/', scopes: ['a b']}}\n":                   "a scope is a word",
		"auth:\n  people: {password_file: /p, mechanisms: [plain]}\n":                                               "not one of its words",
		"auth:\n  people: {password_file: /p, senders: listed}\n":                                                   "no list of senders",
		"acme: {hosts: [mail.example.org]}\n":                                                                       "terms of the ACME server",
		"certificates:\n  - {certificate: /c}\n":                                                                    "key",
	} {
		_, err := Parse("mtad.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{
		tls + listener + people,
		listener + people + "acme: {hosts: [mail.example.org], accept_terms: true}\n",
		tls + listener + "auth:\n  people: {dovecot: \"unix:/d\", mechanisms: [XOAUTH2, PLAIN]}\n",
		tls + listener + "auth:\n  people: {certificate_authorities: /ca}\n",
		tls + listener + "auth:\n  people: {senders: listed, sql: {driver: postgres, dsn_file: /d, query: 'SELECT $1', senders_query: 'SELECT $1'}, certificate_authorities: /ca}\n",
		tls + listener + "auth:\n  people: {password_file: /p, mechanisms: [XOAUTH2, PLAIN], oauth: {introspection: 'http://127.0.0.1:8080/i'}}\n",
		tls + listener + "auth:\n  people: {oauth: {introspection: 'https://id.example.org/i', credentials_file: /c}}\n",
	} {
		if _, err := Parse("mtad.yaml", []byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
