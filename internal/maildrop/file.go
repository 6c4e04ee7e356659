package maildrop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Names and modes within a maildrop.
const (
	In        = "in"
	Aside     = "aside"
	InMode    = os.ModeSetgid | os.ModeSticky | 0o733
	FileMode  = 0o640
	partial   = "t."
	complete  = "m."
	nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	nameLen   = 26
)

// NewName makes a NAME.
func NewName() string { return rand.Text() }

// Key is the idempotency key of the message NAME: where it is handed in over the
// API with this key, a file of this name makes no second message.
func Key(name string) string { return "maildrop:" + name }

// Name is the NAME of a complete message's file.
func Name(file string) (string, bool) { return cut(file, complete) }

// Partial says whether file is one that is being written.
func Partial(file string) bool {
	_, ok := cut(file, partial)
	return ok
}

func cut(file, prefix string) (string, bool) {
	name, ok := strings.CutPrefix(file, prefix)
	if !ok || len(name) != nameLen || strings.Trim(name, nameChars) != "" {
		return "", false
	}
	return name, true
}

// File is a message that is being written. It is for one goroutine.
type File struct {
	f    *os.File
	in   string // directory
	name string
}

// Create begins the message NAME in a maildrop. Abort or Commit ends it.
func Create(dir, name string) (*File, error) {
	in := filepath.Join(dir, In)
	if fi, err := os.Stat(in); err != nil {
		return nil, fmt.Errorf("maildrop: %w", err)
	} else if !fi.IsDir() || fi.Mode()&os.ModeSticky == 0 && fi.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("maildrop: %s: others could remove a message there", in)
	}
	f, err := os.OpenFile(filepath.Join(in, partial+name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("maildrop: %w", err)
	}
	return &File{f, in, name}, nil
}

// Write appends to the message.
func (f *File) Write(p []byte) (int, error) { return f.f.Write(p) }

// Commit makes the message one that mtad takes. After nil it is on stable storage;
// after an error it is there or not.
func (f *File) Commit() error {
	defer f.f.Close()
	if err := errors.Join(f.f.Chmod(FileMode), f.f.Sync()); err != nil {
		_ = os.Remove(f.f.Name())
		return fmt.Errorf("maildrop: %w", err)
	}
	if err := os.Rename(f.f.Name(), filepath.Join(f.in, complete+f.name)); err != nil {
		_ = os.Remove(f.f.Name())
		return fmt.Errorf("maildrop: %w", err)
	}
	return f.syncName()
}

// syncName makes the rename durable. Who may not read the directory cannot open it
// for fsync(2); then the whole file system is synced, which says the same.
func (f *File) syncName() error {
	d, err := os.Open(f.in)
	if err == nil {
		defer d.Close()
		err = d.Sync()
	} else {
		err = syncAll(f.f)
	}
	if err != nil {
		return fmt.Errorf("maildrop: %w", err)
	}
	return nil
}

// Abort ends a message that shall not be.
func (f *File) Abort() {
	_ = os.Remove(f.f.Name())
	_ = f.f.Close()
}
