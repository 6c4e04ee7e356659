// Package locallog is the engine.Log of a queue on one machine: records, index
// and content chunks together in one pebble store, so that a change with its
// index entries and its last octets is one batch and one sync of the
// write-ahead log.
//
// # Trouble
//
// A failed write or sync of the write-ahead log or the manifest ends the
// generation of the store: a gate in front of its file system lets nothing more
// through, Apply answers engine.ErrLogIO, and the store is opened anew in the
// background, every RetryInterval, until that works. Nothing is retried after a
// failed sync: what is true is found by reading the log again.
//
// Ballast files and a floor of free space keep room for deliveries and deletions
// when the disk is full: at the floor Space().Full is set; when a write finds no
// space one of the files is given up and the write tried once more.
//
// # Promised
//
// The directory belongs to one process at a time. Every state that a crash can
// leave opens again. Chunks carry their own checksum.
package locallog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configure a Log. The zero value is usable.
type Options struct {
	// FS is the file system; nil is that of the operating system.
	FS     vfs.FS
	Logger *slog.Logger
	// MemTableSize in octets; 0 is 8 MB. Up to three of them are kept.
	MemTableSize int64
	// CacheSize of the block cache in octets; 0 is 16 MB.
	CacheSize int64
	// Ballast is the size in octets of the files that are given up when the disk is
	// full; 0 is 64 MB, negative is none.
	Ballast int64
	// FreeFloor: with less octets free the log is full; 0 is 128 MB, negative is
	// no floor.
	FreeFloor int64
	// RetryInterval is the time between attempts to open a store that failed, and
	// between looks at the free space; 0 is 500 ms.
	RetryInterval time.Duration
	// NoSync gives up durability: Apply does not wait for the disk. It is shown by
	// Unsafe and an engine refuses it unless told otherwise.
	NoSync bool
}

// Log is an engine.Log over a directory.
type Log struct {
	dir  string
	o    Options
	lock io.Closer
	log  *slog.Logger

	mu      sync.Mutex
	cur     *generation   // nil: down
	opening *gateFS       // of the store that is being opened
	changed chan struct{} // closed when cur changes
	epoch   uint64
	closed  bool

	troubles troubles

	space spaceKeeper
	stop  chan struct{}
	work  sync.WaitGroup
}

var _ engine.Log = (*Log)(nil)

// Open opens or makes the store under dir and takes its lock. When the store
// cannot be opened for want of space or for I/O trouble Open succeeds, and the
// log is down until a later attempt works; other errors are returned.
func Open(dir string, o Options) (*Log, error) {
	o = o.withDefaults()
	if err := o.FS.MkdirAll(dir, 0o700); err != nil && !isTransient(err) {
		return nil, fmt.Errorf("locallog: make %s: %w", dir, err)
	}
	lock, err := takeLock(o.FS, dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, o: o, lock: lock, log: o.Logger, changed: make(chan struct{}), stop: make(chan struct{})}
	l.space.init(o.FS, dir, o.Ballast, o.FreeFloor)
	l.space.check()
	if err := l.firstOpen(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("locallog: open %s: %w", dir, err)
	}
	l.work.Go(l.watchSpace)
	return l, nil
}

// firstOpen opens the store. What may pass is left to a later attempt. On a full
// disk pebble goes on trying to write out what it replayed until there is room:
// after patience that goes on without the caller.
func (l *Log) firstOpen() error {
	done := make(chan error, 1)
	l.work.Go(func() {
		g, err := l.openGeneration()
		switch {
		case err == nil:
			l.install(g)
		case isTransient(err):
			l.log.Error("store cannot be opened now", "dir", l.dir, "error", err)
			err = nil
			l.work.Go(l.reopen)
		}
		done <- err
	})
	t := time.NewTicker(patience)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-t.C:
			if l.space.full.Load() {
				l.log.Error("store waits for space", "dir", l.dir)
				return nil
			}
		}
	}
}

