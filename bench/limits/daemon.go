package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mtad/bench/rig"
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
	addr, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, bin: bin, addr: addr, api: filepath.Join(dir, "api.sock")}
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
	if err := rig.AwaitGreeting(addr, 2*time.Minute); err != nil {
		d.stop()
		return nil, err
	}
	d.greetingAfter = time.Since(begin)
	return d, nil
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	_ = d.cmd.Wait()
}

// resident and peak are VmRSS and VmHWM in bytes.
func (d *daemon) resident() int64 { return rig.Status(d.cmd.Process.Pid, "VmRSS:") }
func (d *daemon) peak() int64     { return rig.Status(d.cmd.Process.Pid, "VmHWM:") }

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

// mail sends one message whose body is lines of 76 octets, octets long.
func mail(c *rig.Client, octets int) error {
	if err := c.Begin(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(c.Conn, 32<<10)
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
	_, err := c.Expect("250")
	return err
}

// sessionTime is for all of an SMTP session.
const sessionTime = 5 * time.Minute

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/(1<<20)) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
