package pickup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"mtad/internal/maildrop"
)

// directories makes what is missing of a maildrop. Under systemd's RestrictSUIDSGID=
// mtad cannot set the mode of "in" itself: tmpfiles.d does, and then nothing is left to do.
func (p *Pickup) directories() error {
	if err := os.MkdirAll(p.o.Dir, 0o711); err != nil {
		return err
	}
	if _, err := makeDir(p.o.Dir, 0o711); err != nil {
		return err
	}
	if _, err := makeDir(p.away, 0o700); err != nil {
		return err
	}
	st, err := makeDir(p.in, maildrop.InMode)
	if err != nil {
		return err
	}
	p.gid = st.Gid
	if p.o.Hostname != "" {
		if err := maildrop.SetHostname(p.o.Dir, p.o.Hostname); err != nil {
			p.log.Warn("maildrop: the host name could not be written", "error", err)
		}
	}
	return nil
}

// makeDir makes a directory of ours, or sees that it is one.
func makeDir(path string, mode fs.FileMode) (*syscall.Stat_t, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.IsDir() || int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s: not a directory of this user's", path)
	}
	const bits = fs.ModePerm | fs.ModeSetgid | fs.ModeSticky
	if fi.Mode()&bits != mode {
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// readSome are the names of at most n files.
func readSome(dir string, n int) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(n)
	if len(names) == 0 {
		return nil, err
	}
	return names, nil
}

// asideName is a file's name in "aside": why, whose, and a name that nobody chose.
func asideName(reason string, uid int) string {
	return fmt.Sprintf("%s.%d.%s", reason, uid, maildrop.NewName())
}

func reasonOf(name string) string {
	reason, _, _ := strings.Cut(filepath.Base(name), ".")
	return reason
}
