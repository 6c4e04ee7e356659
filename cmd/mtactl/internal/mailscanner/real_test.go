package mailscanner_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mtad/cmd/mtactl/internal/mailscanner"
	"mtad/internal/filter/scannertest"
)

// realMailScanner runs the MailScanner of this machine over the rig's directories,
// batch after batch, with its own configuration but for the lines below. There is no
// package of it: MTAD_TEST_MAILSCANNER names the program and
// MTAD_TEST_MAILSCANNER_CONF its configuration where they are not in the usual places.
func realMailScanner(t *testing.T, r *rig, lines map[string]string) *process {
	t.Helper()
	program, conf := r.mailScannerConf(lines)
	p := &process{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for p.beginBatch(program, conf, r.logs) {
			_ = p.cmd.Wait()
		}
	}()
	t.Cleanup(func() {
		p.mu.Lock()
		p.stopped = true
		p.mu.Unlock()
		p.killGroup()
		<-p.done
	})
	return p
}

func (p *process) beginBatch(program, conf string, logs *logs) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.cmd = exec.Command(program, "--debug", conf) // one batch, in the foreground
	p.cmd.Stdout, p.cmd.Stderr = logs, logs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return p.cmd.Start() == nil
}

// killGroup ends MailScanner and its children with SIGKILL.
func (p *process) killGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

var option = regexp.MustCompile(`(?m)^([A-Z][A-Za-z -]*?) *=.*$`)

