package scannertest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTime is how long a scanner may take to answer on its socket; the slowest
// loads its rules for ten seconds on a busy machine.
const startTime = 2 * time.Minute

// Need skips the test when a program is missing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if find(p) == "" {
			t.Skipf("%s is not installed", p)
		}
	}
}

// find looks where daemons are, too: /usr/sbin is not in everybody's PATH.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", program)
	if fi, err := os.Stat(path); err == nil && fi.Mode()&0o111 != 0 {
		return path
	}
	return ""
}

// Dir is a directory that daemons running as other users can get into. It goes
// with the test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "scan")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Write puts a file into a directory and returns its path.
func Write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Own gives a path, with all below it, to a user. Without being root it does
// nothing: the daemon then runs as we do.
func Own(t testing.TB, path, name string) {
	t.Helper()
	if !Root() {
		return
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("there is no user %s", name)
	}
	if out, err := exec.Command("chown", "-R", u.Uid+":"+u.Gid, path).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
}

// Root says whether daemons can change to their own users.
func Root() bool { return os.Geteuid() == 0 }

// FreeAddr is a loopback address with a port that was free a moment ago.
func FreeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// Process is a running scanner.
type Process struct {
	t       testing.TB
	ready   string
	command []string
	log     string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// Start runs a command in the foreground until the test ends, and returns when
// its socket, a host:port or the path of a unix socket, takes connections. What
// it wrote is shown when the test fails.
func Start(t testing.TB, ready string, command ...string) *Process {
	t.Helper()
	Need(t, command[0])
	command[0] = find(command[0])
	p := &Process{t: t, ready: ready, command: command, log: filepath.Join(Dir(t), filepath.Base(command[0])+".log")}
	t.Cleanup(func() {
		p.Stop()
		if out, err := os.ReadFile(p.log); err == nil && t.Failed() {
			t.Logf("%s wrote:\n%s", p.command[0], tail(out))
		}
	})
	p.Restart()
	return p
}

// Restart starts the command again after Stop or Kill.
func (p *Process) Restart() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.command[0], p.command[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // children end with it
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(p.cmd, p.ended)
	p.await()
}

// await returns when the socket takes connections.
func (p *Process) await() {
	p.t.Helper()
	if !dials(p.ready, p.ended) {
		out, _ := os.ReadFile(p.log)
		p.t.Fatalf("%s does not answer on %s\n%s", p.command[0], p.ready, tail(out))
	}
}

// Await waits for another socket of a process that runs.
func Await(t testing.TB, addr string) {
	t.Helper()
	if !dials(addr, nil) {
		t.Fatalf("nobody answers on %s", addr)
	}
}

// dials tries until it gets through; false when ended is closed first, or after
// startTime.
func dials(addr string, ended <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial(network(addr), addr); err == nil {
			c.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func network(addr string) string {
	if strings.HasPrefix(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// Stop ends the process, gently first. Stopped already, it does nothing.
func (p *Process) Stop() { p.end(syscall.SIGTERM, 3*time.Second) }

// Pause keeps the process and its children from running; connections to it are
// taken by the kernel, and nobody answers. Only Kill may follow.
func (p *Process) Pause() {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends the process and its children at once.
func (p *Process) Kill() { p.end(syscall.SIGKILL, 0) }

func (p *Process) end(first syscall.Signal, grace time.Duration) {
	if p.cmd == nil {
		return
	}
	group := -p.cmd.Process.Pid
	if first != syscall.SIGKILL {
		_ = p.cmd.Process.Signal(first)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.ended:
		case <-timer.C:
		}
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.t.Logf("kill %s: %v", p.command[0], err)
	}
	<-p.ended
	p.cmd = nil
	_ = os.Remove(p.socket())
}

// socket is a unix socket that the dead process may have left behind.
func (p *Process) socket() string {
	if network(p.ready) == "unix" {
		return p.ready
	}
	return ""
}

func tail(b []byte) []byte { return b[max(0, len(b)-8000):] }
