package locallog

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// generation is one opening of the store, from open to failure or close.
type generation struct {
	log    *Log
	epoch  uint64
	db     *pebble.DB
	cache  *pebble.Cache
	fs     *gateFS
	failed atomic.Bool
	once   sync.Once
	err    error // set before failed

	// inside counts calls, iterators and snapshots in use, so that close does not
	// pull the store away from under them.
	mu     sync.Mutex
	idle   sync.Cond // L is &mu
	inside int
	end    bool
}

// begin notes which gate is being opened behind; false when the log is closed.
func (l *Log) begin(fs *gateFS) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opening = fs
	return !l.closed
}

// openGeneration opens the store behind a gate of its own.
func (l *Log) openGeneration() (g *generation, err error) {
	fs := newGateFS(l.space.wrap(l.o.FS))
	g = &generation{log: l, fs: fs}
	g.idle.L = &g.mu
	if !l.begin(fs) {
		return nil, errClosed
	}
	defer l.begin(nil)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store panics: %v: %w", r, engine.ErrLogIO)
		}
		if err == nil && g.failed.Load() {
			err = g.err // fail abandons it
		}
		if err != nil {
			fs.shut()
		}
	}()
	db := g.fs.PathJoin(l.dir, "db")
	if err := makeDir(g.fs, db); err != nil {
		return nil, err
	}
	g.cache = pebble.NewCache(l.o.CacheSize)
	defer g.cache.Unref()
	opened, err := pebble.Open(db, g.options())
	// abandon may look already: pebble can fail the store while it opens it.
	g.mu.Lock()
	g.db = opened
	g.mu.Unlock()
	if err == nil {
		failed := g.fail
		fs.failed.Store(&failed)
	}
	return g, err
}

func (g *generation) options() *pebble.Options {
	l := g.log
	o := &pebble.Options{
		FS:                          g.fs,
		Logger:                      pebbleLogger{g: g, log: l.log},
		Cache:                       g.cache,
		MemTableSize:                uint64(l.o.MemTableSize),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                500,
		FormatMajorVersion:          pebble.FormatNewest,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		DisableWAL:                  false,
		WALBytesPerSync:             512 << 10,
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.EventListener = &pebble.EventListener{BackgroundError: l.trouble}
	return o
}

// fail ends the generation: nothing more is written by it. It may be called
// from inside pebble, with pebble's locks held.
func (g *generation) fail(err error) {
	g.once.Do(func() {
		g.err = err
		g.failed.Store(true)
		g.fs.refuse()
		go func() {
			g.fs.shut()
			g.log.lost(g, err)
			g.abandon()
		}()
	})
}

// abandon closes a store that failed. It may hang or panic inside pebble; both
// are harmless, since the gate is shut.
func (g *generation) abandon() {
	defer func() { _ = recover() }()
	g.last()
	g.mu.Lock()
	db := g.db
	g.mu.Unlock()
	if db != nil {
		_ = db.Close()
	}
}

func (g *generation) close() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("locallog: close: %v", r)
		}
	}()
	if !g.last() || g.failed.Load() {
		return nil
	}
	err = g.db.LogData(nil, pebble.Sync)
	if cerr := g.db.Close(); err == nil {
		err = cerr
	}
	return err
}

// enter begins a call into db; leave ends it.
func (g *generation) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end || g.failed.Load() {
		return fmt.Errorf("locallog: store is down: %w", engine.ErrLogIO)
	}
	g.inside++
	return nil
}

func (g *generation) leave() {
	g.mu.Lock()
	g.inside--
	if g.inside == 0 {
		g.idle.Broadcast()
	}
	g.mu.Unlock()
}

// last waits until nobody is inside and lets nobody in any more. It is false
// when that was done before.
func (g *generation) last() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end {
		return false
	}
	g.end = true
	for g.inside > 0 {
		g.idle.Wait()
	}
	return true
}

// pebbleLogger turns Fatalf, which pebble calls when it cannot go on, into the
// end of the generation.
type pebbleLogger struct {
	g   *generation
	log *slog.Logger
}

func (p pebbleLogger) Infof(format string, args ...any) {}

func (p pebbleLogger) Errorf(format string, args ...any) {
	p.log.Warn("store", "message", fmt.Sprintf(format, args...))
}

func (p pebbleLogger) Fatalf(format string, args ...any) {
	p.g.fail(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), engine.ErrLogIO))
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// isTransient says whether opening the store may work later.
func isTransient(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		switch errno {
		case syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE,
			syscall.ENOMEM, syscall.EINTR, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EROFS:
			return true
		}
		return false
	}
	return errors.Is(err, engine.ErrLogIO)
}

// pause is how long a write waits that found no space, so that pebble, which
// tries again at once and for ever, does not spin.
const pause = 20 * time.Millisecond