// patience is how long Open waits for a store on a full disk.
const patience = 500 * time.Millisecond

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
		*v = max(*v, 0)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	def(&o.MemTableSize, 8<<20)
	def(&o.CacheSize, 16<<20)
	def(&o.Ballast, 64<<20)
	def(&o.FreeFloor, 128<<20)
	if o.RetryInterval <= 0 {
		o.RetryInterval = 500 * time.Millisecond
	}
	return o
}

// makeDir makes dir and what is missing above it, and syncs all that is above: a
// directory that a power cut takes away takes the queue with it. It does so also
// when dir is there, since whoever made it may have failed to sync it. What is
// above and may not be read was there before us.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for d := dir; d != fs.PathDir(d); {
		d = fs.PathDir(d)
		if err := syncDir(fs, d); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// takeLock locks the directory for this process. The lock file is ours, not
// pebble's: it is held over all generations.
func takeLock(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, "OWNER"))
	if err != nil && isTransient(err) {
		// Without an inode there is nobody else either who could make the file.
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("locallog: %s is in use: %w", dir, err)
	}
	return lock, nil
}

// install makes g the present generation.
func (l *Log) install(g *generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		g.fail(errClosed)
		return
	}
	if g.failed.Load() { // since it was opened: nobody else looks after it
		l.work.Go(func() {
			g.fs.shut() // its last change is over before the successor reads
			l.reopen()
		})
		return
	}
	l.epoch++
	g.epoch = l.epoch
	l.cur = g
	close(l.changed)
	l.changed = make(chan struct{})
}

// lost is called once when a generation has failed.
func (l *Log) lost(g *generation, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != g || l.closed {
		return
	}
	l.cur = nil
	close(l.changed)
	l.changed = make(chan struct{})
	l.log.Error("store failed, opening it anew", "dir", l.dir, "error", err)
	l.work.Go(l.reopen)
}

// reopen tries until the store is open again or the log is closed.
func (l *Log) reopen() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
		}
		l.space.check()
		g, err := l.openGeneration()
		if err == nil {
			l.log.Info("store is open again", "dir", l.dir)
			l.install(g)
			return
		}
		l.log.Error("store cannot be opened now", "dir", l.dir, "error", err)
		t.Reset(l.o.RetryInterval)
	}
}

// generation returns the present one or ErrLogIO.
func (l *Log) generation() (*generation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == nil || l.cur.failed.Load() {
		return nil, fmt.Errorf("locallog: store is down: %w", engine.ErrLogIO)
	}
	return l.cur, nil
}

// Epoch implements engine.Log.
func (l *Log) Epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == nil || l.cur.failed.Load() {
		return 0
	}
	return l.cur.epoch
}

// Wait implements engine.Log.
func (l *Log) Wait(ctx context.Context, old uint64) (uint64, error) {
	for {
		l.mu.Lock()
		cur, changed, closed := l.cur, l.changed, l.closed
		l.mu.Unlock()
		switch {
		case closed:
			return 0, errClosed
		case cur != nil && cur.epoch != old && !cur.failed.Load():
			return cur.epoch, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-changed:
		}
	}
}

// Unsafe implements engine.Log.
func (l *Log) Unsafe() []string {
	if l.o.NoSync {
		return []string{"no_sync"}
	}
	return nil
}

// Close ends the log. Everything applied is synced first.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	g := l.cur
	l.cur = nil
	if l.opening != nil {
		l.opening.refuse() // lets it come to an end
	}
	close(l.stop)
	close(l.changed)
	l.mu.Unlock()
	l.work.Wait()
	var err error
	if g != nil {
		err = g.close()
	}
	if lerr := l.lock.Close(); err == nil {
		err = lerr
	}
	return err
}

var errClosed = fmt.Errorf("locallog: closed: %w", engine.ErrLogIO)

// classify turns an error of pebble into one of engine's.
func classify(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrNotFound):
		return engine.ErrNoKey
	case isNoSpace(err):
		return fmt.Errorf("locallog: %s: %w: %w", what, engine.ErrLogFull, err)
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("locallog: %s: %w: %w", what, engine.ErrLogCorrupt, err)
	}
	return fmt.Errorf("locallog: %s: %w: %w", what, engine.ErrLogIO, err)
}
