package engine_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// syncFS calls hook before and after every sync of a file or directory.
type syncFS struct {
	vfs.FS
	hook func(when string)
}

type syncFile struct {
	vfs.File
	fs *syncFS
}

func (f *syncFS) wrap(x vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &syncFile{x, f}, nil
}

func (f *syncFS) Create(n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(f.FS.Create(n, c))
}

func (f *syncFS) OpenReadWrite(n string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.wrap(f.FS.OpenReadWrite(n, c, o...))
}

func (f *syncFS) OpenDir(n string) (vfs.File, error) { return f.wrap(f.FS.OpenDir(n)) }

func (f *syncFS) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(f.FS.ReuseForWrite(o, n, c))
}

func (f *syncFS) Unwrap() vfs.FS { return nil }

func (f *syncFile) Sync() error {
	f.fs.hook("before")
	err := f.File.Sync()
	f.fs.hook("after")
	return err
}

func (f *syncFile) SyncData() error {
	f.fs.hook("before")
	err := f.File.SyncData()
	f.fs.hook("after")
	return err
}

// A power cut may come before and after every sync, with any part of what was
// not synced lost: what was answered is there, what was not is whole or absent.
func TestCrashAtEverySyncLosesNothingAnswered(t *testing.T) {
	type moment struct {
		fs   *vfs.MemFS
		w    *world
		what string
	}
	var mu sync.Mutex
	var moments []moment
	mem := vfs.NewCrashableMem()
	w := newWorld()
	hook := func(when string) {
		mu.Lock()
		defer mu.Unlock()
		known := w.copy()
		n := len(moments)
		moments = append(moments, moment{crashed(mem, uint64(n)), known, fmt.Sprintf("%s sync %d", when, n/2)})
	}
	q, err := openQuick(t, &syncFS{FS: mem, hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range w.history(q) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d moments", len(moments))
	for _, m := range moments {
		q, err := openQuick(t, m.fs)
		if err != nil {
			t.Fatalf("%s: %v", m.what, err)
		}
		m.w.check(t, q, m.what)
		if err := q.Close(); err != nil {
			t.Fatalf("%s: close: %v", m.what, err)
		}
		if t.Failed() {
			return
		}
	}
}
