package mailscanner

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const lockPrefix = "temp-mtad-"

// instance is a living bridge: a name, and a lock that the kernel takes away when the
// process ends.
type instance struct {
	name string
	path string
	lock *os.File
}

// newInstance finds a name nobody has and locks it.
func newInstance(dir string) (*instance, error) {
	for range 10 {
		name := rand.Text()[:8]
		path := filepath.Join(dir, lockPrefix+name)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o660)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("mailscanner: %w", err)
		}
		i := &instance{name: name, path: path, lock: f}
		// Another bridge may take the file for a dead one's before it is locked here.
		if tryLock(f) && i.alive() {
			return i, nil
		}
		f.Close()
	}
	return nil, errors.New("mailscanner: no instance could be locked")
}

// alive reports whether others can see that this instance lives: its file is there and
// is the one it has locked.
func (i *instance) alive() bool {
	have, err := i.lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(i.path)
	return err == nil && os.SameFile(have, there)
}

// end gives the name up. A file of another's making under it stays.
func (i *instance) end() {
	if i.alive() {
		_ = os.Remove(i.path)
	}
	i.lock.Close()
}

// instanceOf returns the instance whose lock a file is.
func instanceOf(file string) (name string, ok bool) {
	name, ok = strings.CutPrefix(file, lockPrefix)
	return name, ok && len(name) == 8
}

// lockDead locks the file of an instance that is dead. It returns nil when the
// instance lives, or there is no such file.
func lockDead(path string) *os.File {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	if i := (&instance{path: path, lock: f}); tryLock(f) && i.alive() {
		return f
	}
	f.Close()
	return nil
}

// tryLock takes the lock that MailScanner takes, flock(2) and exclusive, if nobody has
// it. It ends when f is closed.
func tryLock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
