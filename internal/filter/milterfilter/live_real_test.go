package milterfilter

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
	"mtad/internal/milter"
)

func TestOpendkimSignsInTheSessionOctetForOctet(t *testing.T) {
	dir := scannertest.Dir(t)
	private, public := keys(t, dir)
	scannertest.Own(t, dir, "opendkim")
	signer := startOpendkim(t, "Mode s\nDomain example.org\nSelector sel\nKeyFile "+private+"\nCanonicalization simple/simple\nInternalHosts 192.0.2.0/24")
	verifier := startOpendkim(t, "Mode v\nInternalHosts 127.0.0.1\nTestPublicKeys "+public)
	l, v := newLiveRig(t, nil, signer), newRig(t, nil, verifier)
	l.greet(envelope())
	for i := range 3 {
		env := envelope(fmt.Sprintf("r%d@example.net", i))
		signed := l.content(l.send(env, strings.Replace(awkward, "body", fmt.Sprintf("body %d", i), 1))[0].ID)
		if strings.Count(signed, "DKIM-Signature:") != 1 {
			t.Fatalf("message %d: %q", i, signed)
		}
		if got := v.content(v.one(env, signed).ID); !strings.Contains(got, "dkim=pass") {
			t.Errorf("message %d: the signature does not verify: %s", i, got)
		}
	}
}

func TestPythonMilterMixesUpNothingInTheSession(t *testing.T) {
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import Milter").Run(); err != nil {
		t.Skip("python3-milter is not installed")
	}
	dir := scannertest.Dir(t)
	addr := filepath.Join(dir, "sock")
	run(t, addr, python, scannertest.Write(t, dir, "m.py", pythonMilter), "unix:"+addr)
	l := newLiveRig(t, nil, "unix:"+addr)
	l.greet(envelope())
	for i := range 3 {
		env := envelope(fmt.Sprintf("r%d@example.net", i))
		env.ReversePath = fmt.Sprintf("s%d@example.org", i)
		it := l.send(env, scannertest.Ham())[0]
		want := fmt.Sprintf("\r\nX-Py: helo=mail.example.org bodies=1 from=s%d@example.org id=%s\r\n", i, it.ID)
		if got := l.content(it.ID); !strings.Contains(got, want) || pendingOf(it) != fmt.Sprintf("par@example.net r%d@example.net", i) {
			t.Errorf("message %d: recipients %s, content %q, want %q in it", i, pendingOf(it), got, want)
		}
	}
}

func TestMimedefangMixesUpNothingInTheSession(t *testing.T) {
	l := newLiveRig(t, nil, startMimedefang(t))
	l.greet(envelope())
	for _, subject := range []string{"addrcpt", "tempf", "plain", "chgfrom", "last"} {
		it := l.send(envelope(), strings.Replace(scannertest.Ham(), "Subject: test", "Subject: "+subject, 1))[0]
		if subject == "tempf" {
			if it.Outcome == nil || it.Outcome.Reply != "451 4.7.1 later" {
				t.Errorf("tempf: %+v", it.Outcome)
			}
			continue
		}
		recipients, from := "rcpt@example.net", "sender@example.org"
		switch subject {
		case "addrcpt":
			recipients = "extra@example.net " + recipients
		case "chgfrom":
			from = "new@example.org"
		}
		if got := l.content(it.ID); pendingOf(it) != recipients || it.Envelope.ReversePath != from || strings.Count(got, "X-MD-Top: "+string(it.ID)+"\r\n") != 1 || !strings.Contains(got, "Subject: [md] "+subject+"\r\n") {
			t.Errorf("%s: from %s, recipients %s, %q", subject, it.Envelope.ReversePath, pendingOf(it), got)
		}
	}
}

func TestMimedefangMixesUpNoClientsInOneConnection(t *testing.T) {
	network, address, _ := strings.Cut(startMimedefang(t), ":")
	f, err := New(Options{QuitNC: true, Hostname: "mx.example.net", Milter: milter.Options{Network: network, Address: address}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOf(t, nil, f)
	for i, subject := range []string{"addrcpt", "plain", "delrcpt", "chgfrom", "last"} {
		env := envelope("rcpt@example.net", "two@example.net")
		env.Client.Port, env.Client.Helo = uint16(5000+i), fmt.Sprintf("h%d.example.org", i)
		it := r.one(env, strings.Replace(scannertest.Ham(), "Subject: test", "Subject: "+subject, 1))
		recipients := map[string]string{"addrcpt": "extra@example.net rcpt@example.net two@example.net", "delrcpt": "two@example.net"}[subject]
		if recipients == "" {
			recipients = "rcpt@example.net two@example.net"
		}
		if got := r.content(it.ID); pendingOf(it) != recipients || (it.Envelope.ReversePath == "new@example.org") != (subject == "chgfrom") ||
			strings.Count(got, "X-MD-Top: "+string(it.ID)+"\r\n") != 1 || !strings.Contains(got, "Subject: [md] "+subject+"\r\n") {
			t.Errorf("%s: from %s, recipients %s, %q", subject, it.Envelope.ReversePath, pendingOf(it), got)
		}
	}
}