// mailScannerConf writes the configuration. Its fixed lines are those of
// docs/mailscanner.md, its own directories, and nothing that needs the network.
func (r *rig) mailScannerConf(lines map[string]string) (program, conf string) {
	r.t.Helper()
	if testing.Short() {
		r.t.Skip("MailScanner takes seconds for a message")
	}
	program, from := os.Getenv("MTAD_TEST_MAILSCANNER"), os.Getenv("MTAD_TEST_MAILSCANNER_CONF")
	if program == "" {
		program = "/usr/sbin/MailScanner"
	}
	if from == "" {
		from = "/etc/MailScanner/MailScanner.conf"
	}
	text, err := os.ReadFile(from)
	if _, no := os.Stat(program); no != nil || err != nil {
		r.t.Skipf("no MailScanner here (%s, %s)", program, from)
	}
	d := r.dir
	set := map[string]string{
		"MTA": "msmail", "MSMail Queue Type": "long", "MSMail Delivery Method": "none",
		"Incoming Queue Dir": d + "/in", "Outgoing Queue Dir": d + "/out", "Quarantine Dir": d + "/quarantine",
		"Incoming Work Dir": d + "/work", "Lockfile Dir": d + "/lock", "PID file": d + "/pid",
		"Processing Attempts Database": d + "/work/Processing.db", "Maximum Processing Attempts": "0",
		"SpamAssassin Cache Database File": d + "/work/cache.db", "SpamAssassin Temporary Dir": d + "/work/sa",
		"SpamAssassin User State Dir": d + "/sa", "SpamAssassin Site Rules Dir": d + "/rules",
		"Run As User": "", "Run As Group": "", "Incoming Work Group": "", "Max Children": "1", "Queue Scan Interval": "1",
		"Automatic Syntax Check": "no", "Expand TNEF": "no", "Virus Scanners": "none", "Sendmail": "/bin/true",
		"Sign Clean Messages": "no", "Spam Actions": "store", "High Scoring Spam Actions": "store",
		"Non Spam Actions": "deliver", "Spam List": "", "Find Phishing Fraud": "no",
	}
	for name, value := range lines {
		set[name] = value
	}
	for _, dir := range []string{"work", "lock", "sa", "rules", "quarantine"} {
		if err := os.Mkdir(filepath.Join(d, dir), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	out := option.ReplaceAllStringFunc(string(text), func(line string) string {
		name := strings.TrimSpace(line[:strings.Index(line, "=")])
		if value, ok := set[name]; ok {
			delete(set, name)
			return name + " = " + value
		}
		return line
	})
	for name, value := range set {
		out += "\n" + name + " = " + value
	}
	out = regexp.MustCompile(`(?m)^%org-name%.*$`).ReplaceAllString(out, "%org-name% = test")
	scannertest.Write(r.t, d, "rules/local.cf", "dns_available no\nskip_rbl_checks 1\nuse_bayes 0\n")
	return program, scannertest.Write(r.t, d, "MailScanner.conf", out+"\n")
}

var itsFields = regexp.MustCompile(`(?m)^X-test-MailScanner[A-Za-z-]*: .*\r\n([ \t].*\r\n)*`)

func TestRealMailScannerGivesHamBackOctetByOctet(t *testing.T) {
	r := newRig(t, "after")
	realMailScanner(t, r, nil)
	r.bridge(nil)
	for _, text := range []string{ham, scannertest.Ham(), "Subject: x\r\n\r\nno line end", "\r\nno header section\r\n"} {
		r.send(text)
		m := r.arrived()
		if !strings.Contains(m.text, "X-test-MailScanner: Found to be clean") {
			t.Errorf("not scanned: %q", m.text)
		}
		if !strings.HasSuffix(text, "\r\n") {
			text += "\r\n" // SMTP cannot say otherwise
		}
		if got := itsFields.ReplaceAllString(m.text, ""); got != text {
			t.Errorf("got  %q\nwant %q", got, text)
		}
		if m.from != "Sender@example.org" || strings.Join(m.to, " ") != "b@example.net" {
			t.Errorf("from %q to %q", m.from, m.to)
		}
	}
	r.empty()
	r.clean(1)
}

// What the configuration of the page sets up is what the bridge takes.
func TestRealConfigurationIsTaken(t *testing.T) {
	r := newRigWithout(t, "after")
	_, file := r.mailScannerConf(nil)
	conf, err := mailscanner.ReadConf(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := conf.Check(); err != nil {
		t.Error(err)
	}
	for option, want := range map[string]string{"Incoming Queue Dir": "/in", "Outgoing Queue Dir": "/out", "Quarantine Dir": "/quarantine"} {
		if got, err := conf.Dir(option); err != nil || got != r.dir+want {
			t.Errorf("%s: %q, %v", option, got, err)
		}
	}
}

func TestRealMailScannerStoresSpamAndMtadHoldsOrDiscardsIt(t *testing.T) {
	for _, fate := range []mailscanner.Fate{mailscanner.Hold, mailscanner.Discard, mailscanner.Reject} {
		t.Run(string(fate), func(t *testing.T) {
			timing := "after"
			if fate == mailscanner.Reject {
				timing = "inline"
			}
			r := newRig(t, timing)
			realMailScanner(t, r, nil)
			r.bridge(func(o *mailscanner.Options) { o.WhenStored = fate })
			reply := r.send(scannertest.Spam())
			switch fate {
			case mailscanner.Hold:
				if reason := r.held(); !strings.Contains(reason, "quarantine") {
					t.Errorf("held because %q", reason)
				}
			case mailscanner.Discard:
				r.empty()
			case mailscanner.Reject:
				if !strings.HasPrefix(reply, "550 ") {
					t.Errorf("got %s", reply)
				}
			}
			copies, _ := filepath.Glob(filepath.Join(r.dir, "quarantine", "*", "spam", "*"))
			if len(copies) != 1 {
				t.Errorf("%d copies in the quarantine", len(copies))
			}
			r.clean(1)
		})
	}
}

func TestRealMailScannerDeletesSpamAndMtadHoldsIt(t *testing.T) {
	r := newRig(t, "after")
	realMailScanner(t, r, map[string]string{"Spam Actions": "delete", "High Scoring Spam Actions": "delete"})
	r.bridge(nil)
	r.send(scannertest.Spam())
	if reason := r.held(); !strings.Contains(reason, "did not give") {
		t.Errorf("held because %q", reason)
	}
	r.clean(1)
}

func TestRealMailScannerForwardsSpamElsewhere(t *testing.T) {
	r := newRig(t, "after")
	realMailScanner(t, r, map[string]string{"Spam Actions": "forward spam@example.net", "High Scoring Spam Actions": "forward spam@example.net"})
	r.bridge(nil)
	r.send(scannertest.Spam())
	if m := r.arrived(); strings.Join(m.to, " ") != "spam@example.net" || !strings.Contains(m.text, scannertest.GTUBE()) {
		t.Errorf("%+v", m)
	}
	r.empty()
}

func TestRealMailScannerTakesTheVirusOut(t *testing.T) {
	r := newRig(t, "after")
	clamd := scannertest.StartClamdAs(t, "root")
	realMailScanner(t, r, map[string]string{"Virus Scanners": "clamd", "Clamd Socket": clamd.Socket, "Clamd Use Threads": "no",
		"Filename Rules": "", "Filetype Rules": ""}) // nothing but clamd finds fault with it
	r.bridge(nil)
	r.send(scannertest.Virus())
	m := r.arrived()
	virus := strings.SplitAfter(scannertest.Virus(), "\r\n\r\n")[1]
	if strings.Contains(m.text, strings.TrimSpace(virus)[:40]) || !strings.Contains(m.text, "X-test-MailScanner: Found to be infected") {
		t.Errorf("%q", m.text)
	}
	if strings.Contains(strings.ReplaceAll(m.text, "\r\n", ""), "\n") {
		t.Errorf("bare LF: %q", m.text)
	}
	r.empty()
	r.clean(1)
}

// MailScanner is killed while it has a message locked.
func TestRealMailScannerKilledOverAMessageScansItAgain(t *testing.T) {
	r := newRig(t, "after")
	p := realMailScanner(t, r, nil)
	r.bridge(nil)
	for range 3 {
		r.send(ham)
		kill := sync.OnceFunc(p.killGroup)
		r.until("a locked message", func() bool {
			files, _ := filepath.Glob(filepath.Join(r.dir, "in", "[0-9]*"))
			for _, file := range files {
				if f, err := os.Open(file); err == nil {
					locked := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
					f.Close()
					if locked {
						kill()
						return true
					}
				}
			}
			return false
		})
		if got := itsFields.ReplaceAllString(r.arrived().text, ""); got != ham {
			t.Errorf("got %q", got)
		}
	}
	r.empty()
	r.clean(1)
}

// The bridge is killed while MailScanner works: what it gives back goes nowhere, and
// the message is scanned again.
func TestBridgeKilledWhileRealMailScannerWorks(t *testing.T) {
	r := newRig(t, "after")
	realMailScanner(t, r, nil)
	r.start("bridge", "read")
	r.send(ham)
	if got := itsFields.ReplaceAllString(r.arrived().text, ""); got != ham {
		t.Errorf("got %q", got)
	}
	r.empty()
	r.clean(1)
}

// What MailScanner has nothing to say about keeps its octets, however odd they are.
func TestRealMailScannerLeavesOddMessagesAlone(t *testing.T) {
	r := newRig(t, "after")
	realMailScanner(t, r, nil)
	r.bridge(nil)
	lines := strings.Repeat(strings.Repeat("y", 76)+"\r\n", 40000) // longer than what comes with a claim
	for _, text := range []string{
		"Subject: \xe4\xf6\r\n\r\n\xff\xfe\r\n..\r\n.\xe4\r\n",
		"X-Long: " + strings.Repeat("x", 900) + "\r\n\r\n" + strings.Repeat("z", 900) + "\r\n",
		"Subject: multipart\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"b\"\r\n\r\npreamble \r\n--b\r\n\r\none \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n--b--\r\nepilogue\t\r\n",
		"Subject: large\r\n\r\n" + lines,
		"X-0: 0\r\nSubject: zero\r\n\r\n0\r\n0\r\n\r\n\r\n",
		"O: <x@example.com>\r\nS: y\r\nE<z>: no\r\n\r\nS<y>\r\n",
	} {
		r.send(text)
		if got := itsFields.ReplaceAllString(r.arrived().text, ""); got != text {
			t.Errorf("got  %.500q\nwant %.500q", got, text)
		}
	}
	r.empty()
	r.clean(1)
}

// MailScanner takes this line for the end of the header section. What it wrote is what
// is delivered: nothing passes that it has not seen as it is.
func TestRealMailScannerIsNotDeceivedByALineThatIsNoField(t *testing.T) {
	r := newRig(t, "after")
	realMailScanner(t, r, nil)
	r.bridge(nil)
	r.send("Subject: x\r\n0\r\nContent-Type: text/plain\r\n\r\nbody\r\n")
	head, _, _ := strings.Cut(r.arrived().text, "\r\n\r\n")
	if !strings.Contains(head, "X-test-MailScanner: Found to be clean") {
		t.Errorf("not scanned: %q", head)
	}
	r.empty()
}
