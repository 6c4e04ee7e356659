package mailscanner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtad/cmd/mtactl/internal/mailscanner"
	"mtad/queue"
)

// ham has what is lost first when a message is repaired: white space before and behind
// a colon, a folded field, two fields of a name, and trailing white space.
const ham = "Subject:  hello \r\n" +
	"X-Odd:no space\r\n" +
	"X-Folded: one\r\n\ttwo  \r\n" +
	"X-Twice: 1\r\nx-twice: 2\r\n" +
	"From: Sender <sender@example.org>\r\n" +
	"\r\n" +
	"a line \r\n\r\n\tanother\r\n\r\n"

// fields are those that the stand-in adds.
var fields = regexp.MustCompile(`(?m)^X-Test-MailScanner(-ID|-Client)?: .*\r\n`)

// scanned takes them off, and makes sure that there is one set.
func scanned(t *testing.T, text string) string {
	t.Helper()
	if n := len(fields.FindAllString(text, -1)); n != 3 {
		t.Errorf("scanned %d/3 times: %q", n, text)
	}
	return fields.ReplaceAllString(text, "")
}

func withSubject(subject string) string { return strings.Replace(ham, "hello ", subject, 1) }

func TestMessageComesBackOctetByOctetButForTheFieldsAdded(t *testing.T) {
	r := newRig(t, "after")
	r.start("standin", "")
	r.bridge(nil)
	r.send(ham)
	m := r.arrived()
	if got := scanned(t, m.text); got != ham {
		t.Errorf("got  %q\nwant %q", got, ham)
	}
	if m.from != "Sender@example.org" || strings.Join(m.to, " ") != "b@example.net" {
		t.Errorf("from %q to %q", m.from, m.to)
	}
	if !strings.Contains(m.text, "X-Test-MailScanner-Client: 127.0.0.1\r\n") || strings.Contains(m.text, "Exchange") {
		t.Errorf("preamble: %q", m.text)
	}
	r.empty()
	r.clean(1)
}

func TestWaitingClientGetsTheVerdictOfMailScanner(t *testing.T) {
	r := newRig(t, "inline")
	r.start("standin", "")
	r.bridge(func(o *mailscanner.Options) { o.WhenGone = mailscanner.Reject })
	if reply := r.send(withSubject("deleted")); !strings.HasPrefix(reply, "550 ") {
		t.Errorf("a deleted message got %s", reply)
	}
	if reply := r.send(ham); !strings.HasPrefix(reply, "250 ") {
		t.Errorf("ham got %s", reply)
	}
	scanned(t, r.arrived().text)
	r.empty()
}

func TestChangedBodyAndRecipientsAreTaken(t *testing.T) {
	r := newRig(t, "after")
	r.start("standin", "")
	r.bridge(nil)
	r.send(withSubject("virus"))
	want := strings.SplitAfter(withSubject("virus"), "\r\n\r\n")[0] + "a virus was removed\r\n\r\n"
	if got := scanned(t, r.arrived().text); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r.send(withSubject("forward"))
	if m := r.arrived(); strings.Join(m.to, " ") != "other@example.net" || scanned(t, m.text) != withSubject("forward") {
		t.Errorf("%+v", m)
	}
	r.empty()
	r.clean(1)
}

// held waits for a hold and returns what it says.
func (r *rig) held() string {
	r.t.Helper()
	reason := ""
	r.until("a hold", func() bool {
		page, err := r.app.Queue().List(r.t.Context(), queue.Filter{}, "", 10)
		for _, it := range page.Items {
			if it.Hold != nil {
				reason = it.Hold.Reason
			}
		}
		return err == nil && reason != ""
	})
	return reason
}

func TestMessageThatIsNotGivenBackIsHeldUnlessConfiguredOtherwise(t *testing.T) {
	for _, kind := range []struct{ subject, says string }{{"stored", "quarantine"}, {"deleted", "did not give"}} {
		t.Run(kind.subject+" is held", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "after")
			r.start("standin", "")
			r.bridge(nil)
			r.send(withSubject(kind.subject))
			if reason := r.held(); !strings.Contains(reason, kind.says) {
				t.Errorf("held because %q", reason)
			}
			r.clean(1)
		})
		t.Run(kind.subject+" is discarded", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "after")
			r.start("standin", "")
			r.bridge(func(o *mailscanner.Options) {
				if kind.subject == "stored" {
					o.WhenStored = mailscanner.Discard
				} else {
					o.WhenGone = mailscanner.Discard
				}
			})
			r.send(withSubject(kind.subject))
			r.empty()
		})
	}
}

