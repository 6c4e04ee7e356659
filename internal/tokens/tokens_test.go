package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func token(name string) Token {
	h := sha256.Sum256([]byte("secret of " + name))
	return Token{Name: name, SHA256: hex.EncodeToString(h[:]), Scopes: []string{"submit"}}
}

func TestTokensSurviveAStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	s := open(t, path)
	for _, name := range []string{"b", "a", "c"} {
		if err := s.Create(token(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Create(token("a")); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	if err := s.Revoke("b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke("b"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	for _, s := range []*Store{s, open(t, path)} {
		if l := s.List(); len(l) != 2 || l[0].Name != "a" || l[1].Name != "c" {
			t.Errorf("%+v", l)
		}
		if _, ok := s.Find(sha256.Sum256([]byte("secret of b"))); ok {
			t.Error("a revoked token is found")
		}
		if got, ok := s.Find(sha256.Sum256([]byte("secret of c"))); !ok || got.Name != "c" {
			t.Errorf("%+v %v", got, ok)
		}
	}
}

// What the disk refuses is not done.
func TestWhatIsNotWrittenIsNotDone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "tokens.json"))
	if err := s.Create(token("a")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(token("b")); err == nil {
		t.Error("created")
	}
	if err := s.Revoke("a"); err == nil {
		t.Error("revoked")
	}
	if l := s.List(); len(l) != 1 || l[0].Name != "a" {
		t.Errorf("%+v", l)
	}
}

func TestADamagedFileIsAnError(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":2,"tokens":[]}`, `{"version":1,"tokens":[{"name":"a","sha256":"00"}]}`, `{"version":1,"tokens":[{}]}`} {
		path := filepath.Join(t.TempDir(), "tokens.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestADayIsUsedUp(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tokens.json"))
	bounded := token("a")
	bounded.Submit.PerDay = 10
	for _, x := range []Token{bounded, token("b")} {
		if err := s.Create(x); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 1, 2, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		n  int
		ok bool
	}{{9, true}, {2, false}, {1, true}, {1, false}, {-3, true}, {3, true}, {1, false}} {
		wait, ok := s.Spend("a", c.n, now)
		if ok != c.ok || !ok && wait != time.Hour {
			t.Errorf("%d: %v %v", c.n, wait, ok)
		}
	}
	if _, ok := s.Spend("a", -5, now.Add(time.Hour)); !ok {
		t.Error("giving back is refused")
	}
	if _, ok := s.Spend("a", 10, now.Add(time.Hour)); !ok {
		t.Error("the next day has nothing")
	}
	if _, ok := s.Spend("b", 1<<30, now); !ok {
		t.Error("a token without a bound is bounded")
	}
}

func TestUseIsWrittenInAWhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		if err := s.Create(token("a")); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, slog.New(slog.DiscardHandler)) }()
		first := time.Now()
		s.Used("a", first)
		s.Used("a", first.Add(time.Second)) // within the grain
		time.Sleep(grain + time.Second)
		synctest.Wait()
		if got := open(t, path).List()[0].LastUsed; !got.Equal(first) {
			t.Errorf("%v, want %v", got, first)
		}
		s.Used("a", time.Now())
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := open(t, path).List()[0].LastUsed; !got.After(first) {
			t.Errorf("%v at the end", got)
		}
	})
}
