package milterfilter

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// mdfilter does what the Subject says.
const mdfilter = `detect_and_load_perl_modules();
sub filter { my($e,$f,$ext,$t)=@_; return action_drop_with_warning("removed $f\n") if $ext eq '.com'; action_accept() }
sub filter_end { action_insert_header('X-MD-Top',$QueueID,0); action_change_header('Subject',"[md] $Subject");
 add_recipient('<extra@example.net>') if $Subject=~/addrcpt/; delete_recipient('<rcpt@example.net>') if $Subject=~/delrcpt/;
 change_sender('<new@example.org>') if $Subject=~/chgfrom/; action_bounce('no','550','5.7.1') if $Subject=~/bounce/;
 action_tempfail('later','451','4.7.1') if $Subject=~/tempf/; action_discard() if $Subject=~/discard/ }
1;
`

func startMimedefang(t *testing.T) string {
	t.Helper()
	scannertest.Need(t, "mimedefang", "mimedefang-multiplexor")
	if !scannertest.Root() {
		t.Skip("mimedefang changes to a user of its own: it wants to be started by root")
	}
	dir, addr := scannertest.Dir(t), scannertest.FreeAddr(t)
	spool := filepath.Join(dir, "md")
	script := scannertest.Write(t, dir, "filter.pl", mdfilter)
	scannertest.Write(t, spool, ".keep", "")
	scannertest.Own(t, spool, "defang")
	if err := os.Chmod(spool, 0o750); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(spool, "mx.sock")
	run(t, socket, "mimedefang-multiplexor", "-U", "defang", "-D", "-m", "1", "-x", "2", "-z", spool,
		"-f", "/usr/bin/mimedefang.pl", "-F", script, "-s", socket)
	run(t, addr, "mimedefang", "-U", "defang", "-D", "-y", "-z", spool, "-m", socket, "-p", libmilter(addr))
	return "tcp:" + addr
}

func TestMimedefangEditsAndAnswers(t *testing.T) {
	r := newRig(t, nil, startMimedefang(t))
	send := func(subject string) queue.Item {
		return r.one(envelope("rcpt@example.net", "two@example.net"), strings.Replace(scannertest.Ham(), "Subject: test", "Subject: "+subject, 1))
	}
	it := send("plain")
	want := "X-MD-Top: " + string(it.ID) + "\r\n" + strings.Replace(scannertest.Ham(), "Subject: test", "Subject: [md] plain", 1)
	if got := without(r.content(it.ID), "X-Scanned-By"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if it = send("addrcpt"); pendingOf(it) != "extra@example.net rcpt@example.net two@example.net" {
		t.Errorf("addrcpt: %s", pendingOf(it))
	}
	if it = send("delrcpt"); pendingOf(it) != "two@example.net" {
		t.Errorf("delrcpt: %s", pendingOf(it))
	}
	if it = send("chgfrom"); it.Envelope.ReversePath != "new@example.org" {
		t.Errorf("chgfrom: %s", it.Envelope.ReversePath)
	}
	for subject, want := range map[string]string{"bounce": "rejected 550 5.7.1 no", "tempf": "rejected 451 4.7.1 later", "discard": "discarded milter: discard"} {
		if it = send(subject); it.Outcome == nil || it.Outcome.Disposition.String()+" "+it.Outcome.Reply != want {
			t.Errorf("%s: %+v, want %s", subject, it.Outcome, want)
		}
	}
	it = r.one(envelope(), scannertest.Virus())
	got := r.content(it.ID)
	if !strings.Contains(got, "removed eicar.com") || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\n") {
		t.Errorf("the new body is not there, or has bare line ends: %q", got)
	}
}

