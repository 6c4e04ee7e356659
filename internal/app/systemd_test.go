package app_test

import (
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is what systemd is to a service: a socket for its notifications.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T, dir string) *manager {
	t.Helper()
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn, path}
}

// await returns the next notification that begins with state.
func (m *manager) await(state string) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("no %s: %v", state, err)
		}
		if strings.HasPrefix(string(b[:n]), state) {
			return string(b[:n])
		}
	}
}

// Started by systemd with a socket, mtad serves it, and says when it is ready,
// reloading, alive and stopping.
func TestServiceManagerGivesTheSocketAndIsTold(t *testing.T) {
	dir := t.TempDir()
	m := newManager(t, dir)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	passed, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "mtad.yaml")
	text := fmt.Sprintf("hostname: mx.test\nlisteners: {mx: {systemd: mx}}\napi: {listen: []}\nspool: {directory: %s/spool, allow_volatile: true, ballast: 0, free_floor: 1M}\n", dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+file, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=20000", "LISTEN_FDS=1", "LISTEN_FDNAMES=mx")
	cmd.ExtraFiles = []*os.File{passed}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	m.await("READY=1")
	c, err := textproto.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, msg, err := c.ReadResponse(220); err != nil || !strings.HasPrefix(msg, "mx.test ") {
		t.Errorf("got %q, %v", msg, err)
	}
	m.await("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := m.await("RELOADING=1"); !strings.Contains(got, "MONOTONIC_USEC=") {
		t.Errorf("got %q", got)
	}
	m.await("READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.await("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
}
