package milterfilter

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"mtad/internal/filter"
	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// libmilter writes host:port as inet:port@host.
func libmilter(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "inet:" + port + "@" + host
}

// run starts a milter that is killed in the end: libmilter takes seconds to go by
// itself.
func run(t *testing.T, ready string, command ...string) *scannertest.Process {
	t.Helper()
	p := scannertest.Start(t, ready, command...)
	t.Cleanup(p.Kill)
	return p
}

// startClamavMilter needs a clamd.
func startClamavMilter(t *testing.T, onInfected string) (*scannertest.Process, string) {
	t.Helper()
	scannertest.Need(t, "clamd", "clamav-milter")
	clamd := scannertest.StartClamd(t)
	dir, addr := scannertest.Dir(t), scannertest.FreeAddr(t)
	text := "MilterSocket " + libmilter(addr) + "\nClamdSocket unix:" + clamd.Socket + "\nForeground true\nAddHeader Add\nOnFail Defer\n" + onInfected + "\n"
	if scannertest.Root() {
		text += "User clamav\n"
	}
	conf := scannertest.Write(t, dir, "clamav-milter.conf", text)
	return run(t, addr, "clamav-milter", "-c", conf), "tcp:" + addr
}

func startSpamassMilter(t *testing.T) (*scannertest.Process, string) {
	t.Helper()
	scannertest.Need(t, "spamd", "spamc", "spamass-milter")
	spamd := scannertest.StartSpamd(t)
	host, port, _ := net.SplitHostPort(spamd.Addr)
	addr := scannertest.FreeAddr(t)
	return run(t, addr, "spamass-milter", "-p", libmilter(addr), "-u", "nobody", "-r", "15", "--", "-d", host, "-p", port), "tcp:" + addr
}

// ham checks that a message passes, and that nothing changed but the fields a
// milter is known to add.
func ham(t *testing.T, r *rig, added ...string) queue.Item {
	t.Helper()
	var it queue.Item
	for name, pass := range map[string]func(queue.Envelope, string) queue.Item{"inline": r.one, "after": r.after} {
		it = pass(envelope(), scannertest.Ham())
		got := r.content(it.ID)
		if it.State != queue.Incoming || it.Outcome != nil || without(got, added...) != scannertest.Ham() {
			t.Errorf("%s: %v, outcome %+v, content %q", name, it.State, it.Outcome, got)
		}
	}
	return it
}

// refused checks that a message is refused inline, and after acceptance fails its
// recipient.
func refused(t *testing.T, r *rig, content, reply string) {
	t.Helper()
	it := r.one(envelope(), content)
	if it.Outcome == nil || it.Outcome.Disposition != queue.Rejected || !strings.HasPrefix(it.Outcome.Reply, reply) {
		t.Errorf("inline: outcome %+v, want %s", it.Outcome, reply)
	}
	it = r.after(envelope(), content)
	if rc := it.Envelope.Recipients[0]; rc.Status != queue.Failed || !strings.HasPrefix(rc.LastReply, reply) {
		t.Errorf("after: %v %q, want failed, %s", rc.Status, rc.LastReply, reply)
	}
}

func TestClamavMilterRejectsTheVirus(t *testing.T) {
	_, addr := startClamavMilter(t, `OnInfected Reject
RejectMsg "%v found"`)
	r := newRig(t, nil, addr)
	ham(t, r, "X-Virus-Scanned", "X-Virus-Status")
	refused(t, r, scannertest.Virus(), "550 5.7.1 Eicar-Local-")
}

func TestClamavMilterQuarantinesTheVirus(t *testing.T) {
	_, addr := startClamavMilter(t, "OnInfected Quarantine")
	r := newRig(t, nil, addr)
	for name, pass := range map[string]func(queue.Envelope, string) queue.Item{"inline": r.one, "after": r.after} {
		it := pass(envelope(), scannertest.Virus())
		if it.Hold == nil || it.Hold.Reason != "quarantined by clamav-milter" || it.State != queue.Incoming {
			t.Errorf("%s: %v, hold %+v", name, it.State, it.Hold)
		}
		if got := r.content(it.ID); !strings.Contains(got, "X-Virus-Status: Infected") || without(got, "X-Virus-Scanned", "X-Virus-Status") != scannertest.Virus() {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// endHook calls a function once, when the end of a message is about to be sent.
type endHook struct {
	net.Conn
	once *sync.Once
	hook func()
}

func (c endHook) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte("\x00\x00\x00\x01E")) {
		c.once.Do(c.hook)
	}
	return c.Conn.Write(p)
}

func hooked(hook func()) dialer {
	once := new(sync.Once)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return endHook{c, once, hook}, err
	}
}

func TestClamavMilterKilledMidMessageIsAskedAgainAfterItsRestart(t *testing.T) {
	p, addr := startClamavMilter(t, "OnInfected Reject")
	killed := make(chan struct{})
	r := newRigDialing(t, hooked(func() { p.Kill(); close(killed) }), nil, addr)
	go func() { <-killed; p.Restart() }()
	it := r.one(envelope(), scannertest.Ham())
	if it.State != queue.Incoming || len(it.Verdicts) != 1 || without(r.content(it.ID), "X-Virus-Scanned", "X-Virus-Status") != scannertest.Ham() {
		t.Errorf("%v, %d verdicts, %q", it.State, len(it.Verdicts), r.content(it.ID))
	}
	refused(t, r, scannertest.Virus(), "550 5.7.1")
}

func TestClamavMilterKilledMidMessageTempfailsWhereConfigured(t *testing.T) {
	p, addr := startClamavMilter(t, "OnInfected Reject")
	r := newRigDialing(t, hooked(p.Kill), map[filter.Class]filter.Action{filter.Crash: filter.Tempfail}, addr)
	if it := r.one(envelope(), scannertest.Ham()); it.Outcome == nil || !strings.HasPrefix(it.Outcome.Reply, "451 4.7.1") {
		t.Errorf("outcome %+v", it.Outcome)
	}
}

func TestSpamassMilterRejectsSpam(t *testing.T) {
	_, addr := startSpamassMilter(t)
	r := newRig(t, nil, addr)
	it := ham(t, r, "X-Spam-Checker-Version", "X-Spam-Level", "X-Spam-Status")
	if got := r.content(it.ID); !strings.Contains(got, "X-Spam-Status: No") {
		t.Errorf("not scored: %q", got)
	}
	refused(t, r, scannertest.Spam(), "550 5.7.1")
}

func TestRspamdMilterRejectsSpam(t *testing.T) {
	scannertest.Need(t, "rspamd")
	rspamd := scannertest.StartRspamd(t, "")
	r := newRig(t, nil, "tcp:"+rspamd.Milter)
	ham(t, r, "X-Spamd-Bar", "X-Spam-Status", "X-Spamd-Result", "X-Rspamd-Server", "X-Rspamd-Queue-Id", "X-Rspamd-Action", "Authentication-Results", "X-Rspamd-Pre-Result")
	refused(t, r, scannertest.Spam(), "554 5.7.1 Gtube pattern")
}
