package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is an mtad that was started for a measurement.
type daemon struct {
	cmd           *exec.Cmd
	dir, bin      string
	addr, api     string
	greetingAfter time.Duration
}

const config = `hostname: mx.example.com
spool: {directory: %[1]s/spool}
listeners:
  smtp: {address: "%[2]s", limits: {connections: 40000, session_time: 1h}%[3]s}
smarthost: "%[4]s"
filters: {scan: {kind: pull}}
chains: {scan: {filters: [scan]}}
api: {listen: [], unix: %[1]s/api.sock}
log: {level: warn}
`

// startDaemon starts mtad on the spool in dir; extra is appended to the
// listener ("" or ", chain: scan"), next is the smarthost.
func startDaemon(dir, bin, extra, next string) (*daemon, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, bin: bin, addr: freePort(), api: filepath.Join(dir, "api.sock")}
	path := filepath.Join(dir, "mtad.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, config, dir, d.addr, extra, next), 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// 20,000 connections want more descriptors than most machines' default.
	d.cmd = exec.Command("sh", "-c", `ulimit -n 65536 2>/dev/null; exec "$0" "$@"`, filepath.Join(bin, "mtad"), "run", "-c", path)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	begin := time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for end := begin.Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if c, err := dial(d.addr); err == nil {
			c.c.Close()
			d.greetingAfter = time.Since(begin)
			return d, nil
		}
	}
	d.stop()
	return nil, errors.New("mtad did not greet within 2 min")
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	_ = d.cmd.Wait()
}

// resident and peak are VmRSS and VmHWM in bytes.
func (d *daemon) resident() int64 { return d.status("VmRSS:") }
func (d *daemon) peak() int64     { return d.status("VmHWM:") }

func (d *daemon) status(field string) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// mtactl runs the CLI and says how long it took.
func (d *daemon) mtactl(args ...string) (time.Duration, error) {
	cmd := exec.Command(filepath.Join(d.bin, "mtactl"), append([]string{"--server", "unix:" + d.api}, args...)...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("mtactl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return time.Since(begin), nil
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	return l.Addr().String()
}

type client struct {
	c net.Conn
	r *bufio.Reader
}

// dial connects, reads the greeting and says EHLO.
func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	if err = c.expect("220"); err == nil {
		err = c.command("EHLO client.example.org\r\n", "250")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) command(s, code string) error {
	if _, err := c.c.Write([]byte(s)); err != nil {
		return err
	}
	return c.expect(code)
}

func (c *client) expect(code string) error {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("reply %q, want %s", line, code)
		}
		if line[3] != '-' {
			return nil
		}
	}
}

// mail sends one message whose body is lines of 76 octets, octets long.
func (c *client) mail(octets int) error {
	for _, s := range [][2]string{{"MAIL FROM:<sender@example.org>\r\n", "250"}, {"RCPT TO:<rcpt@example.net>\r\n", "250"}, {"DATA\r\n", "354"}} {
		if err := c.command(s[0], s[1]); err != nil {
			return err
		}
	}
	w := bufio.NewWriterSize(c.c, 32<<10)
	_, _ = w.WriteString("Subject: limits\r\n\r\n")
	line := strings.Repeat("x", 76) + "\r\n"
	for sent := 0; sent < octets; sent += len(line) {
		if _, err := w.WriteString(line); err != nil {
			return err
		}
	}
	_, _ = w.WriteString(".\r\n")
	if err := w.Flush(); err != nil {
		return err
	}
	return c.expect("250")
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/(1<<20)) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
