package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestFullDisk runs mtad on a file system that fills up: new mail is refused
// transiently within a second, what was acknowledged stays, the API and deliveries
// go on, a start on the full disk works, and service is back soon after the
// room is.
func TestFullDisk(t *testing.T) {
	d := newSmallDisk(t, 160<<20)
	hop := newNextHop(t)
	d.start(hop.addr)
	var sent []string
	for i := range 20 {
		sent = append(sent, d.mustAccept(fmt.Sprintf("before-%d", i)))
	}

	fill := d.fill()
	d.awaitReply("45", time.Second) // 451 while the store finds out what happened
	d.awaitReply("452", 10*time.Second)
	d.mustAnswer("/v1/queue/stats")
	kept := d.waiting() // probes may have come in before the trouble was noticed
	if kept < len(sent) {
		t.Errorf("with the disk full %d messages are in the queue, want at least %d", kept, len(sent))
	}

	d.kill()
	d.start(hop.addr)
	d.awaitReply("45", time.Second)
	d.mustAnswer("/v1/queue/messages")
	if got := d.waiting(); got != kept {
		t.Errorf("after a start on the full disk %d messages are in the queue, want %d", got, kept)
	}
	hop.open()
	d.post("/v1/queue/jobs", `{"filter":"","action":"flush"}`)
	d.awaitEmpty(30 * time.Second)

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	d.awaitReply("250", 2*time.Second)
	for i := range 20 {
		sent = append(sent, d.mustAccept(fmt.Sprintf("after-%d", i)))
	}
	d.awaitEmpty(30 * time.Second)
	for _, mark := range sent {
		if !hop.got(mark) {
			t.Errorf("%s was acknowledged and did not arrive", mark)
		}
	}
}

// smallDisk is an mtad whose spool is a file system of its own.
type smallDisk struct {
	t                *testing.T
	bin, mount, conf string
	image            string // file behind the file system
	addr, api        string
	cmd              *exec.Cmd
}

// newSmallDisk makes a file system of size octets, with options of mkfs.ext4.
func newSmallDisk(t *testing.T, size int64, options ...string) *smallDisk {
	t.Helper()
	if testing.Short() {
		t.Skip("builds mtad and fills a disk")
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if os.Getuid() != 0 || err != nil {
		t.Skip("needs root and mkfs.ext4, to make and mount a file system")
	}
	dir := t.TempDir()
	d := &smallDisk{t: t, bin: filepath.Join(dir, "mtad"), mount: filepath.Join(dir, "disk"), conf: filepath.Join(dir, "mtad.yaml"), api: filepath.Join(dir, "api.sock")}
	d.command("go", "build", "-o", d.bin, ".")
	image := filepath.Join(dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.mount, 0o700); err != nil {
		t.Fatal(err)
	}
	d.image = image
	d.command(mkfs, append(append([]string{"-q", "-m", "0"}, options...), image)...)
	if out, err := exec.Command("mount", "-o", "loop", image, d.mount).CombinedOutput(); err != nil {
		t.Skipf("cannot mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		d.kill()
		_ = exec.Command("umount", d.mount).Run()
	})
	d.addr = freeAddr(t)
	return d
}

func (d *smallDisk) command(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func (d *smallDisk) start(next string) {
	d.t.Helper()
	config := fmt.Sprintf("hostname: mx.example.com\nspool: {directory: %s/spool, free_floor: 24M, ballast: 16M}\nlisteners: {smtp: {address: %q}}\nsmarthost: %q\n"+
		"delivery: {min_backoff: 1s, max_backoff: 2s}\napi: {listen: [], unix: %s}\n", d.mount, d.addr, next, d.api)
	if err := os.WriteFile(d.conf, []byte(config), 0o600); err != nil {
		d.t.Fatal(err)
	}
	var log bytes.Buffer
	d.cmd = exec.Command(d.bin, "run", "-c", d.conf)
	d.cmd.Stderr = &log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	if !within(20*time.Second, func() bool { _, err := d.send("", false); return err == nil }) {
		d.kill()
		d.t.Fatalf("mtad does not greet: %s", log.String())
	}
}

func (d *smallDisk) kill() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		d.cmd = nil
	}
}

