package auth

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/xdg-go/scram"
)

// FileOptions describe a password file.
type FileOptions struct {
	Path string
	// Realm is put behind a login without "@" that the file does not have: with
	// "example.org" the client ann is ann@example.org. "" adds nothing.
	Realm string
	// Hashes is how many passwords are hashed at a time: half the number of
	// processors, so that guessing leaves the other half to mail.
	Hashes int
	Logger *slog.Logger
}

// File is a password file. It is read again when it has changed; a new one that
// cannot be read leaves the old one in use, and a log line. Its methods are
// safe for concurrent use.
type File struct {
	o FileOptions
	vault

	mu    sync.Mutex
	seen  stamp
	table *table
}

// stamp tells one state of a file from another.
type stamp struct {
	size    int64
	changed time.Time
	mode    fs.FileMode
	inode   uint64
}

// OpenFile reads a password file.
func OpenFile(o FileOptions) (*File, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &File{o: o, vault: newVault(o.Hashes)}
	t, at, err := f.read()
	if err != nil {
		return nil, err
	}
	f.table, f.seen = t, at
	return f, nil
}

func (f *File) read() (*table, stamp, error) {
	r, err := os.Open(f.o.Path)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("auth: %w", err)
	}
	defer r.Close()
	fi, err := r.Stat()
	switch {
	case err != nil:
		return nil, stamp{}, fmt.Errorf("auth: %w", err)
	case !fi.Mode().IsRegular():
		return nil, stamp{}, fmt.Errorf("auth: %s is no file", f.o.Path)
	}
	t, err := parseTable(r)
	if err != nil {
		return nil, stampOf(fi), fmt.Errorf("auth: %s: %w", f.o.Path, err)
	}
	return t, stampOf(fi), nil
}

// current is the table as the file has it now.
func (f *File) current() *table {
	f.mu.Lock()
	defer f.mu.Unlock()
	fi, err := os.Stat(f.o.Path)
	if err == nil && stampOf(fi) == f.seen {
		return f.table
	}
	var t *table
	at := stamp{size: -1} // gone
	if err == nil {
		t, at, err = f.read()
	}
	switch {
	case err == nil:
		f.table = t
		f.o.Logger.Info("password file read again", "file", f.o.Path, "logins", len(t.names))
	case at != f.seen:
		f.o.Logger.Error("password file cannot be read, the old one stays in use", "file", f.o.Path, "error", err)
	}
	f.seen = at
	return f.table
}

// find returns the login's name in the file, and what is known of it; nil when
// there is no such login.
func (f *File) find(t *table, login string) (string, *secret) {
	login = Fold(login)
	if s := t.byName[login]; s != nil {
		return login, s
	}
	if f.o.Realm != "" && !strings.Contains(login, "@") {
		login += "@" + f.o.Realm
		if s := t.byName[login]; s != nil {
			return login, s
		}
	}
	return login, nil
}

// entry is a login as the file has it now.
func (f *File) entry(_ context.Context, login string) (*entry, error) {
	t := f.current()
	name, s := f.find(t, login)
	return &entry{name: name, exists: s != nil, own: s, like: f.standIn(t, name), vault: &f.vault}, nil
}

// SCRAM says whether every login has the keys for it.
func (f *File) SCRAM() bool { return f.current().scram }

// Verify compares a password and returns the login's name in the file. The
// error is ErrRefused, or that of ctx, which may end while others are hashed.
func (f *File) Verify(ctx context.Context, login, password string) (string, error) {
	e, _ := f.entry(ctx, login) // never fails
	if err := e.verify(ctx, password); err != nil {
		return "", err
	}
	return e.name, nil
}

// standIn is a secret that costs what those of the file cost: one of them, for a
// name always the same. Its password does not open anything.
func (f *File) standIn(t *table, name string) *secret {
	n := len(t.names)
	if n == 0 {
		return &secret{}
	}
	first := int(binary.BigEndian.Uint64(f.mac("stand-in", name)) % uint64(n))
	for i := range n {
		if s := t.byName[t.names[(first+i)%n]]; s.digest != nil || s.keys != nil {
			return s
		}
	}
	return &secret{}
}

// Keys are the SCRAM keys of a login. One that does not exist has a salt as
// others do, always the same as long as mtad runs, and keys that nothing fits.
func (f *File) Keys(login string) (string, scram.StoredCredentials, error) {
	if !ValidLogin(login) {
		return "", scram.StoredCredentials{}, ErrRefused
	}
	e, _ := f.entry(context.Background(), login) // never fails
	return e.name, e.keys(), nil
}
