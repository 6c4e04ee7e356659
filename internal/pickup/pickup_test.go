package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/maildrop"
	"mtad/internal/submission"
	"mtad/queue"
)

// fake is a door that remembers what was handed in.
type fake struct {
	got   []string // key, sender, content
	names []string
	fail  error
	grant admission.Grant
	deny  bool
	amid  func() // when the content is being read
	after func() // after the commit
}

func (d *fake) Submit(_ context.Context, c admission.Caller, r admission.Request) (admission.Result, error) {
	if d.fail != nil {
		return admission.Result{}, d.fail
	}
	if d.amid != nil {
		d.amid()
	}
	text, err := io.ReadAll(r.Content)
	if err != nil {
		return admission.Result{}, &admission.ReadError{Err: err}
	}
	d.got = append(d.got, fmt.Sprint(r.Key, " ", r.Envelope.Sender, " ", string(text)))
	d.names = append(d.names, c.Name)
	if d.after != nil {
		d.after()
	}
	return admission.Result{}, nil
}

func (d *fake) GrantOf(int, []int) (admission.Grant, bool) { return d.grant, !d.deny }
func (d *fake) Limits() submission.Limits                  { return submission.Limits{Block: 1 << 10} }
func (d *fake) Settings() admission.Settings               { return admission.Settings{MaxSize: 10_000} }

