package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sendmailDir is a directory with mtactl under the names that programs look for.
func sendmailDir(t *testing.T) string {
	t.Helper()
	dir := public(t)
	for _, name := range []string{"sendmail", "mailq", "newaliases"} {
		if err := os.Symlink(mtactl(t), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runAs runs a program with next to no environment; server is MTACTL_SERVER.
func runAs(t *testing.T, server, in, program string, args ...string) (status int, out, words string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + filepath.Dir(program) + ":/usr/bin:/bin", "HOME=" + cmd.Dir, "MTACTL_SERVER=" + server}
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// toSink is an mtad that hands everything to a sink.
func toSink(t *testing.T, more string) (next *sink, server string) {
	t.Helper()
	next = newSink(t)
	a, _ := start(t, read(t, public(t), fmt.Sprintf("listeners: {}\napi: {listen: []}\nsmarthost: \"[127.0.0.1]:%s\"\nlocal_domains: []\n%s",
		next.addr[len("127.0.0.1:"):], more)))
	return next, "unix:" + a.Addr("api.unix").String()
}

func wantText(t *testing.T, data string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(strings.ReplaceAll(data, "\r\n", "\n")) {
			t.Errorf("no %q in:\n%s", p, data)
		}
	}
}

// Programs that hand mail to sendmail find it here: what they sent arrives.
func TestProgramsSendWithSendmail(t *testing.T) {
	next, server := toSink(t, "")
	dir := sendmailDir(t)
	sendmail := filepath.Join(dir, "sendmail")
	work := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(work, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(t *testing.T, in, program string, args ...string) {
		t.Helper()
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no " + program)
		}
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Stdin = work, strings.NewReader(in)
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + work, "MTACTL_SERVER=" + server, "LANG=C.UTF-8"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, c := range map[string]struct {
		send func(t *testing.T)
		from string // pattern
		to   string
		text []string // patterns
	}{
		"cron": { // as Debian's cron calls it
			send: func(t *testing.T) {
				run(t, "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@mx> true\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\nOutput.\n.\nStill output.\n",
					sendmail, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root")
			},
			from: "^root@mx.test$", to: "[root@mx.test]",
			text: []string{`^From: root \(Cron Daemon\)$`, `^Date: `, `^Message-ID: <`, `^\.$`, `^Still output\.$`},
		},
		"bsd-mailx": {
			send: func(t *testing.T) {
				write(".mailrc", "set sendmail="+sendmail+"\n")
				run(t, "The body.\n", "/usr/bin/bsd-mailx", "-s", "from mailx", "-c", "carol@example.net", "bob@example.net")
			},
			from: "^root@mx.test$", to: "[bob@example.net carol@example.net]",
			text: []string{`^Subject: from mailx$`, `^To: bob@example\.net`, `^The body\.$`},
		},
		"mutt": {
			send: func(t *testing.T) {
				rc := write("muttrc", "set sendmail=\""+sendmail+" -oem -oi\"\nset copy=no\nset from=alice@example.org\nset use_envelope_from=yes\nset realname=\"Alice Ä\"\n")
				run(t, "The body.\n", "mutt", "-F", rc, "-s", "from mutt", "-b", "hidden@example.net", "bob@example.net")
			},
			from: "^alice@example.org$", to: "[bob@example.net hidden@example.net]",
			text: []string{`^Subject: from mutt$`, `^From: .*alice@example\.org`, `^The body\.$`},
		},
		"git send-email": {
			send: func(t *testing.T) {
				if missing("/usr/lib/git-core/git-send-email") {
					t.Skip("no git send-email")
				}
				patch := write("0001.patch", "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Alice <alice@example.org>\nDate: Mon, 23 Nov 2026 00:00:00 +0000\nSubject: [PATCH] one line\n\nWhy.\n---\n a | 1 +\n")
				run(t, "", "git", "-c", "user.name=Alice", "-c", "user.email=alice@example.org", "send-email", "--sendmail-cmd="+sendmail,
					"--from=Alice <alice@example.org>", "--envelope-sender=alice@example.org", "--to=bob@example.net", "--confirm=never", "--suppress-cc=all", "--quiet", patch)
			},
			from: "^alice@example.org$", to: "[bob@example.net]",
			text: []string{`^Subject: \[PATCH\] one line$`, `^Why\.$`},
		},
		"php": {
			send: func(t *testing.T) {
				script := write("mail.php", `<?php exit(mail("bob@example.net", "from php", "The body.\r\n.\r\nMore.", "Bcc: hidden@example.net\r\nFrom: web@example.org", "-fweb@example.org") ? 0 : 1);`)
				run(t, "", "php", "-d", "sendmail_path="+sendmail+" -t -i", script)
			},
			from: "^web@example.org$", to: "[bob@example.net hidden@example.net]",
			text: []string{`^Subject: from php$`, `^From: web@example\.org$`, `^\.$`, `^More\.$`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.send(t)
			from, to, data := "", []string(nil), ""
			for data == "" || len(to) < strings.Count(c.to, "@") { // one message for each next hop
				m := next.wait(t)
				from, data = m.from, string(m.data)
				to = append(to, m.to...)
			}
			if !regexp.MustCompile(c.from).MatchString(from) || fmt.Sprint(to) != c.to {
				t.Errorf("from %q to %q, want %q and %s", from, to, c.from, c.to)
			}
			wantText(t, data, c.text...)
			if strings.Contains(data, "hidden@") {
				t.Errorf("Bcc was not removed:\n%s", data)
			}
		})
	}
}

// What scripts look at: the exit status, and what is printed.
func TestSendmailAnswersAsScriptsExpect(t *testing.T) {
	dir := public(t)
	start(t, read(t, dir, "listeners: {}\napi: {listen: []}\nsmarthost: \"[127.0.0.1]:1\"\nsubmission: {message_size: 100K, recipients: 3}\n"))
	server, bin := "unix:"+dir+"/spool/api.sock", sendmailDir(t)
	text := "Subject: x\n\nhello\n"
	for _, c := range []struct {
		name, program, in string
		args              []string
		status            int
		out               string // pattern
	}{
		{"an empty queue", "mailq", "", nil, 0, `^Mail queue is empty\n$`},
		{"newaliases", "newaliases", "", nil, 0, `^$`},
		{"-bi", "sendmail", "", []string{"-bi"}, 0, `^$`},
		{"no recipients", "sendmail", text, nil, 64, `^$`},
		{"an unknown option", "sendmail", text, []string{"-Z", "x"}, 64, `^$`},
		{"a daemon", "sendmail", text, []string{"-bd"}, 64, `^$`},
		{"-t without recipients", "sendmail", text, []string{"-t"}, 65, `^$`},
		{"a bad address", "sendmail", text, []string{"a b@c"}, 65, `^$`},
		{"too large", "sendmail", text + strings.Repeat("x", 200_000), []string{"b@example.net"}, 65, `^$`},
		{"too many recipients", "sendmail", text, []string{"a@b.c", "b@b.c", "c@b.c", "d@b.c"}, 65, `^$`},
		{"silence", "sendmail", text, []string{"-f", "a@example.org", "b@example.net"}, 0, `^$`},
		{"-v", "sendmail", text, []string{"-v", "b@example.net"}, 0, `^[0-9A-Z]{13}\n$`},
		{"a dialogue", "sendmail", "EHLO x\nMAIL FROM:<>\nRCPT TO:<b@example.net>\nDATA\nSubject: x\n\n..\n.\nQUIT\n", []string{"-bs"}, 0, `(?s)^220 .*\r\n250 2\.0\.0 Ok: queued as [0-9A-Z]{13}\r\n221 .*\r\n$`},
		{"a dialogue, too large", "sendmail", "MAIL FROM:<>\nRCPT TO:<b@example.net>\nDATA\n" + strings.Repeat("x\n", 100_000) + ".\nQUIT\n", []string{"-bs"}, 0, `\r\n554 5\.6\.0 .*\r\n221 `},
		{"a dialogue cut off", "sendmail", "MAIL FROM:<>\nRCPT TO:<b@example.net>\nDATA\nx\n", []string{"-bs"}, 74, `354`},
		{"the queue", "mailq", "", nil, 0, `(?s)^-+Queue ID-+ .*\n[0-9A-Z]{13}[*]? +\d+ +\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d a@example\.org\n.* b@example\.net\n.*MAILER-DAEMON.*\n-- \d+ Kbytes in 3 Requests\.\n$`},
		{"-bp", "sendmail", "", []string{"-bp"}, 0, `in 3 Requests`},
		{"-q", "sendmail", "", []string{"-q"}, 0, `^$`},
		{"-qR", "sendmail", "", []string{"-qRexample.net"}, 0, `^$`},
		{"-qI, unknown", "sendmail", "", []string{"-qI0SAEYXMB40000"}, 2, `^$`},
	} {
		status, out, words := runAs(t, server, c.in, filepath.Join(bin, c.program), c.args...)
		if status != c.status || !regexp.MustCompile(c.out).MatchString(out) || status != 0 && strings.Count(words, "\n") < 1 || status == 0 && words != "" {
			t.Errorf("%s: status %d, want %d; %q, want %s; %q", c.name, status, c.status, out, c.out, words)
		}
	}
	if status, _, words := runAs(t, "unix:/nowhere/api.sock", "", filepath.Join(bin, "mailq")); status != 69 || !strings.HasPrefix(words, "mailq: error: cannot reach mtad") {
		t.Errorf("mailq without mtad: status %d, %s", status, words)
	}
}

// Others than root and mtad's own user do not see the queue, and hand in what
// submission.allow lets them.
func TestSendmailHasNoMoreRightsThanItsCaller(t *testing.T) {
	if os.Geteuid() != 0 || missing("setpriv") {
		t.Skip("needs root and setpriv")
	}
	dir := public(t)
	start(t, read(t, dir, "listeners: {}\napi: {listen: []}\nsmarthost: \"[127.0.0.1]:1\"\nsubmission: {allow: [{user: nobody, senders: [own]}]}\n"))
	server, sendmail := "unix:"+dir+"/spool/api.sock", filepath.Join(sendmailDir(t), "sendmail")
	for _, c := range []struct {
		in     string
		args   []string
		status int
	}{
		{"Subject: x\n\n", []string{"b@example.net"}, 0},
		{"Subject: x\n\n", []string{"-f", "root@mx.test", "b@example.net"}, 77},
		{"Subject: x\n\n", []string{"-t", "-f", "a@example.org", "b@example.net"}, 77},
		{"", []string{"-bp"}, 77},
		{"", []string{"-q"}, 77},
	} {
		if status, out := asNobody(t, server, c.in, append([]string{sendmail}, c.args...)...); status != c.status {
			t.Errorf("%q: status %d, want %d: %s", c.args, status, c.status, out)
		}
	}
	_, out := asNobody(t, server, "MAIL FROM:<root@mx.test>\nRCPT TO:<b@example.net>\nDATA\nSubject: x\n.\nQUIT\n", sendmail, "-bs")
	if !strings.Contains(out, "\n550 5.7.1 ") {
		t.Errorf("-bs: %s", out)
	}
}
