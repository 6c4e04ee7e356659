package auth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func verify(t *testing.T, f *File, login, password string) bool {
	t.Helper()
	_, err := f.Verify(t.Context(), login, password)
	if err != nil && !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	return err == nil
}

func TestEverySchemeMakesWhatItReads(t *testing.T) {
	for _, scheme := range Schemes() {
		t.Run(scheme, func(t *testing.T) {
			hash, err := Hash(scheme, "pässword with blanks")
			if err != nil {
				t.Fatal(err)
			}
			f := openFile(t, "", "ann:"+hash)
			if !verify(t, f, "ann", "pässword with blanks") || verify(t, f, "ann", "password with blanks") {
				t.Errorf("%s does not tell right from wrong", hash)
			}
		})
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxPassword+1), "a\x00b"} {
		if _, err := Hash("argon2id", bad); err == nil {
			t.Errorf("%.10q was hashed", bad)
		}
	}
	if _, err := Hash("plain", "x"); err == nil {
		t.Error("an unknown scheme was taken")
	}
}

// TestHashesOfOtherPrograms reads what others made of "correct-horse".
func TestHashesOfOtherPrograms(t *testing.T) {
	hashes := map[string]string{}
	for _, method := range []string{"sha512crypt", "sha256crypt", "bcrypt", "bcrypt-a"} {
		out, err := exec.Command("mkpasswd", "-m", method, "correct-horse").Output()
		if err != nil {
			t.Logf("mkpasswd %s: %v", method, err)
			continue
		}
		hashes[method] = strings.TrimSpace(string(out))
	}
	for _, scheme := range []string{"ARGON2ID", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "SCRAM-SHA-256"} {
		cmd := exec.Command("doveadm", "-O", "pw", "-s", scheme, "-p", "correct-horse")
		out, err := cmd.Output()
		if err != nil {
			t.Logf("doveadm %s: %v", scheme, err)
			continue
		}
		hashes["doveadm "+scheme] = strings.TrimSpace(string(out))
	}
	if len(hashes) == 0 {
		t.Skip("neither mkpasswd nor doveadm")
	}
	for name, hash := range hashes {
		f := openFile(t, "", "ann:"+hash+":1000:1000::/home/ann")
		if !verify(t, f, "ann", "correct-horse") || verify(t, f, "ann", "correct-house") {
			t.Errorf("%s: %s", name, hash)
		}
	}
}

