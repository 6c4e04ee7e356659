package execfilter

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter/scannertest"
)

// path is where a program is; without it the test is skipped.
func where(t *testing.T, program string) string {
	t.Helper()
	scannertest.Need(t, program)
	p, err := exec.LookPath(program)
	if err != nil {
		t.Skip(err)
	}
	return p
}

func TestSpamcJudgesAndMarks(t *testing.T) {
	spamc := where(t, "spamc")
	d := scannertest.StartSpamd(t)
	host, port, _ := net.SplitHostPort(d.Addr)
	o := Options{
		Command: []string{spamc, "-x", "-X", "-E", "-s", "52428800", "-d", host, "-p", port},
		Exit:    map[int]Answer{1: Reject}, Replace: true, Trace: true,
	}
	x := try(t, o, scannertest.Ham(), time.Minute)
	x.verdictIs(t, filterproto.Accept)
	if got := x.content(); !strings.HasPrefix(got, "X-Spam-Checker-Version: ") || !strings.HasSuffix(got, scannertest.Ham()) {
		t.Errorf("got %q, want what came with fields of spamd on top", got)
	}
	try(t, o, scannertest.Spam(), time.Minute).verdictIs(t, filterproto.Reject)
	d.Kill()
	try(t, o, scannertest.Ham(), time.Minute).verdictIs(t, filterproto.Defer)
	d.Restart()
	try(t, o, scannertest.Spam(), time.Minute).verdictIs(t, filterproto.Reject)
}

func TestClamdscanJudges(t *testing.T) {
	clamdscan := where(t, "clamdscan")
	d := scannertest.StartClamd(t)
	conf := scannertest.Write(t, scannertest.Dir(t), "clamd.conf", "LocalSocket "+d.Socket+"\n")
	o := Options{
		Command: []string{clamdscan, "-c", conf, "--no-summary", "-"},
		Exit:    map[int]Answer{1: Reject, 2: Defer},
	}
	x := try(t, o, scannertest.Ham(), time.Minute)
	x.verdictIs(t, filterproto.Accept)
	if got := x.content(); got != scannertest.Ham() {
		t.Errorf("got %q", got)
	}
	try(t, o, scannertest.Virus(), time.Minute).verdictIs(t, filterproto.Reject)
	d.Kill()
	try(t, o, scannertest.Virus(), time.Minute).verdictIs(t, filterproto.Defer)
	d.Restart()
	try(t, o, scannertest.Virus(), time.Minute).verdictIs(t, filterproto.Reject)
}
