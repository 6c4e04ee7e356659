package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// secretFile is a file with one line that nobody else may read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// startHandler runs the example handler in Python: it refuses a word.
func startHandler(t *testing.T, word, key string) (*scannertest.Process, string) {
	t.Helper()
	scannertest.Need(t, "python3")
	addr := scannertest.FreeAddr(t)
	if key != "" {
		t.Setenv("MTAD_SIGN_FILE", key)
	}
	return scannertest.Start(t, addr, "python3", "-B", "../../filterproto/examples/webhook/handler.py", portOf(addr), word), addr
}

func TestWebHandlerInPythonEndToEnd(t *testing.T) {
	key := secretFile(t, "0123456789abcdef")
	p, addr := startHandler(t, "lottery", key)
	trial{
		filter: fmt.Sprintf(`kind: webhook, address: "%s", webhook: {url: "http://handler.test/judge", sign_file: "%s"}`, addr, key),
		bad:    scannertest.Header + "\r\nYou won the LOTTERY\r\n", text: "not here: lottery", process: p, network: "tcp", addr: addr,
		ham: func(t *testing.T, got string) {
			head, rest, _ := strings.Cut(got, "X-Checked: ")
			id, body, _ := strings.Cut(rest, "\r\n")
			if len(id) != 13 || head+body != scannertest.Ham() {
				t.Errorf("ham arrives as %q", got)
			}
		},
	}.passes(t)
}

func TestWebHandlerRefusesWhatIsNotSigned(t *testing.T) {
	_, addr := startHandler(t, "lottery", secretFile(t, "0123456789abcdef"))
	for _, sign := range []string{"", fmt.Sprintf(`, sign_file: "%s"`, secretFile(t, "another"))} {
		filter := fmt.Sprintf(`kind: webhook, webhook: {url: "http://%s/"%s}, on: {protocol: tempfail}`, addr, sign)
		a, _ := start(t, read(t, t.TempDir(), scanned("127.0.0.1:1", "inline", filter)))
		dial(t, a.Addr("smtp").String()).send(451, "sender@example.org", "rcpt@example.net", scannertest.Ham())
		empty(t, a)
	}
}

// startHooks runs a scanner that speaks MTA Hooks, in Python.
func startHooks(t *testing.T, action string, more ...string) (p *scannertest.Process, addr, filter string) {
	t.Helper()
	scannertest.Need(t, "python3")
	addr = scannertest.FreeAddr(t)
	p = scannertest.Start(t, addr, append([]string{"python3", "-B", "../filter/mtahooksfilter/testdata/scanner.py", portOf(addr), "t0ken", action}, more...)...)
	return p, addr, fmt.Sprintf(`kind: mtahooks, mtahooks: {url: "http://%s/", auth: bearer, auth_file: "%s"}`, addr, secretFile(t, "t0ken"))
}

func TestMTAHooksEndToEnd(t *testing.T) {
	_, _, holds := startHooks(t, "quarantine")
	quarantines(t, holds, scannertest.Spam())
	p, addr, filter := startHooks(t, "reject")
	trial{
		filter: filter, bad: scannertest.Spam(), text: "Gtube pattern", process: p, network: "tcp", addr: addr,
		ham: func(t *testing.T, got string) {
			if want := "X-Hooks: seen\r\n" + scannertest.Ham(); got != want {
				t.Errorf("ham arrives as %q, want %q", got, want)
			}
		},
	}.passes(t)
}

