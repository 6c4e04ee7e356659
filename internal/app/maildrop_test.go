package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"
	"mtad/internal/maildrop"
	"mtad/queue"
)

// letters waits until so many messages are in the queue or were, and the maildrop of a configuration
// holds none; it returns them.
func letters(t *testing.T, a *app.App, dir string, want int64) {
	t.Helper()
	limit := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := a.Queue().Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, err := a.Queue().Count(t.Context(), queue.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, maildrop.In))
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 && st.History+all.Messages >= want {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d files are left, %d messages taken, want %d", len(entries), st.History+all.Messages, want)
		}
	}
}

// stopped makes the directories of a configuration by starting an mtad and ending it.
func stopped(t *testing.T, cfg *config.Config) {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestMailIsLeftWhileMtadIsDown(t *testing.T) {
	next := newSink(t)
	dir := public(t)
	text := fmt.Sprintf("listeners: {}\napi: {listen: []}\nsmarthost: \"[127.0.0.1]:%s\"\nlocal_domains: []\n", next.addr[len("127.0.0.1:"):])
	stopped(t, read(t, dir, text))
	server := "unix:" + dir + "/spool/api.sock"
	sendmail := filepath.Join(sendmailDir(t), "sendmail")
	if status, out, words := runAs(t, server, "Subject: left\n\nhello\n", sendmail, "-f", "a@example.org", "bob@example.net"); status != 0 || out+words != "" {
		t.Fatalf("sendmail: status %d, %s%s", status, out, words)
	}
	in := "sender: <a@example.org>\nrecipient: <carol@example.net>\n\nSubject: submitted\n"
	if status, _, _ := runAs(t, server, in, mtactl(t), "submit"); status != 75 {
		t.Errorf("submit: status %d, want 75", status)
	}
	if status, out, words := runAs(t, server, in, mtactl(t), "submit", "--spool"); status != 0 || out+words != "" {
		t.Errorf("submit --spool: status %d, %s%s", status, out, words)
	}
	if status, out, _ := runAs(t, server, "MAIL FROM:<>\nRCPT TO:<dave@example.net>\nDATA\nSubject: dialogue\n.\nQUIT\n", sendmail, "-bs"); status != 0 || !strings.Contains(out, "250 2.0.0 Ok: waits") {
		t.Errorf("-bs: status %d, %s", status, out)
	}
	large := strings.Repeat("0123456789abcdef\n", 200_000)
	if status, _, words := runAs(t, server, "Subject: large\n\n"+large, sendmail, "erin@example.net"); status != 0 {
		t.Errorf("large: status %d, %s", status, words)
	}
	a, _ := start(t, read(t, dir, text))
	got := map[string]string{}
	for range 4 {
		m := next.wait(t)
		got[m.to[0]] = string(m.data)
	}
	wantText(t, got["bob@example.net"], "^Subject: left$", "^From: .*a@example.org", "^Message-ID: <[A-Z2-7]+@mx.test>$", "^hello$")
	wantText(t, got["carol@example.net"], "^Subject: submitted$")
	wantText(t, got["dave@example.net"], "^From: .*MAILER-DAEMON@mx.test", "^Subject: dialogue$")
	if n := strings.Count(got["erin@example.net"], "0123456789abcdef\r\n"); n != 200_000 {
		t.Errorf("%d lines of 200000", n)
	}
	letters(t, a, dir+"/spool/maildrop", 4)
	// What is left now is taken at once.
	if status, _, _ := runAs(t, "unix:/nowhere/api.sock", "x", sendmail, "bob@example.net"); status != 75 {
		t.Errorf("without mtad and maildrop: status %d, want 75", status)
	}
	leave(t, dir+"/spool/maildrop", letterTo("now@example.net", 100))
	if m := next.wait(t); m.to[0] != "now@example.net" {
		t.Errorf("%q", m.to)
	}
}

// leave puts a message into a maildrop.
func leave(t *testing.T, dir, text string) {
	t.Helper()
	f, err := maildrop.Create(dir, maildrop.NewName())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

func init() {
	doors["maildrop"] = func(t *testing.T, a *app.App, in string) string {
		dir := filepath.Join(filepath.Dir(a.Addr("api.unix").String()), "maildrop")
		leave(t, dir, in)
		letters(t, a, dir, 1)
		page, err := a.Queue().List(t.Context(), queue.Filter{}, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			if it.Meta["submitted_by"] != "" {
				return string(it.ID.Message())
			}
		}
		t.Fatal("it is not in the queue")
		return ""
	}
}

// asNobody runs a program as the user nobody.
func asNobody(t *testing.T, server, in string, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups"}, args...)...)
	cmd.Dir, cmd.Env = "/", []string{"MTACTL_SERVER=" + server, "PATH=/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(in)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// The owner of a file in the maildrop is who the system says, and may do what
// submission.allow says of him.
func TestTheOwnerOfAFileIsTheSystemsWord(t *testing.T) {
	if os.Geteuid() != 0 || missing("setpriv") {
		t.Skip("needs root and setpriv")
	}
	dir := public(t)
	const text = "listeners: {}\napi: {listen: []}\nsmarthost: \"[127.0.0.1]:1\"\nsubmission: {allow: [{user: nobody, senders: [own]}]}\n"
	stopped(t, read(t, dir, text))
	server, drop := "unix:"+dir+"/spool/api.sock", dir+"/spool/maildrop"
	for _, in := range []string{
		"sender: nobody\nrecipient: <own@example.net>\n\nX-Uid: 0\nFrom: nobody\n",
		"sender: <root@mx.test>\nrecipient: <forged@example.net>\n\nFrom: root\n",
		"sender: nobody\nclient_address: [192.0.2.1]\nrecipient: <claim@example.net>\n\nFrom: nobody\n",
	} {
		if status, out := asNobody(t, server, in, mtactl(t), "submit", "--spool"); status != 0 || out != "" {
			t.Fatalf("status %d, %s", status, out)
		}
	}
	// What nobody can do to the others' files, and to the directory.
	leave(t, drop, letterTo("root@example.net", 10))
	for _, script := range []string{
		"ls " + drop + "/in", "cat " + drop + "/in/m.*", "ls " + drop + "/aside", "touch " + drop + "/x", "mv " + drop + "/in " + drop + "/out", "rmdir " + drop + "/in",
	} {
		if status, out := asNobody(t, server, "", "sh", "-c", script); status == 0 {
			t.Errorf("%s: %s", script, out)
		}
	}
	entries, err := os.ReadDir(drop + "/in")
	if err != nil || len(entries) != 4 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		path := drop + "/in/" + e.Name()
		if fi, _ := e.Info(); fi.Sys().(*syscall.Stat_t).Uid == 0 {
			for _, script := range []string{"rm -f " + path, "mv " + path + " " + path + "x", "cat " + path, "echo >> " + path} {
				if status, out := asNobody(t, server, "", "sh", "-c", script); status == 0 {
					t.Errorf("%s: %s", script, out)
				}
			}
		}
	}
	a, l := start(t, read(t, dir, text))
	letters(t, a, drop, 2)
	page, err := a.Queue().List(t.Context(), queue.Filter{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, it := range page.Items {
		got[it.Envelope.Recipients[0].Path] = it.Meta["submitted_by"] + " " + it.Envelope.ReversePath
	}
	if want := map[string]string{"own@example.net": "uid:65534 nobody@mx.test", "root@example.net": "uid:0 a@example.org"}; !maps.Equal(got, want) {
		t.Errorf("%q, want %q\n%s", got, want, l)
	}
	status, out, _ := runAs(t, server, "", mtactl(t), "status")
	if status != 0 || !strings.Contains(out, "2 not_allowed") {
		t.Errorf("%s", out)
	}
}

// However often the helper and mtad are killed: who got 0 has one message, nobody two.
func TestKilledWithAMaildropExitZeroIsOneMessage(t *testing.T) {
	dir := t.TempDir()
	file, socket := crashConfig(t, dir)
	mtactl(t)
	drop := filepath.Join(dir, "spool", "maildrop")
	spawn(t, file).kill(t)
	var mu sync.Mutex
	promised := map[string]bool{}
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	const workers, each = 4, 12
	for round := range rounds {
		p := spawn(t, file)
		var half, all sync.WaitGroup
		half.Add(workers)
		for w := range workers {
			all.Go(func() {
				for n := range each {
					name := fmt.Sprintf("r%d-w%d-n%d@example.net", round, w, n)
					cmd := exec.Command(mtactl(t), "sendmail", "-f", "a@example.org", name)
					cmd.Dir, cmd.Env = "/", []string{"MTACTL_SERVER=unix:" + socket}
					cmd.Stdin = bytes.NewReader([]byte("Subject: x\n\n" + strings.Repeat("x\n", 1+rand.IntN(50_000))))
					if err := cmd.Start(); err != nil {
						t.Error(err)
						return
					}
					if n%3 == 2 { // this one is killed, sooner or later
						time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, func() { _ = cmd.Process.Kill() })
					}
					_ = cmd.Wait()
					mu.Lock()
					promised[name] = cmd.ProcessState.ExitCode() == 0
					mu.Unlock()
					if n == each/2 {
						half.Done()
					}
				}
			})
		}
		half.Wait()
		p.kill(t)
		all.Wait() // the others find no mtad
	}
	a, _ := startFile(t, file)
	removePartial(t, drop)
	letters(t, a, drop, 1)
	found := map[string]int{}
	for cursor := queue.Cursor(""); ; {
		page, err := a.Queue().List(t.Context(), queue.Filter{}, cursor, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			found[it.Envelope.Recipients[0].Path]++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	zero := 0
	for name, ok := range promised {
		if ok {
			zero++
		}
		if found[name] > 1 || ok && found[name] != 1 {
			t.Errorf("%s: promised %v, in the queue %d times", name, ok, found[name])
		}
	}
	t.Logf("%d tried, %d promised, %d in the queue", len(promised), zero, len(found))
	if zero < len(promised)/3 {
		t.Errorf("%d of %d were promised: too few for the test to say anything", zero, len(promised))
	}
}

// removePartial removes what killed writers left: mtad would wait a day.
func removePartial(t *testing.T, drop string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(drop, maildrop.In, "t.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// mtad is killed at every step of its talk with sendmail: what it had taken and what
// sendmail then leaves in the maildrop is one message.
func TestADaemonKilledWhileSendmailTalksMakesOneMessage(t *testing.T) {
	const name = "b@example.net"
	for _, c := range []struct {
		name string
		up   int
		down string
	}{
		{"before the request", 0, ""},
		{"within the request's header", 20, ""},
		{"before it asks for the body", -1, "100 Continue"},
		{"within the content", 500, ""},
		{"before the answer", -1, "HTTP/1.1 201"},
		{"within the answer", -1, `"recipients"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file, socket := crashConfig(t, dir)
			p := spawn(t, file)
			drop := filepath.Join(dir, "spool", "maildrop")
			dead := make(chan struct{})
			between := (&cutter{up: c.up, down: c.down, kill: func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait(); close(dead) }}).serve(t, socket)
			cmd := exec.Command(mtactl(t), "sendmail", "-f", "a@example.org", name)
			cmd.Dir, cmd.Env = "/", []string{"MTACTL_SERVER=unix:" + between, "MTACTL_MAILDROP=" + drop}
			cmd.Stdin = strings.NewReader("Subject: x\n\n" + strings.Repeat("hello\n", 500))
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Fatalf("%v %s", err, out)
			}
			<-dead // its sockets are closed before its lock is
			a, _ := startFile(t, file)
			letters(t, a, drop, 1)
			all, err := a.Queue().Count(t.Context(), queue.Filter{})
			if err != nil || all.Messages != 1 {
				t.Errorf("%d in the queue, %v", all.Messages, err)
			}
		})
	}
}
