package execfilter

import (
	"errors"
	"os"
	"runtime"
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

// launch starts the program. The thread that does it stays with it: its end, which
// is that of mtad, is the program's.
func (f *Filter) launch(x *pipes, env []string, dir string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := f.start(p, x, env, dir)
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

func (f *Filter) start(p *process, x *pipes, env []string, dir string) (err error) {
	argv := append([]string{launcher, f.o.Limits.String()}, f.o.Command...)
	p.proc, err = os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
		Dir: dir, Env: env, Files: x.theirs[:],
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: f.who.credential},
	})
	x.closeTheirs()
	if err != nil {
		return err
	}
	if err := launched(x.status); err != nil {
		p.signal(syscall.SIGKILL)
		p.wait()
		return err
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
	in, env, out, errs, status *os.File    // ours; out is nil without a replacement
	theirs                     [5]*os.File // descriptors 0 to 4
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
	x.theirs[envelopeFD], x.env = pipe()
	x.status, x.theirs[statusFD] = pipe()
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
	for _, f := range []*os.File{x.in, x.env, x.out, x.errs, x.status} {
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

func closeFile(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}