func newPickup(t *testing.T, d *fake, o Options) *Pickup {
	t.Helper()
	o.Dir, o.Door = filepath.Join(t.TempDir(), "drop"), d
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drop leaves a message as a writer does.
func drop(t *testing.T, p *Pickup, text string) (file string) {
	t.Helper()
	name := maildrop.NewName()
	f, err := maildrop.Create(p.o.Dir, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(p.in, "m."+name)
}

func passOnce(t *testing.T, p *Pickup) rest {
	t.Helper()
	left, err := p.pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

const letter = "sender: <a@b.c>\nrecipient: <d@e.f>\n\nSubject: x\n"

func TestAMessageIsTakenAndItsFileRemoved(t *testing.T) {
	d := &fake{}
	p := newPickup(t, d, Options{Hostname: "mx.test"})
	file := drop(t, p, letter)
	if passOnce(t, p) != nothing || there(file) {
		t.Error("the file is still there")
	}
	name, _ := maildrop.Name(filepath.Base(file))
	if want := maildrop.Key(name) + " a@b.c Subject: x\n"; len(d.got) != 1 || d.got[0] != want {
		t.Errorf("%q, want %q", d.got, want)
	}
	if want := fmt.Sprintf("uid:%d", os.Getuid()); d.names[0] != want {
		t.Errorf("caller %q, want %q", d.names[0], want)
	}
	if h, err := maildrop.Hostname(p.o.Dir); h != "mx.test" {
		t.Error(h, err)
	}
	for dir, mode := range map[string]os.FileMode{"": 0o711, "in": maildrop.InMode, "aside": 0o700} {
		if fi, err := os.Stat(filepath.Join(p.o.Dir, dir)); err != nil || fi.Mode()&^os.ModeDir != mode {
			t.Errorf("%q: %v %v", dir, fi.Mode(), err)
		}
	}
}

// What stands between a commit and the removal of the file is a crash: the second
// time the same key is used.
func TestAFileThatStaysIsHandedInAgainWithItsKey(t *testing.T) {
	d := &fake{}
	p := newPickup(t, d, Options{})
	file := drop(t, p, letter)
	text, _ := os.ReadFile(file)
	passOnce(t, p)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, maildrop.FileMode); err != nil {
		t.Fatal(err)
	}
	passOnce(t, p)
	if len(d.got) != 2 || d.got[0] != d.got[1] {
		t.Errorf("%q", d.got)
	}
}

func TestWhatIsNoMessageIsSetAside(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for name, c := range map[string]struct {
		make   func(t *testing.T, p *Pickup) string
		reason string
	}{
		"a symbolic link": {func(t *testing.T, p *Pickup) string {
			target := filepath.Join(t.TempDir(), "target")
			os.WriteFile(target, []byte(letter), maildrop.FileMode)
			path := filepath.Join(p.in, "m."+maildrop.NewName())
			return path + must(t, os.Symlink(target, path))
		}, symlink},
		"a FIFO": {func(t *testing.T, p *Pickup) string {
			path := filepath.Join(p.in, "m."+maildrop.NewName())
			return path + must(t, syscall.Mkfifo(path, 0o640))
		}, notAFile},
		"a socket": {func(t *testing.T, p *Pickup) string {
			path := filepath.Join(p.in, "m."+maildrop.NewName())
			return path + must(t, syscall.Mknod(path, syscall.S_IFSOCK|0o640, 0))
		}, notAFile},
		"a directory": {func(t *testing.T, p *Pickup) string {
			path := filepath.Join(p.in, "m."+maildrop.NewName())
			return path + must(t, os.Mkdir(path, 0o750))
		}, notAFile},
		"a hard link": {func(t *testing.T, p *Pickup) string {
			path := drop(t, p, letter)
			return path + must(t, os.Link(path, filepath.Join(t.TempDir(), "other")))
		}, linked},
		"another mode": {func(t *testing.T, p *Pickup) string {
			path := drop(t, p, letter)
			return path + must(t, os.Chmod(path, 0o666))
		}, foreign},
		"another name": {func(t *testing.T, p *Pickup) string {
			path := filepath.Join(p.in, "message\n\x1b[2J")
			return path + must(t, os.WriteFile(path, []byte(letter), 0o640))
		}, foreign},
		"too large": {func(t *testing.T, p *Pickup) string { return drop(t, p, letter+long) }, tooLarge},
		"sparse": {func(t *testing.T, p *Pickup) string {
			path := drop(t, p, letter)
			return path + must(t, os.Truncate(path, 1<<40))
		}, tooLarge},
		"too large a block": {func(t *testing.T, p *Pickup) string {
			return drop(t, p, strings.Repeat("x-note: "+strings.Repeat("y", 100)+"\n", 50)+letter)
		}, tooLarge},
		"no format":      {func(t *testing.T, p *Pickup) string { return drop(t, p, "Subject: x\n\nhello\n") }, invalid},
		"empty":          {func(t *testing.T, p *Pickup) string { return drop(t, p, "") }, invalid},
		"cut off":        {func(t *testing.T, p *Pickup) string { return drop(t, p, "sender: <a@b.c>\nrecipient: <d@e.f>\n") }, invalid},
		"a null octet":   {func(t *testing.T, p *Pickup) string { return drop(t, p, "sender: <a\x00@b.c>\n"+letter) }, invalid},
		"another's file": {foreignGroup, foreign},
	} {
		t.Run(name, func(t *testing.T) {
			d := &fake{}
			p := newPickup(t, d, Options{})
			path := c.make(t, p)
			if left := passOnce(t, p); left != nothing || there(path) {
				t.Errorf("left %d, still there: %v", left, there(path))
			}
			if got := p.Status().Aside; !maps.Equal(got, map[string]int{c.reason: 1}) {
				t.Errorf("aside %v, want one %s", got, c.reason)
			}
			if len(d.got) != 0 {
				t.Errorf("it was taken: %q", d.got)
			}
		})
	}
}

// foreignGroup is a file that was made elsewhere: as when a file of another user
// had been linked here, and its first name was removed.
func foreignGroup(t *testing.T, p *Pickup) string {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	path := drop(t, p, letter)
	return path + must(t, os.Chown(path, 0, 4242))
}

func must(t *testing.T, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

func TestRefusalsForGoodAreSetAsideOthersWait(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		reason string
		left   rest
	}{
		"not allowed":      {&admission.Refusal{Code: filterproto.CodeSubmissionForbidden}, notAllowed, nothing},
		"invalid":          {&admission.Refusal{Code: filterproto.CodeInvalidSubmission}, invalid, nothing},
		"a filter's":       {&admission.Refusal{Code: filterproto.CodeMessageRejected}, refused, nothing},
		"too large":        {queue.ErrTooLarge, tooLarge, nothing},
		"too fast":         {&admission.Refusal{Code: filterproto.CodeRateLimited, RetryAfter: 1}, "", later},
		"a filter's delay": {&admission.Refusal{Code: filterproto.CodeMessageDeferred, RetryAfter: 1}, "", later},
		"uncertain":        {queue.ErrUncertain, "", later},
		"no room":          {queue.ErrFull, "", later},
		"unknown":          {errors.New("what?"), "", later},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPickup(t, &fake{fail: c.err}, Options{})
			file := drop(t, p, letter)
			if left := passOnce(t, p); left != c.left || there(file) != (c.reason == "") {
				t.Errorf("left %d, want %d; still there: %v", left, c.left, there(file))
			}
			st := p.Status()
			if st.Aside[c.reason] != min(1, len(c.reason)) || st.Waiting != 1-min(1, len(c.reason)) {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestAUserWithoutARuleIsRefused(t *testing.T) {
	d := &fake{deny: true}
	p := newPickup(t, d, Options{})
	drop(t, p, letter)
	passOnce(t, p)
	if len(d.got) != 0 || p.Status().Aside[notAllowed] != 1 {
		t.Errorf("%q %+v", d.got, p.Status())
	}
}

// The owner may change his file, also while it is read.
func TestAFileThatChangesIsNotTaken(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"longer":  func(path string) error { return appendTo(path, "more") },
		"shorter": func(path string) error { return os.Truncate(path, 40) },
		"linked":  func(path string) error { return os.Link(path, path+"x") },
		"touched": func(path string) error { return os.Chtimes(path, time.Now(), time.Unix(0, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := &fake{}
			p := newPickup(t, d, Options{})
			file := drop(t, p, letter+strings.Repeat("x", 8000))
			d.amid = func() { must(t, change(file)) }
			passOnce(t, p)
			if len(d.got) != 0 || p.Status().Aside[changing] != 1 {
				t.Errorf("%d taken, %+v", len(d.got), p.Status())
			}
		})
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// What is put under the name of a message that is being taken is nothing but its
// owner's loss: only he can.
func TestARenameWhileItIsReadHarmsNobody(t *testing.T) {
	d := &fake{}
	p := newPickup(t, d, Options{})
	file := drop(t, p, letter)
	d.after = func() { must(t, os.Rename(file, file+"x")) }
	passOnce(t, p)
	if len(d.got) != 1 {
		t.Errorf("%q", d.got)
	}
}

func TestHalfWrittenFilesAreSetAsideAfterADay(t *testing.T) {
	d := &fake{}
	now := time.Now()
	p := newPickup(t, d, Options{Now: func() time.Time { return now }})
	if _, err := maildrop.Create(p.o.Dir, maildrop.NewName()); err != nil {
		t.Fatal(err)
	}
	if passOnce(t, p); len(p.Status().Aside) != 0 {
		t.Errorf("%+v", p.Status())
	}
	now = now.Add(25 * time.Hour)
	if passOnce(t, p); p.Status().Aside[halfMade] != 1 || len(d.got) != 0 {
		t.Errorf("%+v", p.Status())
	}
}

func TestAUserWithManyFilesTakesTurns(t *testing.T) {
	d := &fake{}
	p := newPickup(t, d, Options{PerUser: 2})
	for range 5 {
		drop(t, p, letter)
	}
	for _, want := range []struct {
		left  rest
		taken int
	}{{more, 2}, {more, 4}, {nothing, 5}} {
		if left := passOnce(t, p); left != want.left || len(d.got) != want.taken {
			t.Errorf("left %d, %d taken; want %+v", left, len(d.got), want)
		}
	}
}

func TestWhatIsSetAsideIsBounded(t *testing.T) {
	p := newPickup(t, &fake{}, Options{MaxAside: 3})
	for range 5 {
		drop(t, p, "no")
	}
	passOnce(t, p)
	names, err := os.ReadDir(p.away)
	if err != nil || len(names) != 3 || p.Status().Aside[invalid] != 5 {
		t.Errorf("%d %v %+v", len(names), err, p.Status())
	}
}

// A lease lets open(2) wait for its holder; mtad does not wait.
func TestALeaseOnAFileKeepsNobodyWaiting(t *testing.T) {
	d := &fake{}
	p := newPickup(t, d, Options{})
	f, err := os.OpenFile(drop(t, p, letter), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("no leases here:", err)
	}
	other := drop(t, p, letter)
	if left := passOnce(t, p); left != later || there(other) || len(d.got) != 1 {
		t.Errorf("left %d, %d taken", left, len(d.got))
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
		t.Fatal(err)
	}
	if left := passOnce(t, p); left != nothing || len(d.got) != 2 {
		t.Errorf("left %d, %d taken", left, len(d.got))
	}
}

func TestADirectoryOfSomebodyElseIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives directories away")
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "in"), 0o777))
	must(t, os.Chown(filepath.Join(dir, "in"), 4242, 4242))
	if _, err := New(Options{Dir: dir, Door: &fake{}}); err == nil {
		t.Error("a directory that another user owns was taken")
	}
}

func TestAMessageIsTakenAtOnce(t *testing.T) {
	done := make(chan struct{}, 2)
	d := &fake{after: func() { done <- struct{}{} }}
	p := newPickup(t, d, Options{Rescan: time.Hour})
	drop(t, p, letter)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-done // what was there
	drop(t, p, letter)
	<-done // what came
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What cannot be moved is logged once, not with every look.
func TestAFileThatStaysIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	p := newPickup(t, &fake{}, Options{MaxAside: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	drop(t, p, "no")
	passOnce(t, p)
	drop(t, p, "no")
	for range 3 {
		passOnce(t, p)
	}
	if n := strings.Count(log.String(), "stays"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
