package locallog

import (
	"io"
	"os"
	"sync"
	"time"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gateFS stands between one generation of the store and the file system. Once
// shut it lets no change through, so that a store that has failed cannot spoil
// what its successor does.
type gateFS struct {
	vfs.FS
	mu      sync.RWMutex // held shared by every change under way
	closed  bool
	refused chan struct{}
	once    sync.Once
}

func newGateFS(fs vfs.FS) *gateFS { return &gateFS{FS: fs, refused: make(chan struct{})} }

// refuse lets no new change in. It does not wait.
func (g *gateFS) refuse() { g.once.Do(func() { close(g.refused) }) }

// shut is refuse, and waits until no change is under way.
func (g *gateFS) shut() {
	g.refuse()
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}

// change runs f unless the gate is shut.
func (g *gateFS) change(f func() error) error {
	g.mu.RLock()
	select {
	case <-g.refused:
		g.mu.RUnlock()
		time.Sleep(pause)
		return engine.ErrLogIO
	default:
	}
	err := f()
	g.mu.RUnlock()
	if err != nil && isNoSpace(err) {
		time.Sleep(pause)
	}
	return err
}

func (g *gateFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &gateFile{File: f, g: g}, nil
}

func (g *gateFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.Create(name, c); return err })
	return g.file(f, err)
}

func (g *gateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.OpenReadWrite(name, c, o...); return err })
	return g.file(f, err)
}

func (g *gateFS) OpenDir(name string) (f vfs.File, err error) {
	f, err = g.FS.OpenDir(name)
	return g.file(f, err)
}

func (g *gateFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.ReuseForWrite(oldname, newname, c); return err })
	return g.file(f, err)
}

func (g *gateFS) Link(o, n string) error {
	return g.change(func() error { return g.FS.Link(o, n) })
}

func (g *gateFS) Remove(n string) error {
	return g.change(func() error { return g.FS.Remove(n) })
}

func (g *gateFS) RemoveAll(n string) error {
	return g.change(func() error { return g.FS.RemoveAll(n) })
}

func (g *gateFS) Rename(o, n string) error {
	return g.change(func() error { return g.FS.Rename(o, n) })
}

func (g *gateFS) MkdirAll(d string, p os.FileMode) error {
	return g.change(func() error { return g.FS.MkdirAll(d, p) })
}

// Lock does nothing: the Log holds the directory's lock over all generations.
func (g *gateFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap hides what is beneath, so that pebble does not go around the gate.
func (g *gateFS) Unwrap() vfs.FS { return nil }

type gateFile struct {
	vfs.File
	g *gateFS
}

func (f *gateFile) Write(p []byte) (n int, err error) {
	err = f.g.change(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *gateFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.g.change(func() error { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f *gateFile) Preallocate(off, n int64) error {
	return f.g.change(func() error { return f.File.Preallocate(off, n) })
}

func (f *gateFile) Sync() error { return f.g.change(f.File.Sync) }

func (f *gateFile) SyncData() error { return f.g.change(f.File.SyncData) }

func (f *gateFile) SyncTo(n int64) (full bool, err error) {
	err = f.g.change(func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}
