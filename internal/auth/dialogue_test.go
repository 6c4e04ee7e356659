package auth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestDialogues(t *testing.T) {
	file := openFile(t, "example.org", "ann@example.org:"+keysOf(t, "secret"))
	for name, c := range map[string]struct {
		arg   string
		lines []string
		code  int
		login string
	}{
		"PLAIN at once":               {"PLAIN " + b64("\x00ann@example.org\x00secret"), nil, 235, "ann@example.org"},
		"PLAIN in two steps":          {"PLAIN", []string{b64("\x00ann@example.org\x00secret")}, 235, "ann@example.org"},
		"mechanism in lower case":     {"plain " + b64("\x00ann@example.org\x00secret"), nil, 235, "ann@example.org"},
		"PLAIN with its own identity": {"PLAIN " + b64("ann@example.org\x00ann@example.org\x00secret"), nil, 235, "ann@example.org"},
		"realm is added":              {"PLAIN " + b64("\x00ann\x00secret"), nil, 235, "ann@example.org"},
		"login in other letters":      {"PLAIN " + b64("\x00Ann@Example.ORG\x00secret"), nil, 235, "ann@example.org"},
		"PLAIN for somebody else":     {"PLAIN " + b64("bob@example.org\x00ann@example.org\x00secret"), nil, 535, ""},
		"wrong password":              {"PLAIN " + b64("\x00ann@example.org\x00Secret"), nil, 535, ""},
		"no such login":               {"PLAIN " + b64("\x00eve@example.org\x00secret"), nil, 535, ""},
		"empty password":              {"PLAIN " + b64("\x00ann@example.org\x00"), nil, 535, ""},
		"empty login":                 {"PLAIN " + b64("\x00\x00secret"), nil, 535, ""},
		"NUL in the password":         {"PLAIN " + b64("\x00ann@example.org\x00secret\x00"), nil, 501, ""},
		"NUL in the login":            {"PLAIN " + b64("\x00ann\x00@example.org\x00secret"), nil, 501, ""},
		"no NUL at all":               {"PLAIN " + b64("ann@example.org secret"), nil, 501, ""},
		"empty initial response":      {"PLAIN =", nil, 501, ""},
		"line feed in the login":      {"PLAIN " + b64("\x00ann\n\x00secret"), nil, 535, ""},
		"colon in the login":          {"PLAIN " + b64("\x00ann:x\x00secret"), nil, 535, ""},
		"password beyond the limit":   {"PLAIN " + b64("\x00ann@example.org\x00"+strings.Repeat("x", MaxPassword+1)), nil, 535, ""},
		"cancelled":                   {"PLAIN", []string{"*"}, 501, ""},
		"not base64":                  {"PLAIN %%%", nil, 501, ""},
		"base64 without its end":      {"PLAIN AGFubg", nil, 501, ""},
		"base64 with a blank":         {"PLAIN AGFu bg==", nil, 501, ""},
		"LOGIN":                       {"LOGIN", []string{b64("ann@example.org"), b64("secret")}, 235, "ann@example.org"},
		"LOGIN with the name":         {"LOGIN " + b64("ann@example.org"), []string{b64("secret")}, 235, "ann@example.org"},
		"LOGIN cancelled":             {"LOGIN", []string{b64("ann@example.org"), "*"}, 501, ""},
		"LOGIN with NUL":              {"LOGIN", []string{b64("ann@example.org"), b64("secret\x00")}, 535, ""},
		"LOGIN with an empty name":    {"LOGIN =", []string{b64("secret")}, 535, ""},
		"unknown mechanism":           {"DIGEST-MD5", nil, 504, ""},
		"no certificate":              {"EXTERNAL =", nil, 504, ""},
		"no channel":                  {"SCRAM-SHA-256-PLUS", nil, 504, ""},
		"no mechanism":                {"", nil, 501, ""},
		"blank and no response":       {"PLAIN ", nil, 501, ""},
		"SCRAM of nobody":             {"SCRAM-SHA-256 " + b64("n,,n=eve,r=abc"), nil, 501, ""}, // the client is gone after the challenge
		"SCRAM that is none":          {"SCRAM-SHA-256 " + b64("hello"), nil, 501, ""},
		"SCRAM with a bad name":       {"SCRAM-SHA-256 " + b64("n,,n=a=b,r=abc"), nil, 501, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Service{Backend: &Local{File: file}}
			login, code, _ := dialogueOf(s, session("192.0.2.1"), c.arg, c.lines...)
			if code != c.code || login != c.login {
				t.Errorf("got %d for %q, want %d for %q", code, login, c.code, c.login)
			}
		})
	}
}

func TestUnknownErrorsAreTransient(t *testing.T) {
	s := &Service{Backend: failing{}}
	if _, code, _ := dialogueOf(s, session("192.0.2.1"), "PLAIN =", ""); code != 454 {
		t.Errorf("got %d, want 454", code)
	}
}

type failing struct{}

func (failing) Mechanisms(context.Context, *Peer) []string { return []string{Plain} }

func (failing) Begin(context.Context, string, *Peer) (Exchange, error) {
	return nil, errors.New("the disk is gone")
}

func TestLineTooLongEndsTheExchange(t *testing.T) {
	s := &Service{Backend: &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}}
	_, _, reply := s.Serve(t.Context(), session("192.0.2.1"), "PLAIN", func(string) (string, error) { return "", ErrLineTooLong })
	if reply.Code != 500 || reply.Enhanced != "5.5.6" {
		t.Errorf("got %s, want 500 5.5.6", reply)
	}
}

func TestTheLastFailureOfASessionEndsIt(t *testing.T) {
	s := &Service{Backend: &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}, Failures: 3}
	x := session("192.0.2.1")
	for i, want := range []int{535, 535, 421} {
		if _, code, _ := dialogueOf(s, x, "PLAIN "+b64("\x00ann\x00wrong")); code != want {
			t.Errorf("failure %d: got %d, want %d", i+1, code, want)
		}
	}
}

func TestNoPasswordAndNoUnknownLoginIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := &Service{
		Backend: &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)), Failures: 100,
	}
	x := session("192.0.2.1")
	for _, c := range [][]string{
		{"PLAIN " + b64("\x00ann\x00secret")},
		{"PLAIN " + b64("\x00ann\x00hunter2")},
		{"PLAIN " + b64("\x00hunter2\x00ann")},
		{"LOGIN", b64("hunter2"), b64("secret")},
		{"PLAIN hunter2"},
		{"SCRAM-SHA-256 " + b64("n,,n=hunter2,r=abc")},
	} {
		dialogueOf(s, x, c[0], c[1:]...)
	}
	for _, word := range []string{"hunter2", "secret", "aHVudGVyM", "c2VjcmV0"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log holds %q:\n%s", word, &log)
		}
	}
	if !strings.Contains(log.String(), "login=ann outcome=refused") {
		t.Errorf("the log does not say who was refused:\n%s", &log)
	}
}
