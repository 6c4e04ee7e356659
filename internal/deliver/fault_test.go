package deliver

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mtad/queue"
)

// faulty is a directory that writes down what is done and fails at one call.
type faulty struct {
	directory
	at, calls int
	err       error
	done      []string
}

func (d *faulty) step(what string) error {
	d.calls++
	if d.calls == d.at {
		return d.err
	}
	d.done = append(d.done, what)
	return nil
}

func (d *faulty) Lstat(name string) (fs.FileInfo, error) {
	if err := d.step("lstat"); err != nil {
		return nil, err
	}
	return d.directory.Lstat(name)
}

func (d *faulty) Mkdir(name string) error {
	if err := d.step("mkdir " + name); err != nil {
		return err
	}
	return d.directory.Mkdir(name)
}

func (d *faulty) Create(name string) (file, error) {
	if err := d.step("create"); err != nil {
		return nil, err
	}
	f, err := d.directory.Create(name)
	return &faultyFile{f, d}, err
}

func (d *faulty) Rename(from, to string) error {
	if err := d.step("rename " + filepath.Dir(from) + " " + filepath.Dir(to)); err != nil {
		return err
	}
	return d.directory.Rename(from, to)
}

func (d *faulty) Sync(name string) error {
	if err := d.step("sync " + name); err != nil {
		return err
	}
	return d.directory.Sync(name)
}

type faultyFile struct {
	file
	d *faulty
}

// Write writes half where it fails.
func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.d.step("write"); err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, err
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	if err := f.d.step("sync file"); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Close() error {
	err := f.d.step("close")
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	return err
}

type text struct{ *strings.Reader }

func (t text) Size() int64  { return t.Reader.Size() }
func (t text) Close() error { return nil }

func mailboxJob() Job {
	var j Job
	j.Item.ID = "0123456789ABC"
	j.Item.Envelope.Recipients = []queue.Recipient{{Path: "a@local.test"}}
	j.Recipients, j.NextHop = []int{0}, "alice"
	j.Open = func() (queue.Content, error) { return text{strings.NewReader("Subject: x\r\n\r\nbody\r\n")}, nil }
	return j
}

func faultyMaildir(t *testing.T) (*Maildir, *faulty, string) {
	t.Helper()
	dir := t.TempDir()
	m, err := NewMaildir(MaildirOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	f := &faulty{directory: m.dir}
	m.dir = f
	return m, f, dir
}

func inNew(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "alice/new/*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The file is on stable storage before it has its name, and the name before the
// result is told; the same for a new mailbox.
func TestMaildirSyncsInOrder(t *testing.T) {
	m, f, _ := faultyMaildir(t)
	if r := m.Deliver(context.Background(), mailboxJob()); r[0].Status != queue.Delivered {
		t.Fatal(r)
	}
	f.done = slices.DeleteFunc(f.done, func(s string) bool { return strings.HasSuffix(s, "stat") })
	want := "mkdir alice,mkdir alice/tmp,mkdir alice/cur,mkdir alice/new,sync alice,sync .," +
		"create,write,sync file,close,rename alice/tmp alice/new,sync alice/new"
	if got := strings.Join(f.done, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f.done = nil
	m.Deliver(context.Background(), mailboxJob())
	if got := f.done[len(f.done)-1]; got != "sync alice/new" {
		t.Errorf("a repeat ends with %s", got)
	}
}

// A fault at call 1, 2, 3 … until a run passes without it: the result is
// transient, what is in "new" is whole, and a repeat makes it one message.
func TestMaildirWithAFaultAtEachCall(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.EROFS} {
		for at := 1; ; at++ {
			m, f, dir := faultyMaildir(t)
			f.at, f.err = at, fault
			r := m.Deliver(context.Background(), mailboxJob())[0]
			passed := f.calls < at
			if passed != (r.Status == queue.Delivered) || !passed && !r.Reply.Transient() {
				t.Fatalf("%v at %d: %+v after %v", fault, at, r, f.done)
			}
			whole(t, dir)
			f.at = 0
			if r := m.Deliver(context.Background(), mailboxJob())[0]; r.Status != queue.Delivered || len(inNew(t, dir)) != 1 {
				t.Fatalf("%v at %d, repeated: %+v, %v", fault, at, r, inNew(t, dir))
			}
			whole(t, dir)
			for _, sync := range []string{"sync .", "sync alice", "sync alice/new", "sync file"} {
				if !slices.Contains(f.done, sync) {
					t.Fatalf("%v at %d, repeated: no %s in %v", fault, at, sync, f.done)
				}
			}
			if passed {
				break
			}
		}
	}
}

func whole(t *testing.T, dir string) {
	t.Helper()
	for _, name := range inNew(t, dir) {
		if b, err := os.ReadFile(name); err != nil || !strings.HasSuffix(string(b), "Subject: x\n\nbody\n") {
			t.Fatalf("%s: %q, %v", name, b, err)
		}
	}
}

func TestDiskTroubleHasItsReply(t *testing.T) {
	for fault, want := range map[error]string{
		syscall.ENOSPC: "452 4.3.1", syscall.EDQUOT: "452 4.2.2", syscall.EIO: "451 4.2.0",
		&fs.PathError{Op: "write", Err: syscall.ENOSPC}: "452 4.3.1", queue.ErrCorrupt: "451 4.2.0",
	} {
		if got := mailboxReply(fault).String(); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %s", fault, got)
		}
	}
}
