package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeDovecot answers one connection after the other with what script says to
// each line of the client.
func fakeDovecot(t *testing.T, hello string, script func(line string) string) *Dovecot {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveFake(c, hello, script)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return NewDovecot(DovecotOptions{Network: "unix", Address: path})
}

func serveFake(c net.Conn, hello string, script func(line string) string) {
	defer c.Close()
	_, _ = io.WriteString(c, hello)
	for r := bufio.NewScanner(c); r.Scan(); {
		if answer := script(r.Text()); answer != "" {
			_, _ = io.WriteString(c, answer+"\n")
		}
	}
}

const hello = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nSPID\t1\nCUID\t1\nCOOKIE\tx\nDONE\n"

func TestDovecotIsAskedAndBelieved(t *testing.T) {
	var asked string
	d := fakeDovecot(t, hello, func(line string) string {
		if strings.HasPrefix(line, "AUTH\t") {
			asked = line
			return "OK\t1\tuser=ann@example.org\toriginal_user=ann"
		}
		return ""
	})
	s := &Service{Backend: d}
	if got := s.Keyword(t.Context(), &Peer{}); got != "AUTH PLAIN LOGIN" {
		t.Errorf("offered %q", got)
	}
	x := session("192.0.2.1")
	x.Peer.Local = netip.MustParseAddr("192.0.2.2")
	x.Peer.TLS = newChannel(t, nil, 0).server.TLS
	login, code, _ := dialogueOf(s, x, "PLAIN "+b64("\x00ann\x00secret"))
	if code != 235 || login != "ann@example.org" {
		t.Errorf("got %d for %q", code, login)
	}
	if want := "AUTH\t1\tPLAIN\tservice=smtp\tsecured\tlip=192.0.2.2\trip=192.0.2.1\tresp=" + b64("\x00ann\x00secret"); asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if _, code, _ := dialogueOf(s, x, "ANONYMOUS "+b64("me")); code != 504 {
		t.Errorf("ANONYMOUS: got %d", code)
	}
}

func TestDovecotLeadsTheDialogue(t *testing.T) {
	step := 0
	d := fakeDovecot(t, hello, func(line string) string {
		switch {
		case strings.HasPrefix(line, "AUTH\t") && !strings.Contains(line, "resp="):
			return "CONT\t1\t" + b64("Username:")
		case line == "CONT\t1\t"+b64("ann"):
			step++
			return "CONT\t1\t" + b64("Password:")
		case line == "CONT\t1\t"+b64("secret"):
			step++
			return "OK\t1\tuser=ann"
		}
		return ""
	})
	login, code, challenges := dialogueOf(&Service{Backend: d}, session("192.0.2.1"), "LOGIN", b64("ann"), b64("secret"))
	if code != 235 || login != "ann" || step != 2 || fmt.Sprint(challenges) != fmt.Sprint([]string{b64("Username:"), b64("Password:")}) {
		t.Errorf("got %d for %q after %d, %v", code, login, step, challenges)
	}
}

func TestWhatDovecotSaysDecidesTheReply(t *testing.T) {
	for answer, want := range map[string]int{
		"FAIL\t1\tuser=ann":                      535,
		"FAIL\t1\tuser=ann\ttemp":                454,
		"FAIL\t1\tuser=ann\tcode=temp_fail":      454,
		"FAIL\t1":                                535,
		"OK\t1":                                  454,
		"OK\t1\tuser=":                           454,
		"OK\t1\tuser=a b":                        454,
		"OK\t1\tuser=a\x01nb":                    454,
		"OK\t2\tuser=ann":                        454,
		"OK\t1\tuser=ann\tresp=%%%":              454,
		"CONT\t1\t%%%":                           454,
		"OK":                                     454,
		strings.Repeat("x", 2*maxDovecotLine):    454,
		strings.Repeat("X\n", 2*maxDovecotLines): 454,
	} {
		d := fakeDovecot(t, hello, func(line string) string {
			if strings.HasPrefix(line, "AUTH\t") {
				return answer
			}
			return ""
		})
		if _, code, _ := dialogueOf(&Service{Backend: d}, session("192.0.2.1"), "PLAIN "+b64("\x00ann\x00secret")); code != want {
			t.Errorf("%.40q: got %d, want %d", answer, code, want)
		}
	}
}

