package locallog

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gateFS stands between one generation of the store and the file system.
//
// A store that has failed must not spoil what its successor does: once shut, the
// gate lets no change through. It does not say so to pebble but takes everything
// and throws it away, because pebble cannot go on after an error of its
// write-ahead log: it panics in places where that ends the process. For the
// same reason an error of a file that the promise of durability rests on is not
// shown to an open store either: the gate tells the generation, which is at an
// end before the call returns, so that nothing is answered on the strength of it.
type gateFS struct {
	vfs.FS
	mu     sync.RWMutex // held shared by every change under way
	closed atomic.Bool
	// failed is called with the first error that ends an open store; nil while it
	// is being opened, when errors are returned as they are.
	failed atomic.Pointer[func(error)]
}

func newGateFS(fs vfs.FS) *gateFS { return &gateFS{FS: fs} }

// refuse lets no new change in. It does not wait.
func (g *gateFS) refuse() { g.closed.Store(true) }

// shut is refuse, and waits until no change is under way.
func (g *gateFS) shut() {
	g.mu.Lock() // waits for those inside
	g.closed.Store(true)
	g.mu.Unlock()
}

// vital says whether durability rests on the file: the write-ahead log, the
// manifest, and the markers that name the present ones.
func vital(name string) bool {
	base := name[strings.LastIndexByte(name, '/')+1:]
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST") || strings.HasPrefix(base, "marker")
}

// change runs f. done is false when it was not run, or when it ended the
// generation: the caller then gives pebble a success that means nothing.
func (g *gateFS) change(critical bool, f func() error) (done bool, err error) {
	g.mu.RLock()
	if g.closed.Load() {
		g.mu.RUnlock()
		return false, nil
	}
	err = f()
	failed := g.failed.Load()
	end := err != nil && critical && failed != nil && !errors.Is(err, os.ErrNotExist)
	if end {
		(*failed)(err)
	}
	g.mu.RUnlock()
	if end {
		return false, nil
	}
	if err != nil && isNoSpace(err) {
		time.Sleep(pause)
	}
	return true, err
}

func (g *gateFS) file(name string, f vfs.File, done bool, err error) (vfs.File, error) {
	switch {
	case err != nil:
		return nil, err
	case !done:
		return sinkFile{vfs.NewMemFile(nil)}, nil
	}
	return &gateFile{File: f, g: g, vital: vital(name)}, nil
}

func (g *gateFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	done, err := g.change(vital(name), func() error { f, err = g.FS.Create(name, c); return err })
	return g.file(name, f, done, err)
}

func (g *gateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (f vfs.File, err error) {
	done, err := g.change(vital(name), func() error { f, err = g.FS.OpenReadWrite(name, c, o...); return err })
	return g.file(name, f, done, err)
}

func (g *gateFS) OpenDir(name string) (f vfs.File, err error) {
	done, err := g.change(true, func() error { f, err = g.FS.OpenDir(name); return err })
	return g.file(name, f, done, err)
}

func (g *gateFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	done, err := g.change(vital(newname), func() error { f, err = g.FS.ReuseForWrite(oldname, newname, c); return err })
	return g.file(newname, f, done, err)
}

func (g *gateFS) Link(o, n string) error {
	_, err := g.change(vital(n), func() error { return g.FS.Link(o, n) })
	return err
}

func (g *gateFS) Remove(n string) error {
	_, err := g.change(false, func() error { return g.FS.Remove(n) })
	return err
}

func (g *gateFS) RemoveAll(n string) error {
	_, err := g.change(false, func() error { return g.FS.RemoveAll(n) })
	return err
}

func (g *gateFS) Rename(o, n string) error {
	_, err := g.change(vital(n), func() error { return g.FS.Rename(o, n) })
	return err
}

func (g *gateFS) MkdirAll(d string, p os.FileMode) error {
	_, err := g.change(false, func() error { return g.FS.MkdirAll(d, p) })
	return err
}

// Lock does nothing: the Log holds the directory's lock over all generations.
func (g *gateFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap hides what is beneath, so that pebble does not go around the gate.
func (g *gateFS) Unwrap() vfs.FS { return nil }

type gateFile struct {
	vfs.File
	g     *gateFS
	vital bool
}

func (f *gateFile) Write(p []byte) (n int, err error) {
	done, err := f.g.change(f.vital, func() error { n, err = f.File.Write(p); return err })
	if !done {
		n = len(p)
	}
	return n, err
}

func (f *gateFile) WriteAt(p []byte, off int64) (n int, err error) {
	done, err := f.g.change(f.vital, func() error { n, err = f.File.WriteAt(p, off); return err })
	if !done {
		n = len(p)
	}
	return n, err
}

// Preallocate is a hint: what it cannot have will be missed by a write.
func (f *gateFile) Preallocate(off, n int64) error {
	_, err := f.g.change(f.vital, func() error { return f.File.Preallocate(off, n) })
	return err
}

// Sync ends the generation when it fails, whatever the file: what a failed sync
// has left on the disk nobody knows.
func (f *gateFile) Sync() error {
	_, err := f.g.change(true, f.File.Sync)
	return err
}

func (f *gateFile) SyncData() error {
	_, err := f.g.change(true, f.File.SyncData)
	return err
}

func (f *gateFile) SyncTo(n int64) (full bool, err error) {
	_, err = f.g.change(true, func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// Close closes the file also when the gate is shut: descriptors are few.
func (f *gateFile) Close() error {
	if f.g.closed.Load() {
		_ = f.File.Close()
		return nil
	}
	_, err := f.g.change(f.vital, f.File.Close)
	return err
}

func (f *gateFile) Stat() (fi vfs.FileInfo, err error) {
	done, err := f.g.change(f.vital, func() error { fi, err = f.File.Stat(); return err })
	if !done {
		return vfs.NewMemFile(nil).Stat()
	}
	return fi, err
}

// sinkFile takes everything and keeps nothing.
type sinkFile struct{ vfs.File }

func (sinkFile) Write(p []byte) (int, error)            { return len(p), nil }
func (sinkFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (sinkFile) Preallocate(int64, int64) error         { return nil }
func (sinkFile) Sync() error                            { return nil }
func (sinkFile) SyncData() error                        { return nil }
func (sinkFile) SyncTo(int64) (bool, error)             { return true, nil }
func (sinkFile) Close() error                           { return nil }
