package engine_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// smallDisk is a file system with a quota.
type smallDisk struct {
	vfs.FS
	mu    sync.Mutex
	quota int64
}

func newSmallDisk(quota int64) *smallDisk { return &smallDisk{FS: vfs.NewCrashableMem(), quota: quota} }

func (d *smallDisk) resize(quota int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quota = quota
}

// used is what all files take.
func (d *smallDisk) used() (n int64) {
	for _, dir := range []string{"queue", "queue/db"} {
		names, _ := d.FS.List(dir)
		for _, name := range names {
			if fi, err := d.FS.Stat(d.FS.PathJoin(dir, name)); err == nil && !fi.IsDir() {
				n += fi.Size()
			}
		}
	}
	return n
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return vfs.DiskUsage{AvailBytes: uint64(max(d.quota-d.used(), 0)), TotalBytes: uint64(d.quota)}, nil
}

func (d *smallDisk) Create(n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.room(1); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(n, c)
	return &smallFile{f, d}, err
}

func (d *smallDisk) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(o, n, c)
	return &smallFile{f, d}, err
}

func (d *smallDisk) Unwrap() vfs.FS { return nil }

func (d *smallDisk) room(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used()+int64(n) > d.quota {
		return syscall.ENOSPC
	}
	return nil
}

type smallFile struct {
	vfs.File
	d *smallDisk
}

func (f *smallFile) Write(p []byte) (int, error) {
	if err := f.d.room(len(p)); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func openOnDisk(t *testing.T, d vfs.FS) *engine.Engine {
	t.Helper()
	log, err := locallog.Open("queue", locallog.Options{FS: d, Ballast: 1 << 20, FreeFloor: 512 << 10, MemTableSize: 256 << 10, RetryInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(context.Background(), log, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s: not within ten seconds", what)
}

func TestFullDiskRefusesMailAndGoesOnDelivering(t *testing.T) {
	d := newSmallDisk(8 << 20)
	q := openOnDisk(t, d)
	w := newWorld()
	var err error
	for i := 0; err == nil; i++ {
		if i > 10000 {
			t.Fatal("the disk does not fill")
		}
		err = w.send(q, 20000, queue.CreateOptions{}, "a.example")
	}
	if !errors.Is(err, queue.ErrFull) {
		t.Fatalf("refused with %v, want %v", err, queue.ErrFull)
	}
	if h := q.Health(t.Context()); h.Ready || h.Reason != "storage_full" {
		t.Errorf("health %+v", h)
	}
	cs, err := q.Claim(t.Context(), queue.ClaimSpec{From: queue.Incoming, Max: 100, Lease: time.Minute})
	if err != nil || len(cs) == 0 {
		t.Fatalf("%d claims, %v", len(cs), err)
	}
	for _, c := range cs {
		if _, err := q.Apply(t.Context(), queue.Txn{Token: c.Token, Ops: finishing(c.Item)}); err != nil {
			t.Fatalf("a delivery on a full disk: %v", err)
		}
	}
	d.resize(64 << 20)
	await(t, "mail is taken again", func() bool { return w.send(q, 20000, queue.CreateOptions{}, "a.example") == nil })
	w.check(t, q, "after a full disk")
}

func TestFullMidwayIsUncertainOrRefusedAndComesBack(t *testing.T) {
	d := newSmallDisk(6 << 20)
	q := openOnDisk(t, d)
	w := newWorld()
	if err := w.send(q, 20000, queue.CreateOptions{}, "a.example"); err != nil {
		t.Fatal(err)
	}
	d.resize(0) // even the ballast is no help
	if err := w.send(q, 20000, queue.CreateOptions{}, "a.example"); err == nil {
		t.Fatal("accepted without room")
	}
	d.resize(64 << 20)
	await(t, "mail is taken again", func() bool { return w.send(q, 20000, queue.CreateOptions{}, "a.example") == nil })
	w.check(t, q, "after no room at all")
}

func TestStartOnAFullDiskWorks(t *testing.T) {
	d := newSmallDisk(8 << 20)
	q := openOnDisk(t, d)
	w := newWorld()
	if err := w.send(q, 20000, queue.CreateOptions{}, "a.example"); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	d.resize(d.used()) // nothing left but the ballast
	q = openOnDisk(t, d)
	await(t, "deliveries go on", func() bool { return q.Health(t.Context()).Writable })
	if err := w.send(q, 20000, queue.CreateOptions{}, "a.example"); !errors.Is(err, queue.ErrFull) {
		t.Errorf("got %v, want %v", err, queue.ErrFull)
	}
	w.check(t, q, "on a full disk")
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	d.resize(0) // not even that
	q = openOnDisk(t, d)
	if err := w.send(q, 20000, queue.CreateOptions{}, "a.example"); err == nil {
		t.Error("accepted without room")
	}
	d.resize(64 << 20)
	await(t, "mail is taken", func() bool { return w.send(q, 20000, queue.CreateOptions{}, "a.example") == nil })
}