func TestBridgesShareTheDirectories(t *testing.T) {
	r := newRig(t, "after")
	r.start("standin", "")
	one := r.bridge(nil)
	r.bridge(nil)
	r.bridge(nil)
	const n = 60
	for range n / 2 {
		r.send(ham)
	}
	one()
	for range n / 2 {
		r.send(ham)
	}
	for range n {
		if got := scanned(t, r.arrived().text); got != ham {
			t.Errorf("got %q", got)
		}
	}
	r.empty()
	r.clean(2)
}

func TestEndedBridgeTakesItsFilesBack(t *testing.T) {
	r := newRig(t, "after") // nobody scans
	stop := r.bridge(func(o *mailscanner.Options) { o.Drain = time.Millisecond })
	r.send(ham)
	in := func() bool {
		files, _ := filepath.Glob(filepath.Join(r.dir, "in", "[0-9]*"))
		return len(files) == 1
	}
	r.until("a file for MailScanner", in)
	stop()
	r.clean(0)
	r.bridge(nil)
	r.start("standin", "")
	scanned(t, r.arrived().text)
	r.empty()
}

// An answer that comes when the claim has ended goes nowhere.
func TestLateAnswerIsDropped(t *testing.T) {
	r := newRig(t, "after")
	late := "0SADCGS0G0000_AAAAAAAA_1"
	lock := filepath.Join(r.dir, "in", "temp-mtad-AAAAAAAA") // of a bridge that is dead
	for _, path := range []string{lock, filepath.Join(r.dir, "in", late), filepath.Join(r.dir, "out", late), filepath.Join(r.dir, "out", "temp-1-"+late), filepath.Join(r.dir, "in", "temp-"+late)} {
		if err := os.WriteFile(path, []byte("O<x@example.net>\nS<>\nSubject: late\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.bridge(nil)
	r.clean(1)
	r.start("standin", "")
	r.send(ham)
	scanned(t, r.arrived().text)
	r.empty()
}

func TestFilesOfOthersAreLeftAlone(t *testing.T) {
	r := newRig(t, "after")
	foreign := []string{"in/4cX1Yz3bQDz1", "out/4cX1Yz3bQDz1", "out/temp-77-4cX1Yz3bQDz1", "in/temp-notes", "in/0SADCGS0G0000_BBBBBBBB_1"}
	for _, path := range foreign {
		if err := os.WriteFile(filepath.Join(r.dir, path), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop := r.bridge(nil)
	r.until("a sweep", func() bool { return strings.Contains(r.logs.String(), "left alone") })
	stop()
	for _, path := range foreign {
		if _, err := os.Stat(filepath.Join(r.dir, path)); err != nil {
			t.Error(err)
		}
	}
}

// Without its lock a bridge cannot tell MailScanner's doing from another bridge's.
func TestBridgeWithoutItsLockEnds(t *testing.T) {
	r := newRig(t, "after")
	o := options(r.dir, r.logs)
	done := make(chan error, 1)
	go func() { done <- mailscanner.Run(t.Context(), o) }()
	var locks []string
	r.until("a lock", func() bool {
		locks, _ = filepath.Glob(filepath.Join(r.dir, "in", "temp-mtad-*"))
		return len(locks) == 1
	})
	if err := os.Remove(locks[0]); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "lock file") {
		t.Errorf("ended with %v", err)
	}
}

// MailScanner that is stuck with a message, or does not run, loses it in the end.
func TestPatienceEnds(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		t.Run(fmt.Sprintf("stuck %t", stuck), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "after")
			stop := r.bridge(func(o *mailscanner.Options) {
				o.Patience = time.Second
				*o = mailscanner.WithStep(*o, func(step string) {
					if files, _ := filepath.Glob(filepath.Join(r.dir, "in", "[0-9]*")); stuck && step == "wait" && len(files) == 1 {
						lock(t, files[0])
					}
				})
			})
			r.send(ham)
			r.until("impatience", func() bool { return strings.Contains(r.logs.String(), "no answer in time") })
			page, err := r.app.Queue().List(t.Context(), queue.Filter{}, "", 10)
			if err != nil || len(page.Items) != 1 {
				t.Fatal(page.Items, err)
			}
			if lost := page.Items[0].LostClaims > 0; lost != stuck {
				t.Errorf("lost claims: %d", page.Items[0].LostClaims)
			}
			stop()
			r.bridge(nil)
			r.start("standin", "")
			scanned(t, r.arrived().text)
			r.empty()
		})
	}
}

// lock locks a file, as MailScanner does, until the test is over.
func lock(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Error(err)
	}
}
