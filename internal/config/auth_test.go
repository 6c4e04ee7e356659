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
		"auth:\n  people: {password_file: /p, dovecot: \"unix:/d\"}\n":      "exclude each other",
		"auth:\n  people: {dovecot: \"unix:/d\", certificate_logins: /l}\n": "client certificates go with",
		"auth:\n  people: {password_file: /p, mechanisms: [XOAUTH2]}\n":     "XOAUTH2 is there with dovecot alone",
		"auth:\n  people: {password_file: /p, mechanisms: [plain]}\n":       "not one of its words",
		"auth:\n  people: {password_file: /p, senders: listed}\n":           "no list of senders",
		"acme: {hosts: [mail.example.org]}\n":                               "terms of the ACME server",
		"certificates:\n  - {certificate: /c}\n":                            "key",
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
	} {
		if _, err := Parse("mtad.yaml", []byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