func TestMTAHooksActions(t *testing.T) {
	_, _, filter := startHooks(t, "defer")
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "inline", filter)))
	c := dial(t, a.Addr("smtp").String())
	if reply, _ := c.send(451, "sender@example.org", "rcpt@example.net", scannertest.Spam()); !strings.Contains(reply, "4.7.1 later") {
		t.Errorf("deferred with %q", reply)
	}
	for _, tt := range []struct{ ask, want string }{
		{"nothing", "X-Ask: nothing\r\n" + scannertest.Ham()},
		{"body", strings.Replace("X-Ask: body\r\n"+scannertest.Ham(), "ordinary", "changed", 1)},
		{"patch", strings.Replace("X-Ask: patch\r\n"+scannertest.Ham(), "Subject: test\r\nMIME-Version: 1.0\r\n", "Subject: patched\r\nMIME-Version: 1.0\r\nX-End: 2\r\n", 1)},
		{"everything", "X-Top: 1\r\n" + strings.Replace(scannertest.Ham(), "Subject: test\r\nMIME-Version: 1.0\r\n", "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\nX-End: 2\r\n", 1)},
	} {
		// The field is the second one: the first line of a message cannot be looked for.
		message := strings.Replace(scannertest.Ham(), "Date:", "X-Ask: "+tt.ask+"\r\nDate:", 1)
		want := strings.TrimPrefix(tt.want, "X-Ask: "+tt.ask+"\r\n")
		if want != tt.want {
			want = strings.Replace(want, "Date:", "X-Ask: "+tt.ask+"\r\nDate:", 1)
		}
		c.send(250, "sender@example.org", "rcpt@example.net", message)
		got := next.wait(t)
		if text := content(t, got.data); text != want {
			t.Errorf("%s: got %q, want %q", tt.ask, text, want)
		}
		if tt.ask == "everything" {
			if got.from != "new@example.org" || len(got.to) != 2 {
				t.Errorf("envelope: %s, %v", got.from, got.to)
			}
		}
	}
	empty(t, a)
}

// A scanner that has forgotten a registration is registered with again, and no
// message notices.
func TestMTAHooksRegistersAgain(t *testing.T) {
	p, _, filter := startHooks(t, "reject")
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "after", filter+", on: {protocol: reject}")))
	c := dial(t, a.Addr("smtp").String())
	for range 2 {
		_, id := c.send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
		if got := content(t, next.wait(t).data); !strings.HasPrefix(got, "X-Hooks: seen") {
			t.Errorf("got %q", got)
		}
		finished(t, a.Queue(), queue.ID(id))
		p.Stop()
		p.Restart()
	}
}

// The ten lines of the specification are a handler.
func TestHandlerOfTheSpecificationJudgesMail(t *testing.T) {
	spec, err := os.ReadFile("../../spec/filter.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(spec), "```python\n")
	code, _, ok := strings.Cut(code, "```")
	if !ok || !strings.Contains(code, "8080") {
		t.Fatal("there is no handler in spec/filter.md")
	}
	addr := scannertest.FreeAddr(t)
	path := filepath.Join(t.TempDir(), "handler.py")
	if err := os.WriteFile(path, []byte(strings.Replace(code, "8080", portOf(addr), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	scannertest.Need(t, "python3")
	scannertest.Start(t, addr, "python3", "-B", path)
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "inline", fmt.Sprintf(`kind: webhook, webhook: {url: "http://%s/"}`, addr))))
	c := dial(t, a.Addr("smtp").String())
	large := scannertest.Ham() + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5<<20/72)
	for _, text := range []string{scannertest.Ham(), large} {
		c.send(250, "sender@example.org", "rcpt@example.net", text)
		if got := content(t, next.wait(t).data); got != text {
			t.Errorf("%d octets arrived as %d", len(text), len(got))
		}
	}
	c.send(550, "sender@example.org", "rcpt@example.net", scannertest.Header+"\r\nLottery\r\n")
	empty(t, a)
}

func TestMTAHooksTakePartInTheSession(t *testing.T) {
	p, _, filter := startHooks(t, "reject", "session")
	next := newSink(t)
	session := strings.Replace(filter, "mtahooks: {", "mtahooks: {in_session: true, ", 1)
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "inline", session+", on: {unreachable: tempfail, crash: tempfail}")))
	c := dial(t, a.Addr("smtp").String())
	says := func(code int, line, want string) {
		t.Helper()
		if r := c.do(code, "%s", line); !strings.Contains(r, want) {
			t.Errorf("%s: %q", line, r)
		}
	}
	says(550, "MAIL FROM:<liar@example.org>", "5.1.7 not you")
	says(250, "MAIL FROM:<sender@example.org>", "")
	says(451, "RCPT TO:<nobody@example.net>", "4.7.1 not now")
	says(250, "RCPT TO:<rcpt@example.net>", "")
	says(250, "RSET", "")
	c.send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	if got := content(t, next.wait(t).data); got != "X-Hooks: seen\r\n"+scannertest.Ham() {
		t.Errorf("got %q", got)
	}
	p.Kill()
	says(451, "MAIL FROM:<sender@example.org>", "4.7.1")
}
