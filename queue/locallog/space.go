package locallog

import (
	"sync"
	"sync/atomic"
	"time"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spaceKeeper keeps the ballast file and knows how full the file system is.
type spaceKeeper struct {
	fs      vfs.FS
	dir     string
	ballast int64
	floor   int64

	full atomic.Bool // no new mail
	free atomic.Int64
	hit  atomic.Bool // a write found no space since the last check

	mu   sync.Mutex
	held bool // the ballast is there
}

func (s *spaceKeeper) init(fs vfs.FS, dir string, ballast, floor int64) {
	s.fs, s.dir, s.ballast, s.floor = fs, dir, ballast, floor
	s.free.Store(-1)
	if fi, err := fs.Stat(s.name()); err == nil {
		s.held = fi.Size() >= ballast
	}
}

func (s *spaceKeeper) name() string { return s.fs.PathJoin(s.dir, "ballast") }

// wrap drops the ballast when a write finds no space, and has it tried again.
func (s *spaceKeeper) wrap(fs vfs.FS) vfs.FS { return vfs.OnDiskFull(fs, s.onFull) }

func (s *spaceKeeper) onFull() {
	s.full.Store(true)
	s.hit.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

func (s *spaceKeeper) drop() {
	if s.held || s.ballast > 0 {
		_ = s.fs.Remove(s.name())
		s.held = false
	}
}

// check looks at the free space: below the floor the log is full; when the space
// is back the ballast is made anew before mail is taken again.
func (s *spaceKeeper) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	hit := s.hit.Swap(false)
	du, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		// Unknown: go by what writes have met.
		s.free.Store(-1)
		if !hit && s.grow() {
			s.full.Store(false)
		}
		return
	}
	free := int64(min(du.AvailBytes, 1<<62))
	s.free.Store(free)
	need := s.floor
	if !s.held {
		need += s.ballast
	}
	switch {
	case free < s.floor:
		s.full.Store(true)
		if free < s.floor/4 {
			s.drop()
		}
	case !hit && free >= need && s.grow():
		s.full.Store(false)
	}
}

// grow makes the ballast; true when it is there, or none is wanted.
func (s *spaceKeeper) grow() bool {
	if s.held || s.ballast <= 0 {
		return true
	}
	f, err := s.fs.Create(s.name(), "ballast")
	if err != nil {
		return false
	}
	err = fill(f, s.ballast)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = s.fs.Remove(s.name())
		return false
	}
	s.held = true
	return true
}

// fill takes real blocks: Preallocate alone is a hint that not every file system
// follows, and octets of zero may be kept as a hole.
func fill(f vfs.File, size int64) error {
	if err := f.Preallocate(0, size); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for i := range buf {
		buf[i] = byte(i*131 + i>>8)
	}
	for n := int64(0); n < size; n += int64(len(buf)) {
		if _, err := f.Write(buf[:min(int64(len(buf)), size-n)]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// watchSpace looks at the free space at each interval.
func (l *Log) watchSpace() {
	t := time.NewTicker(l.o.RetryInterval)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.space.check()
		}
	}
}

// Space implements engine.Log.
func (l *Log) Space() engine.Space {
	return engine.Space{FreeBytes: l.space.free.Load(), Full: l.space.full.Load()}
}
