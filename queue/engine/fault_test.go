package engine_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// fault fails one call of its kind: the n-th.
type fault struct {
	kinds map[errorfs.OpKind]bool
	err   error
	left  atomic.Int64
	fired atomic.Bool
	off   atomic.Bool
}

func (f *fault) String() string { return "fault" }

func (f *fault) MaybeError(op errorfs.Op) error {
	if f.kinds[op.Kind] && !f.off.Load() && f.left.Add(-1) == 0 {
		f.fired.Store(true)
		return f.err
	}
	return nil
}

// A fault at call 1, 2, 3 … until a run passes without it: whatever it hits, the
// queue comes back by itself, nothing answered is lost, nothing is half there;
// and it is so after a power cut, too.
func TestFaultAtEveryCallLosesNothingAnswered(t *testing.T) {
	kinds := map[string][]errorfs.OpKind{
		"write":  {errorfs.OpFileWrite, errorfs.OpFileWriteAt},
		"sync":   {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
		"create": {errorfs.OpCreate, errorfs.OpOpenDir, errorfs.OpReuseForWrite, errorfs.OpMkdirAll},
		"rename": {errorfs.OpRename, errorfs.OpLink, errorfs.OpRemove},
		"open":   {errorfs.OpOpen, errorfs.OpList, errorfs.OpStat},
		"read":   {errorfs.OpFileRead, errorfs.OpFileReadAt},
	}
	for name, ops := range kinds {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
			if errno == syscall.ENOSPC && (name == "read" || name == "open") || errno == syscall.EMFILE && name != "create" && name != "open" {
				continue
			}
			t.Run(fmt.Sprintf("%s %v", name, errno), func(t *testing.T) { faults(t, ops, errno) })
		}
	}
}

func faults(t *testing.T, ops []errorfs.OpKind, errno syscall.Errno) {
	step := int64(1)
	if testing.Short() {
		step = 7
	}
	for n := int64(1); ; n += step {
		f := &fault{kinds: map[errorfs.OpKind]bool{}, err: errno}
		for _, k := range ops {
			f.kinds[k] = true
		}
		f.left.Store(n)
		runWithFault(t, f, fmt.Sprintf("call %d", n))
		if t.Failed() || !f.fired.Load() {
			t.Logf("%d runs", n)
			return
		}
	}
}

func runWithFault(t *testing.T, f *fault, what string) {
	mem := vfs.NewCrashableMem()
	q, err := openQuick(t, errorfs.Wrap(mem, f))
	if err != nil {
		return // said so, and kept nothing
	}
	w := newWorld()
	w.history(q)
	f.off.Store(true)
	ready(t, q, what)
	cut := crashed(mem, 1)
	known := w.copy()
	known.check(t, q, what)
	if err := q.Close(); err != nil && !f.fired.Load() {
		t.Fatalf("%s: close: %v", what, err)
	}
	after, err := openQuick(t, cut)
	if err != nil {
		t.Fatalf("%s: open after a power cut: %v", what, err)
	}
	known.check(t, after, what+", after a power cut")
	if err := after.Close(); err != nil {
		t.Fatalf("%s: close: %v", what, err)
	}
}