func TestADovecotThatIsNoneIsTransientTrouble(t *testing.T) {
	for _, hello := range []string{
		"VERSION\t2\t0\nDONE\n", "DONE\n", strings.Repeat("x", 2*maxDovecotLine), strings.Repeat("MECH\tPLAIN\n", 2*maxDovecotLines),
		"220 mx ESMTP\n" + strings.Repeat("x\n", 2*maxDovecotLines),
	} {
		d := fakeDovecot(t, hello, func(string) string { return "" })
		if _, code, _ := dialogueOf(&Service{Backend: d}, session("192.0.2.1"), "PLAIN ="); code != 454 {
			t.Errorf("%.40q: got %d", hello, code)
		}
	}
	gone := NewDovecot(DovecotOptions{Network: "unix", Address: filepath.Join(t.TempDir(), "none")})
	if _, code, _ := dialogueOf(&Service{Backend: gone}, session("192.0.2.1"), "PLAIN ="); code != 454 {
		t.Errorf("no socket: got %d", code)
	}
	if got := gone.Mechanisms(t.Context(), &Peer{}); got != nil {
		t.Errorf("no socket: offers %v", got)
	}
}

func TestADovecotThatHangsIsLeftWhenTheSessionEnds(t *testing.T) {
	asked := make(chan struct{})
	d := fakeDovecot(t, hello, func(line string) string {
		if strings.HasPrefix(line, "AUTH\t") {
			close(asked)
		}
		return ""
	})
	ctx, cancel := context.WithCancel(t.Context())
	x, err := d.Begin(ctx, Plain, &Peer{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	go func() { <-asked; cancel() }()
	if _, _, err := x.Next(ctx, []byte{}); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestRealDovecot(t *testing.T) {
	program, err := exec.LookPath("dovecot")
	if err != nil {
		t.Skip("dovecot is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("dovecot wants to be started by root")
	}
	d := &Service{Backend: startDovecot(t, program), Failures: 100}
	keyword := d.Keyword(t.Context(), &Peer{})
	for _, m := range []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5"} {
		if !strings.Contains(keyword+" ", " "+m+" ") {
			t.Errorf("offered %q, no %s", keyword, m)
		}
	}
	x := session("192.0.2.1")
	x.Peer.TLS = newChannel(t, nil, 0).server.TLS
	for _, c := range []struct {
		arg   string
		lines []string
		code  int
	}{
		{"PLAIN " + b64("\x00ann\x00secret"), nil, 235},
		{"PLAIN", []string{b64("\x00ann\x00secret")}, 235},
		{"PLAIN " + b64("\x00ann\x00wrong"), nil, 535},
		{"PLAIN " + b64("\x00nobody\x00secret"), nil, 535},
		{"LOGIN", []string{b64("ann"), b64("secret")}, 235},
		{"SCRAM-SHA-256 " + b64("hello"), nil, 535},
		{"GS2-KRB5", nil, 504},
	} {
		if login, code, _ := dialogueOf(d, x, c.arg, c.lines...); code != c.code || (code == 235) != (login == "ann") {
			t.Errorf("%s: got %d for %q, want %d", c.arg, code, login, c.code)
		}
	}
}

// startDovecot runs a Dovecot in the foreground with a socket of its own.
func startDovecot(t *testing.T, program string) *Dovecot {
	t.Helper()
	// A directory with a short name: sockets have at most 107 octets.
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"users": "ann:{PLAIN}secret\n",
		"conf": fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login scram-sha-256 cram-md5
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  unix_listener %[1]s/auth {
    mode = 0666
  }
}
`, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-F", "-c", filepath.Join(dir, "conf"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("dovecot: %s\n%s", out.String(), log)
		}
	})
	d := NewDovecot(DovecotOptions{Network: "unix", Address: filepath.Join(dir, "auth"), Remember: time.Nanosecond})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if len(d.Mechanisms(t.Context(), &Peer{})) > 0 {
			return d
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("dovecot ended: %v %s", err, out.String())
		case <-tick.C:
		}
	}
	t.Fatal("dovecot does not answer")
	return nil
}
