package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// FuzzDialogue: whatever a client that has no password says, it is nobody.
func FuzzDialogue(f *testing.F) {
	f.Add("PLAIN "+b64("\x00ann\x00x"), "", "")
	f.Add("LOGIN", b64("ann"), b64("x"))
	f.Add("SCRAM-SHA-256 "+b64("n,,n=ann,r=abc"), b64("c=biws,r=abc,p="+base64.StdEncoding.EncodeToString(make([]byte, 32))), "")
	f.Add("SCRAM-SHA-256-PLUS "+b64("p=tls-exporter,,n=ann,r=abc"), "*", "=")
	f.Add("EXTERNAL =", "", "")
	file := openFile(f, "example.org", "ann:"+keysOf(f, "a password nobody guesses 8472"))
	s := &Service{Backend: &Local{File: file, Certificates: &Certificates{now: &holders{}}, Offer: []string{Plain, Login, Scram, ScramPlus, External}}, Failures: 1 << 30}
	peer := newChannel(f, nil, 0).server
	f.Fuzz(func(t *testing.T, arg, one, two string) {
		lines := []string{one, two}
		x := &Session{Peer: peer}
		login, _, reply := s.Serve(context.Background(), x, arg, func(string) (string, error) {
			if len(lines) == 0 {
				return "", errors.New("gone")
			}
			line := lines[0]
			lines = lines[1:]
			return line, nil
		})
		if login != "" || reply.Positive() || reply.Code == 454 || reply.Code == 0 {
			t.Fatalf("%q %q %q: %s for %q", arg, one, two, reply, login)
		}
	})
}

// FuzzPasswordFile: what is read has logins that can be found, and no hash that
// costs without bound.
func FuzzPasswordFile(f *testing.F) {
	f.Add("ann:" + keysOf(f, "x") + "\n# c\n")
	f.Add("ann:$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2g\n")
	f.Add("ann:$6$rounds=1000$salt$x\nbob:$2b$04$x\neve:!\n")
	f.Add("ann:{CRYPT}$5$salt$")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := parseTable(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, s := range table.byName {
			if !ValidLogin(name) || Fold(name) != name {
				t.Fatalf("login %q", name)
			}
			if s.keys != nil && (s.keys.Iters > maxIterations || len(s.keys.StoredKey) != 32) {
				t.Fatalf("keys %+v", s.keys)
			}
		}
	})
}

// FuzzDovecotAnswer: only OK with a login is success.
func FuzzDovecotAnswer(f *testing.F) {
	f.Add("OK", "1\tuser=ann")
	f.Add("FAIL", "1\ttemp")
	f.Add("CONT", "1\tYQ==")
	f.Fuzz(func(t *testing.T, verb, args string) {
		x := &dovecotExchange{}
		_, done, err := x.result(verb, strings.Split(args, "\t"))
		if done && (err != nil || verb != "OK" || !ValidLogin(x.login)) {
			t.Fatalf("%q %q: done as %q, %v", verb, args, x.login, err)
		}
	})
}
