package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

// keysOf are SCRAM keys with few iterations.
func keysOf(t testing.TB, password string) string {
	t.Helper()
	k, err := derive(password, scram.KeyFactors{Salt: "a salt of 16 oct", Iters: 4096})
	if err != nil {
		t.Fatal(err)
	}
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("{SCRAM-SHA-256}4096,%s,%s,%s", b([]byte(k.Salt)), b(k.StoredKey), b(k.ServerKey))
}

// openFile makes a password file of lines.
func openFile(t testing.TB, realm string, lines ...string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	write(t, path, lines...)
	f, err := OpenFile(FileOptions{Path: path, Realm: realm})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write replaces a file as an editor does.
func write(t testing.TB, path string, lines ...string) {
	t.Helper()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

// dialogueOf runs an AUTH command with the client's lines ready. It returns the
// reply and the challenges.
func dialogueOf(s *Service, x *Session, arg string, lines ...string) (login string, code int, challenges []string) {
	login, _, reply := s.Serve(context.Background(), x, arg, func(challenge string) (string, error) {
		challenges = append(challenges, challenge)
		if len(lines) == 0 {
			return "", errors.New("the client is gone")
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	})
	return login, reply.Code, challenges
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func session(addr string) *Session {
	return &Session{Peer: Peer{Listener: "submission", Addr: netip.MustParseAddr(addr)}}
}

// waits collects what clients were made to wait.
type waits struct{ all []time.Duration }

func (w *waits) wait(_ context.Context, d time.Duration) error {
	w.all = append(w.all, d)
	return nil
}
