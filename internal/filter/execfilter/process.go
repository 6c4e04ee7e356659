package execfilter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainTime is how long what is still in the pipes of a program that has ended is
// waited for: somebody outside its group may keep them open for ever.
const drainTime = time.Second

// process is one run of the program. Its own ends of the pipes are closed once
// it has started; ours belong to run.
type process struct {
	proc  *os.Process
	ended chan struct{} // closed when it has ended and is reaped
	state *os.ProcessState
	err   error

	mu   sync.Mutex
	gone bool // reaped: its group is nobody's any more
}

// launch starts the program with its limits set. The thread that does it stays
// with it: it has no new privileges, which cannot be taken back, and its end, with
// that of mtad, is the program's.
func (f *Filter) launch(files []*os.File, env []string, dir string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := f.start(p, files, env, dir)
		started <- err
		if err == nil {
			p.wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (f *Filter) start(p *process, files []*os.File, env []string, dir string) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	proc, err := os.StartProcess(f.o.Command[0], f.o.Command, &os.ProcAttr{
		Dir: dir, Env: env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: f.who.credential},
	})
	if err != nil {
		return err
	}
	p.proc = proc
	if err := f.o.Limits.set(proc.Pid); err != nil && !errors.Is(err, unix.ESRCH) {
		p.signal(syscall.SIGKILL)
		p.wait()
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}

// set bounds a process, and those that it may have made before it was bounded. No
// octet of the message reaches it earlier.
func (l Limits) set(pid int) error {
	bounds := []struct {
		resource int
		max      uint64
	}{
		{unix.RLIMIT_AS, uint64(l.Memory)},
		{unix.RLIMIT_CPU, uint64((l.CPU + time.Second - 1) / time.Second)},
		{unix.RLIMIT_NOFILE, uint64(l.OpenFiles)},
		{unix.RLIMIT_FSIZE, uint64(l.FileSize)},
		{unix.RLIMIT_CORE, 0},
	}
	for _, b := range bounds {
		if err := unix.Prlimit(pid, b.resource, &unix.Rlimit{Cur: b.max, Max: b.max}, nil); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // not known to this kernel, or the process has ended
	}
	for _, child := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(child); err == nil {
			if err := l.set(n); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// wait returns when the program has ended. The rest of its group is killed before
// it is reaped, while the group's number cannot be another's.
func (p *process) wait() {
	for {
		err := unix.Waitid(unix.P_PID, p.proc.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.state, p.err = p.proc.Wait()
	close(p.ended)
}

// signal sends s to the whole group.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.proc.Pid, s)
	}
}

// end asks the group to end, and after the grace makes it.
func (p *process) end(grace time.Duration) {
	p.signal(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.ended:
		return
	case <-t.C:
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// pipes are those between us and one program.
type pipes struct {
	in, env, out, errs *os.File    // ours; out is nil without a replacement
	theirs             [4]*os.File // descriptors 0 to 3
}

func (f *Filter) pipes() (*pipes, error) {
	x := &pipes{}
	var err error
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	x.theirs[0], x.in = pipe()
	x.theirs[3], x.env = pipe()
	x.errs, x.theirs[2] = pipe()
	if f.o.Replace {
		x.out, x.theirs[1] = pipe()
	} else if err == nil {
		x.theirs[1], err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err != nil {
		x.closeTheirs()
		x.close()
		return nil, err
	}
	return x, nil
}

func (x *pipes) closeTheirs() {
	for _, f := range x.theirs {
		closeFile(f)
	}
}

func (x *pipes) close() {
	for _, f := range []*os.File{x.in, x.env, x.out, x.errs} {
		closeFile(f)
	}
}

// drain lets the readers come to the end of what was written.
func (x *pipes) drain() {
	closeFile(x.in)
	closeFile(x.env)
	for _, f := range []*os.File{x.out, x.errs} {
		if f != nil {
			_ = f.SetReadDeadline(time.Now().Add(drainTime))
		}
	}
}

func closeFile(f io.Closer) {
	if file, ok := f.(*os.File); ok && file != nil {
		_ = file.Close()
	}
}
