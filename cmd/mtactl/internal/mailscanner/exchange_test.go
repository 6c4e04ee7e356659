package mailscanner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func newExchange(t *testing.T) *exchange {
	t.Helper()
	x := &exchange{in: t.TempDir(), out: t.TempDir(), step: func(string) {}}
	if err := x.check(); err != nil {
		t.Fatal(err)
	}
	return x
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// MailScanner may finish between any two looks.
func TestAnswerThatComesBetweenTwoLooksIsSeen(t *testing.T) {
	for at := range 4 {
		x := newExchange(t)
		touch(t, x.inPath(testName))
		n := 0
		x.step = func(string) {
			if n++; n == at {
				touch(t, x.outPath(testName))
				if err := os.Remove(x.inPath(testName)); err != nil {
					t.Error(err)
				}
			}
		}
		if o, err := x.look(testName); err != nil || o == vanished {
			t.Errorf("finished before look %d: %v, %v", at, o, err)
		}
	}
	x := newExchange(t)
	if o, err := x.look(testName); err != nil || o != vanished {
		t.Errorf("nothing there: %v, %v", o, err)
	}
}

// A disk that is not mounted is no sign that MailScanner kept the message.
func TestDirectoryThatIsGoneTellsNothing(t *testing.T) {
	for _, gone := range []func(*exchange) string{func(x *exchange) string { return x.in }, func(x *exchange) string { return x.out }} {
		x := newExchange(t)
		if err := os.Remove(gone(x)); err != nil {
			t.Fatal(err)
		}
		if o, err := x.look(testName); err == nil || o == vanished {
			t.Errorf("%v, %v", o, err)
		}
	}
}

func TestFileThatMailScannerHasIsLeftToIt(t *testing.T) {
	x := newExchange(t)
	touch(t, x.inPath(testName))
	f, err := os.OpenFile(x.inPath(testName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if x.withdraw(testName) {
		t.Error("removed under MailScanner's hands")
	}
	f.Close()
	if !x.withdraw(testName) {
		t.Error("not removed")
	}
	if _, err := os.Stat(x.inPath(testName)); err == nil {
		t.Error("still there")
	}
}

func TestAnswerThatIsNoPlainFileIsNone(t *testing.T) {
	x := newExchange(t)
	secret := filepath.Join(t.TempDir(), "secret")
	touch(t, secret)
	if err := os.Symlink(secret, x.outPath(testName)); err != nil {
		t.Fatal(err)
	}
	if f, err := x.openAnswer(testName); err == nil {
		t.Errorf("opened %s", f.Name())
	}
	if err := errors.Join(os.Remove(x.outPath(testName)), syscall.Mkfifo(x.outPath(testName), 0o600)); err != nil {
		t.Fatal(err)
	}
	if f, err := x.openAnswer(testName); err == nil {
		t.Errorf("opened %s", f.Name())
	}
}

func TestLockTellsTheLivingFromTheDead(t *testing.T) {
	dir := t.TempDir()
	i, err := newInstance(dir)
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := instanceOf(filepath.Base(i.path)); !ok || name != i.name {
		t.Errorf("%q, %t", name, ok)
	}
	if lockDead(i.path) != nil {
		t.Error("a living instance is taken for a dead one")
	}
	i.lock.Close() // as when the process is killed
	f := lockDead(i.path)
	if f == nil {
		t.Fatal("a dead instance is taken for a living one")
	}
	f.Close()
}

// Whoever lost the lock cannot say that MailScanner removed a file.
func TestMessageOfABridgeWithoutLockIsNotJudged(t *testing.T) {
	x := newExchange(t)
	self, err := newInstance(x.in)
	if err != nil {
		t.Fatal(err)
	}
	defer self.end()
	b := &bridge{o: Options{WhenGone: Discard}, x: x, self: self}
	if v, err := b.vanishedVerdict(&claim{sent: sent{name: testName}}); err != nil || v.Disposition != "discard" {
		t.Errorf("with it: %v, %v", v, err)
	}
	if err := os.Rename(self.path, self.path+"x"); err != nil {
		t.Fatal(err)
	}
	touch(t, self.path) // another file of this name is not it
	if v, err := b.vanishedVerdict(&claim{sent: sent{name: testName}}); !errors.Is(err, errDisowned) {
		t.Errorf("without it: %v, %v", v, err)
	}
}

func TestQuarantineIsSearchedByName(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"20261121/" + testName + "/message", "20261122/spam/" + testName + "2", "20261122/mcp/" + testName + "3"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		touch(t, filepath.Join(dir, path))
	}
	for name, want := range map[string]bool{testName: true, testName + "2": true, testName + "3": true, testName + "4": false} {
		if got, err := stored(dir, name); err != nil || got != want {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
	if got, err := stored(filepath.Join(dir, "none"), testName); got || err != nil {
		t.Errorf("no quarantine: %t, %v", got, err)
	}
	if _, err := stored(filepath.Join(dir, "20261122/spam/"+testName+"2"), testName); err == nil {
		t.Error("a file was read as a quarantine")
	}
}

// MailScanner never sees a message in part: until it is whole and synced its name is
// one that MailScanner passes over.
func TestMessageAppearsAsAWhole(t *testing.T) {
	x, m := newExchange(t), &memory{content: "Subject: x\r\n\r\nbody\r\n"}
	x.step = func(string) {
		if _, err := os.Stat(x.inPath(testName)); err == nil {
			t.Error("visible before it was renamed")
		}
		if b, err := os.ReadFile(x.inPath("temp-" + testName)); err != nil || !strings.HasSuffix(string(b), "\n\nbody\n") {
			t.Errorf("got %q, %v", b, err)
		}
	}
	s := newSent(&oneRecipient)
	if err := x.put(t.Context(), s, m); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(x.inPath(testName))
	if want := "O<B@example.net>\nS<a@example.org>\n" + string(s.preamble) + "Subject: x\n\nbody\n"; err != nil || string(b) != want {
		t.Errorf("got %q, %v; want %q", b, err, want)
	}
}