// fill writes a file until nothing more fits, and returns its name.
func (d *smallDisk) fill() string {
	d.t.Helper()
	path := filepath.Join(d.mount, "fill")
	f, err := os.Create(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
	return path
}

// send tries a message and returns the first reply that is not positive, or
// the last one. With data false it says EHLO alone.
func (d *smallDisk) send(mark string, data bool) (string, error) {
	c, err := net.DialTimeout("tcp", d.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	steps := []string{"", "EHLO client.example.org\r\n", "MAIL FROM:<sender@example.org>\r\n", "RCPT TO:<rcpt@example.net>\r\n", "DATA\r\n",
		"Subject: " + mark + "\r\n\r\n" + strings.Repeat("full disk\r\n", 900) + ".\r\n"}
	if !data {
		steps = steps[:2]
	}
	var reply string
	for _, step := range steps {
		if _, err := c.Write([]byte(step)); err != nil {
			return "", err
		}
		for reply = "   -"; len(reply) > 3 && reply[3] == '-'; {
			if reply, err = r.ReadString('\n'); err != nil {
				return "", err
			}
		}
		if reply[0] > '3' {
			break
		}
	}
	return reply, nil
}

func (d *smallDisk) mustAccept(mark string) string {
	d.t.Helper()
	if reply, err := d.send(mark, true); err != nil || !strings.HasPrefix(reply, "250") {
		d.t.Fatalf("%s: reply %q, %v; want 250", mark, reply, err)
	}
	return mark
}

// awaitReply sends probes until one is answered with code. Probes that are
// accepted on the way count as mail like any other, but nobody looks for them.
func (d *smallDisk) awaitReply(code string, limit time.Duration) {
	d.t.Helper()
	var reply string
	var err error
	// The limit is part of the promise: it is what a client experiences.
	if !within(limit, func() bool {
		reply, err = d.send("probe", code == "250")
		if code != "250" && err == nil {
			reply, err = d.send("probe", true)
		}
		return err == nil && strings.HasPrefix(reply, code)
	}) {
		d.t.Fatalf("not %s within %v: last reply %q, %v", code, limit, reply, err)
	}
}

func within(limit time.Duration, ok func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (d *smallDisk) request(method, path, body string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.api)
		},
	}}
	req, err := http.NewRequest(method, "http://mtad"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	return string(b), err
}

func (d *smallDisk) mustAnswer(path string) {
	d.t.Helper()
	if _, err := d.request(http.MethodGet, path, ""); err != nil {
		d.t.Errorf("GET %s: %v", path, err)
	}
}

func (d *smallDisk) post(path, body string) {
	d.t.Helper()
	if _, err := d.request(http.MethodPost, path, body); err != nil {
		d.t.Errorf("POST %s: %v", path, err)
	}
}

func (d *smallDisk) waiting() int {
	d.t.Helper()
	body, err := d.request(http.MethodGet, "/v1/queue/count", "")
	if err != nil {
		d.t.Error(err)
	}
	_, rest, _ := strings.Cut(body, `"messages":`)
	var n int
	_, _ = fmt.Sscanf(rest, "%d", &n)
	return n
}

func (d *smallDisk) awaitEmpty(limit time.Duration) {
	d.t.Helper()
	if !within(limit, func() bool { return d.waiting() == 0 }) {
		d.t.Fatalf("%d messages left in the queue after %v", d.waiting(), limit)
	}
}

// nextHop answers 450 until it is opened, and remembers what it took.
type nextHop struct {
	addr string
	mu   sync.Mutex
	up   bool
	seen []string
}

func newNextHop(t *testing.T) *nextHop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	h := &nextHop{addr: "[127.0.0.1]:" + port}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return hopSession{h}, nil }))
	s.Domain = "next.example.net"
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return h
}

func (h *nextHop) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.up = true
}

func (h *nextHop) got(mark string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.seen {
		if strings.Contains(s, "Subject: "+mark+"\r\n") {
			return true
		}
	}
	return false
}

type hopSession struct{ h *nextHop }

func (s hopSession) Reset()                               {}
func (s hopSession) Logout() error                        { return nil }
func (s hopSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s hopSession) Rcpt(string, *smtp.RcptOptions) error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if !s.h.up {
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "busy"}
	}
	return nil
}

func (s hopSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.seen = append(s.h.seen, string(b))
	return err
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
