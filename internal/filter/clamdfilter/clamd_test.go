package clamdfilter

import (
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scannertest"
)

// Each way to the real clamd: ham passes with the documented fields, a virus is
// refused, a message beyond its limit is OverSize (as a stream only).
func TestClamdOverEveryWay(t *testing.T) {
	c := scannertest.StartClamd(t)
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{"stream over unix", Options{Address: "unix:" + c.Socket}},
		{"descriptor", Options{Address: "unix:" + c.Socket, Descriptor: true}},
		{"stream over TCP", Options{Address: c.Addr}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.ScannedField, tt.o.StatusField, tt.o.Hostname = "X-Virus-Scanned", "X-Virus-Status", "mx.test"
			f := newFilter(t, tt.o)
			for range 3 { // the session is used again
				ham := scannertest.Try(t, KeepOpen(f), scannertest.Ham(), scannertest.Setup{})
				if want := "X-Virus-Scanned: clamd at mx.test\r\nX-Virus-Status: Clean\r\n" + scannertest.Ham(); ham.Content != want {
					t.Fatalf("ham: %v, %q, want %q", ham.Err, ham.Content, want)
				}
				virus := scannertest.Try(t, KeepOpen(f), scannertest.Virus(), scannertest.Setup{})
				if v := virus.Verdict; v.Disposition != filterproto.Reject || !strings.Contains(v.Reply.Text, "Eicar-Local") {
					t.Fatalf("virus: %v, %+v", virus.Err, v)
				}
			}
			if n := len(f.pool.idle); n != 1 {
				t.Errorf("%d sessions wait, want 1", n)
			}
		})
	}
	large := scannertest.Header + "\r\n" + strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 26<<10)
	for _, addr := range []string{"unix:" + c.Socket, c.Addr} {
		if o := scannertest.Try(t, newFilter(t, Options{Address: addr}), large, scannertest.Setup{}); o.Class() != filter.OverSize && o.Class() != filter.Crash { // a reset may overtake the answer
			t.Errorf("26 MB over %s: %v, %+v", addr, o.Err, o.Verdict)
		} else {
			t.Logf("26 MB over %s: %v", addr, o.Err)
		}
	}
}

func TestClamdRestartedIsAskedAgain(t *testing.T) {
	c := scannertest.StartClamd(t)
	f := newFilter(t, Options{Address: "unix:" + c.Socket})
	if o := scannertest.Try(t, KeepOpen(f), scannertest.Ham(), scannertest.Setup{}); o.Err != nil {
		t.Fatal(o.Err)
	}
	c.Kill()
	if o := scannertest.Try(t, KeepOpen(f), scannertest.Ham(), scannertest.Setup{}); o.Class() != filter.Unreachable {
		t.Errorf("clamd is dead: %v", o.Err)
	}
	c.Restart()
	if o := scannertest.Try(t, KeepOpen(f), scannertest.Virus(), scannertest.Setup{}); o.Verdict.Disposition != filterproto.Reject {
		t.Errorf("clamd is back: %v, %+v", o.Err, o.Verdict)
	}
}

// Many scans at a time: each message gets its own verdict.
func TestClamdAnswersAreNotMixedUp(t *testing.T) {
	c := scannertest.StartClamd(t)
	f := newFilter(t, Options{Address: "unix:" + c.Socket})
	for i := range 40 {
		message, want := scannertest.Ham(), filterproto.Accept
		if i%2 == 1 {
			message, want = scannertest.Virus(), filterproto.Reject
		}
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for range 5 {
				if o := scannertest.Try(t, KeepOpen(f), message, scannertest.Setup{}); o.Err != nil || o.Verdict.Disposition != want {
					t.Errorf("%v, %+v; want %s", o.Err, o.Verdict, want)
				}
			}
		})
	}
}
