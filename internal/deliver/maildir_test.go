package deliver_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"mtad/internal/deliver"
	"mtad/internal/route"
	"mtad/queue"
)

func maildir(t testing.TB) (*deliver.Maildir, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mail")
	m, err := deliver.NewMaildir(deliver.MaildirOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, dir
}

func toMailbox(name, body string, paths ...string) deliver.Job {
	j := job(body, paths...)
	j.NextHop = name
	return j
}

// files lists what is below dir, directories left out.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

const delivered = "delivered 250 2.1.5 delivered to mailbox"

func TestMaildirHasTheMessageWithOurFieldsOnTop(t *testing.T) {
	m, dir := maildir(t)
	body := "Received: by mtad\r\nSubject: x\r\n\r\na\rb\nc\r\r\n.\r\n\xff\x00\r"
	expect(t, m.Deliver(bg, toMailbox("alice", body, "Alice+x@local.test")), delivered)
	list := files(t, dir)
	if len(list) != 1 || filepath.Dir(list[0]) != "alice/new" {
		t.Fatalf("files %v", list)
	}
	got, err := os.ReadFile(filepath.Join(dir, list[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := "Return-Path: <from@client.test>\nDelivered-To: Alice+x@local.test\n" +
		"Received: by mtad\nSubject: x\n\na\rb\nc\r\n.\n\xff\x00\r"
	if string(got) != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	for _, sub := range []string{"new", "cur", "tmp"} {
		if info, err := os.Stat(filepath.Join(dir, "alice", sub)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", sub, info, err)
		}
	}
	if info, _ := os.Stat(filepath.Join(dir, list[0])); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestMaildirLineEndsAcrossReads(t *testing.T) {
	m, dir := maildir(t)
	j := toMailbox("a", "", "a@local.test")
	j.Open = func() (queue.Content, error) {
		return oneByOne{content{strings.NewReader("a\r\n\r\nb\r\r\nc\r")}}, nil
	}
	expect(t, m.Deliver(bg, j), delivered)
	got, _ := os.ReadFile(filepath.Join(dir, files(t, dir)[0]))
	if !strings.HasSuffix(string(got), "\na\n\nb\r\nc\r") {
		t.Errorf("%q", got)
	}
}

type oneByOne struct{ content }

func (o oneByOne) Read(p []byte) (int, error) { return iotest.OneByteReader(o.content).Read(p) }

func TestRepeatedDeliveryIsOneMessage(t *testing.T) {
	m, dir := maildir(t)
	j := toMailbox("alice", mail, "a@local.test", "b@local.test")
	expect(t, m.Deliver(bg, j), delivered, delivered)
	expect(t, m.Deliver(bg, j), delivered, delivered)
	list := files(t, dir)
	if len(list) != 2 {
		t.Fatalf("files %v", list)
	}
	for _, name := range list { // read meanwhile
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "alice/cur", filepath.Base(name)+":2,S")); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, m.Deliver(bg, j), delivered, delivered)
	if list := files(t, dir); len(list) != 2 {
		t.Errorf("files %v", list)
	}
	part := j
	part.Item.ID = queue.ID(string(j.Item.ID) + ".1")
	expect(t, m.Deliver(bg, part), delivered, delivered)
	if list := files(t, dir); len(list) != 4 {
		t.Errorf("files with another part %v", list)
	}
}

// A crash leaves a file in tmp; the repeat does not stumble over it.
func TestRepeatAfterACrash(t *testing.T) {
	m, dir := maildir(t)
	j := toMailbox("alice", mail, "a@local.test")
	broken := j
	broken.Open = func() (queue.Content, error) {
		for _, name := range []string{"alice/tmp/left.over"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
				t.Error(err)
			}
		}
		return nil, errors.New("crash")
	}
	expect(t, m.Deliver(bg, broken), "pending 451 4.3.0 content not available now")
	if list := files(t, dir); len(list) != 1 {
		t.Errorf("files %v", list)
	}
	expect(t, m.Deliver(bg, j), delivered)
}

func TestContentThatFailsLeavesNothing(t *testing.T) {
	m, dir := maildir(t)
	j := toMailbox("alice", mail, "a@local.test")
	j.Open = func() (queue.Content, error) { return damaged{content{strings.NewReader(mail)}}, nil }
	expect(t, m.Deliver(bg, j), "pending 451 4.3.0 content not available now")
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if r := m.Deliver(ctx, toMailbox("alice", mail, "a@local.test")); r[0].Status != queue.Pending {
		t.Errorf("after the end: %s", show(r))
	}
	if list := files(t, dir); len(list) != 0 {
		t.Errorf("files %v", list)
	}
}

func TestMailboxNamesStayInTheDirectory(t *testing.T) {
	m, dir := maildir(t)
	outside := filepath.Join(filepath.Dir(dir), "outside")
	if err := os.MkdirAll(filepath.Join(outside, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../outside", "/etc", "a/b", `a\b`, "a\x00b", ".hidden", strings.Repeat("x", 256)} {
		expect(t, m.Deliver(bg, toMailbox(name, mail, "a@local.test")), "failed 550 5.1.1 no such mailbox")
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside", filepath.Join(dir, "link2")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "link2", "file"} {
		expect(t, m.Deliver(bg, toMailbox(name, mail, "a@local.test")), "pending 451 4.2.0 mailbox not available now")
	}
	if list := files(t, outside); len(list) != 0 {
		t.Errorf("outside: %v", list)
	}
}

func TestEnvelopeCannotAddHeaderFields(t *testing.T) {
	m, dir := maildir(t)
	j := toMailbox("alice", "\r\n", "a@local.test\nX-Evil: 1")
	j.Item.Envelope.ReversePath = "a>\r\nX-Evil: 2\r\n\r\n"
	m.Deliver(bg, j)
	got, _ := os.ReadFile(filepath.Join(dir, files(t, dir)[0]))
	if strings.Count(string(got), "\n") != 3 {
		t.Errorf("%q", got)
	}
}

func TestLongPathsMakeNoLongFileNames(t *testing.T) {
	m, dir := maildir(t)
	j := toMailbox("alice", mail, strings.Repeat("x", 5000)+"@local.test")
	j.Item.ID += ".1048575"
	expect(t, m.Deliver(bg, j), delivered)
	if name := filepath.Base(files(t, dir)[0]); len(name) > 80 {
		t.Errorf("%d octets: %s", len(name), name)
	}
}

func TestDirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := deliver.NewMaildir(deliver.MaildirOptions{Dir: file}); err == nil {
		t.Error("no error")
	}
}

// Whatever the name: nothing appears outside the directory, and what the router
// takes for a mailbox this transport delivers to.
func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"alice", "..", "../x", "a/../../x", "a\x00", ".a", "a+b", "ü", strings.Repeat("a", 300), "new", "a:2,S"} {
		f.Add(s)
	}
	top := f.TempDir()
	dir := filepath.Join(top, "mail")
	m, err := deliver.NewMaildir(deliver.MaildirOptions{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = m.Close() })
	f.Fuzz(func(t *testing.T, name string) {
		result := m.Deliver(bg, toMailbox(name, "", "a@local.test"))[0]
		if entries, _ := os.ReadDir(top); len(entries) != 1 {
			t.Fatalf("%q made %v", name, entries)
		}
		if box, err := route.Mailbox(name); err == nil && box == name && result.Status != queue.Delivered {
			t.Fatalf("%q: %s", name, show([]deliver.Result{result}))
		}
	})
}

func TestMailboxThatWasTakenAwayIsMadeAgain(t *testing.T) {
	m, dir := maildir(t)
	expect(t, m.Deliver(bg, toMailbox("alice", mail, "a@local.test")), delivered)
	if err := os.RemoveAll(filepath.Join(dir, "alice")); err != nil {
		t.Fatal(err)
	}
	expect(t, m.Deliver(bg, toMailbox("alice", mail, "a@local.test")), "pending 451 4.2.0 mailbox not available now")
	expect(t, m.Deliver(bg, toMailbox("alice", mail, "a@local.test")), delivered)
}