func TestBadPasswordFilesAreRefusedWithTheirLine(t *testing.T) {
	keys := keysOf(t, "x")
	for text, want := range map[string]string{
		"ann":                                    "line 1: no colon",
		"# x\n\nann:plain":                       "line 3: no hash",
		":" + keys:                               "line 1: the login",
		"a b:" + keys:                            "line 1: the login",
		strings.Repeat("x", 256) + ":" + keys:    "line 1: the login",
		"ann:$1$abc$def":                         "no hash that is known",
		"ann:{PLAIN}secret":                      "no hash that is known",
		"ann:{SCRAM-SHA-256}1,a,b,c":             "iterations",
		"ann:{SCRAM-SHA-256}4096,YQ==,YQ==,YQ==": "SCRAM keys cannot be read",
		"ann:" + keys + "\nAnn:" + keys:          "line 2: a second entry",
		"ann:$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2g":  "argon2id parameter m",
		"ann:$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$YWJjZGVmZ2g":          "argon2id parameter t",
		"ann:$argon2id$v=19$m=64,t=1,p=255$c29tZXNhbHQ$YWJjZGVmZ2g":        "argon2id parameter p",
		"ann:$2b$31$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234": "bcrypt",
		"ann:$6$rounds=999999999$salt$x":                                   "SHA-crypt",
		"ann:" + strings.Repeat("x", maxTableLine):                         "line 1",
	} {
		_, err := parseTable(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestTheFileIsReadAgainAndABrokenOneIsNot(t *testing.T) {
	var log bytes.Buffer
	f := openFile(t, "", "ann:"+keysOf(t, "one"))
	f.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	write(t, f.o.Path, "ann:"+keysOf(t, "two"))
	if verify(t, f, "ann", "one") || !verify(t, f, "ann", "two") {
		t.Error("the new password is not in use")
	}
	write(t, f.o.Path, "ann:"+keysOf(t, "three"), "nonsense")
	if !verify(t, f, "ann", "two") || verify(t, f, "ann", "three") {
		t.Error("a broken file took effect")
	}
	if err := os.Remove(f.o.Path); err != nil {
		t.Fatal(err)
	}
	if !verify(t, f, "ann", "two") {
		t.Error("without the file nobody is known")
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 2 {
		t.Errorf("%d lines about it, want 2:\n%s", n, &log)
	}
	write(t, f.o.Path, "ann:"+keysOf(t, "three"))
	if !verify(t, f, "ann", "three") {
		t.Error("the file that came back is not in use")
	}
}

func TestAShutLoginIsNoLogin(t *testing.T) {
	f := openFile(t, "", "ann:!"+keysOf(t, "secret"), "bob:*", "eve:"+keysOf(t, "other"))
	if verify(t, f, "ann", "secret") || verify(t, f, "bob", "") || verify(t, f, "bob", "*") {
		t.Error("a shut login was let in")
	}
}

// counting is a digest that notes that it was asked.
type counting struct{ asked *int }

func (counting) Match(string) bool                       { return false }
func (counting) MatchBytes([]byte) bool                  { return false }
func (counting) MatchBytesAdvanced([]byte) (bool, error) { return false, nil }
func (counting) Encode() string                          { return "" }
func (counting) String() string                          { return "" }
func (counting) Key() []byte                             { return nil }
func (counting) Salt() []byte                            { return nil }
func (c counting) MatchAdvanced(string) (bool, error)    { *c.asked++; return true, nil }

// TestAnUnknownLoginCostsWhatAKnownOneDoes: exactly one hash is computed for
// each attempt, known or not, and what it says of a login that is not there does
// not matter.
func TestAnUnknownLoginCostsWhatAKnownOneDoes(t *testing.T) {
	f := openFile(t, "example.org", "ann:"+keysOf(t, "x"), "shut:!")
	asked := 0
	f.table.byName["ann"] = &secret{digest: counting{&asked}}
	for login, want := range map[string]bool{"ann": true, "nobody": false, "nobody@example.org": false, "shut": false} {
		asked = 0
		if got := verify(t, f, login, "whatever"); got != want || asked != 1 {
			t.Errorf("%s: passed %v after %d hashes", login, got, asked)
		}
	}
}

func TestHashingIsBoundedAndEndsWithTheSession(t *testing.T) {
	f := openFile(t, "", "ann:"+keysOf(t, "x"))
	for range cap(f.hashing) {
		f.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Verify(ctx, "ann", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A login of two lines is shut by one of them: an administrator who locks the
// password does not mean that SCRAM still opens.
func TestALoginIsShutByEitherOfItsLines(t *testing.T) {
	hash, err := Hash("sha512-crypt", "pw")
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t, "pw")
	for _, lines := range [][]string{
		{"ann:!" + hash, "ann:" + keys}, {"ann:" + keys, "ann:*"}, {"ann:!" + keys, "ann:" + hash}, {"ann:" + hash, "ann:!" + keys},
	} {
		f := openFile(t, "", lines...)
		if verify(t, f, "ann", "pw") {
			t.Errorf("%q: the password opens", lines)
		}
		_, got, err := f.Keys("ann")
		if want, _ := parseKeys(strings.TrimPrefix(keys, "{SCRAM-SHA-256}")); err != nil || bytes.Equal(got.StoredKey, want.StoredKey) {
			t.Errorf("%q: SCRAM opens, %v", lines, err)
		}
	}
}
