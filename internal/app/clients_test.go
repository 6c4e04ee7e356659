package app_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mtad/internal/app"
	"mtad/internal/auth"
	"mtad/internal/config"
)

// clientsDir is set in the process that has the ports and names of the document
// for itself.
const clientsDir = "MTAD_TEST_CLIENTS"

// documented is a part of docs/submission-smtp.md.
func documented(t *testing.T, name string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/submission-smtp.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- example: " + name + " -->\n```[a-z]+\n(.*?)\n```\n").FindSubmatch(doc)
	if m == nil {
		t.Fatalf("the document has no example %q", name)
	}
	return string(m[1]) + "\n"
}

// TestProgramsAsDocumented runs the commands of the document literally, in
// namespaces of their own, where mail.example.org is this machine.
func TestProgramsAsDocumented(t *testing.T) {
	if dir := os.Getenv(clientsDir); dir != "" {
		programsInside(t, dir)
		return
	}
	args := []string{"--net", "--mount"}
	if os.Geteuid() != 0 {
		args = append(args, "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(args, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no namespaces here: %v %s", err, out)
	}
	dir := t.TempDir()
	cmd := exec.Command("unshare", append(args, os.Args[0], "-test.run=^TestProgramsAsDocumented$", "-test.v", "-test.timeout=5m")...)
	cmd.Env = append(os.Environ(), clientsDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "--- ") || strings.Contains(line, "skip") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func programsInside(t *testing.T, dir string) {
	loopbackUp(t)
	writePairFor(t, dir, "mail.example.org")
	hash, err := auth.Hash("scram-sha-256", "correct-horse")
	if err != nil {
		t.Fatal(err)
	}
	file(t, dir+"/passwords", "ann@example.org:"+hash+"\n")
	file(t, dir+"/hosts", "127.0.0.1 localhost mail.example.org\n")
	overlay(t, dir+"/hosts", "/etc/hosts")
	trust(t, dir)
	text := strings.ReplaceAll(documented(t, "server"), "/etc/mtad/certificate.pem", dir+"/c.pem")
	text = strings.ReplaceAll(text, "/etc/mtad/key.pem", dir+"/k.pem")
	text = strings.ReplaceAll(text, "/etc/mtad/", dir+"/")
	text = strings.ReplaceAll(text, "hostname: mail.example.org\n", "") // read gives it one
	next := newSink(t)
	a, _ := start(t, read(t, dir, text+fmt.Sprintf("api: {listen: []}\nsmarthost: \"[127.0.0.1]:%s\"\n", next.addr[len("127.0.0.1:"):])))
	for _, name := range []string{"curl", "python", "git", "mutt", "s-nail"} {
		t.Run(name, func(t *testing.T) { runExample(t, a, next, name) })
	}
}

func runExample(t *testing.T, a *app.App, next *sink, name string) {
	program := map[string]string{"python": "/usr/bin/python3", "git": "/usr/lib/git-core/git-send-email"}[name]
	if program == "" {
		program = name
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("skip: " + name + " is not installed")
	}
	home := t.TempDir()
	file(t, home+"/0001-x.patch", "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ann <ann@example.org>\nDate: Mon, 23 Nov 2026 00:00:00 +0000\nSubject: [PATCH] x\n\n---\n x | 1 +\n")
	sh := exec.Command("sh", "-e", "-c", documented(t, name))
	sh.Dir, sh.Env = home, []string{"HOME=" + home, "PATH=" + os.Getenv("PATH") + ":/usr/lib/git-core", "LC_ALL=C.UTF-8", "TERM=dumb", "MAILRC=" + home + "/.mailrc", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org"}
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range 2 { // 587 and 465: they have been taken before the command ended
		m := next.wait(t)
		if m.from != "ann@example.org" || fmt.Sprint(m.to) != "[bob@example.net]" {
			t.Errorf("message %d: from %q to %q", i, m.from, m.to)
		}
		for _, want := range []string{" with ESMTPSA ", "\r\nDate: ", "\r\nMessage-I", "ubject: "} {
			if !strings.Contains(strings.ReplaceAll(string(m.data), "UTF8SMTPSA", "ESMTPSA"), want) {
				t.Errorf("no %q in\n%s", want, m.data)
			}
		}
	}
	t.Logf("%s used %s", name, mechanisms(t, a))
}

// mechanisms are those that were used so far.
func mechanisms(t *testing.T, a *app.App) string {
	var names []string
	for label := range metric(t, a, "mtad_auth_attempts_total") {
		if m, ok := strings.CutPrefix(label, "mechanism="); ok {
			names = append(names, m)
		}
	}
	return strings.Join(names, " ")
}

func file(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func overlay(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind %s: %v", to, err)
	}
	if err := os.Chmod(from, 0o755); err != nil {
		t.Fatal(err)
	}
}

// trust makes the machine trust the server's certificate.
func trust(t *testing.T, dir string) {
	t.Helper()
	certs := filepath.Join(dir, "certs")
	if err := os.Mkdir(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(dir + "/c.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca-certificates.crt", "test.pem"} {
		file(t, filepath.Join(certs, name), string(pem))
	}
	if out, err := exec.Command("openssl", "rehash", certs).CombinedOutput(); err != nil {
		t.Skipf("skip: openssl rehash: %v %s", err, out)
	}
	overlay(t, certs, "/etc/ssl/certs")
}

// loopbackUp brings the loopback of a new network namespace up.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("udp", "127.0.0.1:9", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestTheExampleOfSubmissionIsValid(t *testing.T) {
	text, err := os.ReadFile("../../deploy/submission.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("submission.yaml", text); err != nil {
		t.Error(err)
	}
}
