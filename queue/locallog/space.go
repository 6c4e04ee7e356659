package locallog

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spaceKeeper keeps the ballast and knows how full the file system is.
//
// The ballast is several files, given up one at a time and only when a write of
// ours found no space: whatever fills the disk would take all of it at once, and
// the store needs room not only to go on but, after a failure, to be opened.
type spaceKeeper struct {
	fs      vfs.FS
	dir     string
	ballast int64
	floor   int64

	full atomic.Bool // no new mail
	free atomic.Int64
	hit  atomic.Bool // a write found no space since the last check

	mu   sync.Mutex
	held [ballastFiles]bool
}

const ballastFiles = 8

func (s *spaceKeeper) init(fs vfs.FS, dir string, ballast, floor int64) {
	s.fs, s.dir, s.ballast, s.floor = fs, dir, ballast, floor
	s.free.Store(-1)
	for i := range s.held {
		if fi, err := fs.Stat(s.name(i)); err == nil {
			s.held[i] = fi.Size() >= s.share()
		}
	}
}

func (s *spaceKeeper) share() int64 { return s.ballast / ballastFiles }

func (s *spaceKeeper) name(i int) string {
	return s.fs.PathJoin(s.dir, "ballast-"+strconv.Itoa(i))
}

// wrap gives up ballast when a write finds no space, and has it tried again.
func (s *spaceKeeper) wrap(fs vfs.FS) vfs.FS { return vfs.OnDiskFull(fs, s.onFull) }

func (s *spaceKeeper) onFull() {
	s.full.Store(true)
	s.hit.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, held := range s.held {
		if held {
			_ = s.fs.Remove(s.name(i))
			s.held[i] = false
			return
		}
	}
}

// missing is the ballast that was given up, in octets.
func (s *spaceKeeper) missing() (n int64) {
	for _, held := range s.held {
		if !held {
			n += s.share()
		}
	}
	return n
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
	switch {
	case free < s.floor:
		s.full.Store(true)
	case !hit && free >= s.floor+s.missing() && s.grow():
		s.full.Store(false)
	}
}

// grow makes what is missing; true when all of it is there, or none is wanted.
func (s *spaceKeeper) grow() bool {
	if s.ballast <= 0 {
		return true
	}
	for i, held := range s.held {
		if !held && !s.make(i) {
			return false
		}
	}
	return true
}

func (s *spaceKeeper) make(i int) bool {
	f, err := s.fs.Create(s.name(i), "ballast")
	if err != nil {
		return false
	}
	err = fill(f, s.share())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = s.fs.Remove(s.name(i))
		return false
	}
	s.held[i] = true
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