func pendingOf(it queue.Item) string {
	var list []string
	for _, rc := range it.Envelope.Recipients {
		if rc.Status == queue.Pending {
			list = append(list, rc.Path)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// pythonMilter uses what the C filters do not: SKIP, PROGRESS, recipients with
// parameters, a changed sender, a macro list, all modifications at once.
const pythonMilter = `import sys, Milter
class M(Milter.Base):
    def __init__(self): self.id = Milter.uniqueID()
    def connect(self, name, family, addr): self.peer = '%s %s' % (name, addr[0]); return Milter.CONTINUE
    def hello(self, name): self.helo = name; return Milter.CONTINUE
    def envfrom(self, f, *args): self.args = args; self.bodies = 0; return Milter.CONTINUE
    def envrcpt(self, to, *args):
        if to.startswith('<no@'):
            self.setreply('550', '5.1.1', 'not here', 'really 100%% not')
            return Milter.REJECT
        return Milter.CONTINUE
    @Milter.noreply
    def header(self, name, value): return Milter.CONTINUE
    def body(self, blk): self.bodies += 1; return Milter.SKIP
    def eom(self):
        self.progress()
        self.addheader('X-Peer', self.peer)
        self.addheader('X-Py', 'helo=%s bodies=%d from=%s id=%s' % (self.helo, self.bodies, self.getsymval('{mail_addr}'), self.getsymval('i')))
        self.chgheader('Subject', 1, 'changed\n\tand folded')
        self.addrcpt('<par@example.net>', 'NOTIFY=NEVER')
        self.delrcpt('<two@example.net>')
        self.chgfrom('<new@example.org>', 'RET=HDRS')
        self.replacebody('one\r\n'); self.replacebody('two\r\n')
        self.quarantine('python says so')
        return Milter.ACCEPT
Milter.factory = M
Milter.set_flags(Milter.CHGBODY + Milter.CHGHDRS + Milter.ADDHDRS + Milter.ADDRCPT + Milter.ADDRCPT_PAR + Milter.DELRCPT + Milter.CHGFROM + Milter.QUARANTINE)
Milter.runmilter('py', sys.argv[1], 60)
`

func TestPythonMilterUsesEveryModification(t *testing.T) {
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import Milter").Run(); err != nil {
		t.Skip("python3-milter is not installed")
	}
	dir := scannertest.Dir(t)
	addr := filepath.Join(dir, "sock")
	run(t, addr, python, scannertest.Write(t, dir, "m.py", pythonMilter), "unix:"+addr)
	r := newRig(t, nil, "unix:"+addr)
	six := envelope()
	six.Client.Address, six.Client.Name = "2001:db8::1", "unknown"
	local := envelope()
	local.Client = queue.Client{}
	for want, env := range map[string]queue.Envelope{"mail.example.org 192.0.2.1": envelope(), "unknown 2001:db8::1": six, "localhost 127.0.0.1": local} {
		if got := r.content(r.one(env, scannertest.Ham()).ID); !strings.Contains(got, "\r\nX-Peer: "+want+"\r\n") {
			t.Errorf("got %q, want %s in it", got, want)
		}
	}
	long := scannertest.Ham() + strings.Repeat(strings.Repeat("z", 98)+"\r\n", 3000)
	items := r.judge(envelope("rcpt@example.net", "two@example.net", "no@example.net"), long)
	if len(items) != 2 {
		t.Fatalf("%d parts, want 2", len(items))
	}
	for _, it := range items {
		if rc := it.Envelope.Recipients[0]; rc.Path == "no@example.net" {
			if rc.Status != queue.Failed || rc.LastReply != "550 5.1.1 not here really 100% not" {
				t.Errorf("refused recipient: %v %q", rc.Status, rc.LastReply)
			}
			continue
		}
		if pendingOf(it) != "par@example.net rcpt@example.net" || it.Envelope.ReversePath != "new@example.org" || it.Hold == nil || it.Hold.Reason != "python says so" {
			t.Errorf("recipients %s, from %s, hold %+v", pendingOf(it), it.Envelope.ReversePath, it.Hold)
		}
		got := r.content(it.ID)
		for _, want := range []string{
			"\r\nX-Py: helo=mail.example.org bodies=1 from=sender@example.org id=" + string(it.ID.Message()) + "\r\n\r\none\r\ntwo\r\n",
			"\r\nSubject: changed\r\n\tand folded\r\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("got %q, want %q in it", got, want)
			}
		}
	}
}
