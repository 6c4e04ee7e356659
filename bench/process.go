package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mtad/bench/rig"
)

const (
	startTime   = 20 * time.Second // for a system to greet
	sessionTime = 2 * time.Minute  // for all of an SMTP session
)

// process is a program that the benchmark started and ends.
type process struct {
	cmd *exec.Cmd
	log *os.File
}

func start(logPath, name string, args ...string) (*process, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &process{cmd, log}, nil
}

// stop asks the program to end and waits; after ten seconds it is killed.
func (p *process) stop() {
	defer p.log.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
}

// peakMemory is VmHWM of a process, in bytes.
func peakMemory(pid int) int64 { return rig.Status(pid, "VmHWM:") }

// childrenMemory sums the peak memory of every process whose parent is pid.
// Shared pages are counted once for each process.
func childrenMemory(pid int) int64 {
	sum := peakMemory(pid)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		child, _ := strconv.Atoi(filepath.Base(d))
		if rig.Status(child, "PPid:")>>10 == int64(pid) {
			sum += peakMemory(child)
		}
	}
	return sum
}

// ticksPerSecond is what /proc counts processor time in.
const ticksPerSecond = 100

// stat reads fields of /proc/PID/stat by their numbers in proc(5).
func stat(pid int, fields ...int) (sum float64) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; state is field 3.
	list := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	for _, f := range fields {
		if f-3 < len(list) {
			n, _ := strconv.ParseFloat(list[f-3], 64)
			sum += n
		}
	}
	return sum
}

// cpuOf is the processor time of a process, in milliseconds.
func cpuOf(pid int) float64 { return stat(pid, 14, 15) * 1000 / ticksPerSecond }

// treeCPU is that of a process with its children, those that have ended among them.
func treeCPU(pid int) float64 {
	if pid == 0 {
		return 0
	}
	sum := stat(pid, 14, 15, 16, 17) * 1000 / ticksPerSecond
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		child, _ := strconv.Atoi(filepath.Base(d))
		if int(stat(child, 4)) == pid {
			sum += cpuOf(child)
		}
	}
	return sum
}
