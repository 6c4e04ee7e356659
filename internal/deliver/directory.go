package deliver

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// directory is what a Maildir needs of a file system: the seam where tests put
// faults. Names are relative and stay below.
type directory interface {
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string) error
	// Create makes a file that must not be there yet.
	Create(name string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	// Sync makes the entries of a directory durable.
	Sync(name string) error
	Close() error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

// rooted is a directory that nothing leads out of, symbolic links included.
type rooted struct{ *os.Root }

func (r rooted) Mkdir(name string) error { return r.Root.Mkdir(name, 0o700) }

func (r rooted) Create(name string) (file, error) {
	return r.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (r rooted) Sync(name string) error {
	d, err := r.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
