package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"mtad/internal/config"
)

// ErrSpoolBusy: another process has the spool.
var ErrSpoolBusy = errors.New("the spool is in use by another mtad")

// ErrVolatile: the spool's file system forgets everything at a restart.
var ErrVolatile = errors.New("the spool would not survive a restart")

// Magic numbers of statfs(2).
const (
	magicTmpfs   = 0x01021994
	magicRamfs   = 0x858458f6
	magicOverlay = 0x794c7630
)

// spool is the directory with its lock.
type spool struct {
	dir    string
	lock   *os.File
	unsafe []string // what voids a promise and was allowed
}

// openSpool makes the directory, checks it and takes its lock.
func openSpool(c config.Spool) (*spool, error) {
	// Others may pass through to the sockets and the maildrop; they see nothing else,
	// and everything else in it is closed to them.
	if err := makeSpool(c.Directory); err != nil {
		return nil, fmt.Errorf("app: spool: %w", err)
	}
	s := &spool{dir: c.Directory}
	if err := s.checkAccess(); err != nil {
		return nil, err
	}
	if err := s.checkFileSystem(c.AllowVolatile); err != nil {
		return nil, err
	}
	return s, s.takeLock()
}

// makeSpool makes the directory where there is none, with its mode whatever the
// umask. One that is there keeps the mode that somebody gave it.
func makeSpool(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	return os.Chmod(dir, 0o711)
}

// checkAccess refuses a spool that others can write to: they could put mail
// into it, or take it away.
func (s *spool) checkAccess() error {
	fi, err := os.Stat(s.dir)
	if err != nil {
		return fmt.Errorf("app: spool: %w", err)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("app: spool %s: group or others may write to it (mode %04o); chmod go-w %s", s.dir, fi.Mode().Perm(), s.dir)
	}
	return nil
}

func (s *spool) checkFileSystem(allow bool) error {
	kind := volatile(s.dir)
	if kind == "" {
		return nil
	}
	if !allow {
		return fmt.Errorf("app: spool %s is on %s: %w; put it on a disk or volume, or say spool.allow_volatile: true if losing it is meant", s.dir, kind, ErrVolatile)
	}
	s.unsafe = append(s.unsafe, "allow_volatile")
	return nil
}

// volatile names the kind of file system when it forgets, otherwise "". The
// writable layer of a container counts under Kubernetes only, where every restart
// makes a new one.
func volatile(dir string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return ""
	}
	switch uint32(st.Type) {
	case magicTmpfs:
		return "tmpfs"
	case magicRamfs:
		return "ramfs"
	case magicOverlay:
		if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
			return "the container's own layer"
		}
	}
	return ""
}

// takeLock makes this process the owner. The lock ends with the process, however
// that ends.
func (s *spool) takeLock() error {
	path := filepath.Join(s.dir, "mtad.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return s.withoutLock(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("app: spool %s: %w%s", s.dir, ErrSpoolBusy, owner(f))
		}
		return fmt.Errorf("app: lock %s: %w", path, err)
	}
	s.lock = f
	// For people; on a full disk it stays empty.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return nil
}

// withoutLock lets a start on a full disk pass: the store has a lock of its own.
func (s *spool) withoutLock(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("app: spool %s: cannot write there: %w", s.dir, err)
}

func owner(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

func (s *spool) close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}
