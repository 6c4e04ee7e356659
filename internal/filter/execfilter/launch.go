package execfilter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A program is started by way of the binary of mtad itself, which, already as the
// program's user, gives up what it may not have and then becomes the program. So
// the limits hold from its first instruction on, and mtad needs no capability to
// set them.

// launcher is the first argument of that binary, by which it knows its part.
const launcher = "mtad-exec"

// statusFD is where it says how it went: the word below before it becomes the
// program, and after that, when it could not, why.
const (
	statusFD = 4
	ready    = "ready\n"
)

// Launch returns at once, unless this process was started to become a program;
// then it never returns. The main function of a binary that runs filters of this
// kind calls it before anything else.
func Launch() {
	if len(os.Args) < 3 || os.Args[0] != launcher {
		return
	}
	runtime.LockOSThread() // what follows is the thread's
	status := os.NewFile(statusFD, "status")
	err := become(status, os.Args[1], os.Args[2:])
	fmt.Fprint(status, err)
	os.Exit(exitOSErr)
}

func become(status io.Writer, limits string, command []string) error {
	unix.CloseOnExec(statusFD)
	bounds, err := parseLimits(limits)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with mtad: %w", err)
	}
	env := os.Environ()
	if _, err := io.WriteString(status, ready); err != nil {
		return err
	}
	for i, max := range bounds {
		if err := syscall.Setrlimit(resources[i], &syscall.Rlimit{Cur: max, Max: max}); err != nil {
			return fmt.Errorf("limit %d: %w", resources[i], err)
		}
	}
	return syscall.Exec(command[0], command, env)
}

// resources are those of a limits text, in its order; memory is last, since
// it binds mtad's own binary for a moment.
var resources = [...]int{unix.RLIMIT_CORE, unix.RLIMIT_CPU, unix.RLIMIT_NOFILE, unix.RLIMIT_FSIZE, unix.RLIMIT_AS}

// String writes limits as the launcher reads them.
func (l Limits) String() string {
	return fmt.Sprintf("0,%d,%d,%d,%d", int64((l.CPU+time.Second-1)/time.Second), l.OpenFiles, l.FileSize, l.Memory)
}

func parseLimits(s string) ([]uint64, error) {
	parts := strings.Split(s, ",")
	if len(parts) != len(resources) {
		return nil, errors.New("limits: wrong number")
	}
	var list []uint64
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("limits: %w", err)
		}
		list = append(list, n)
	}
	return list, nil
}

// launched reads what the launcher says; nil when the program runs.
func launched(status io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(status, maxStderr))
	if err != nil {
		return err
	}
	why, ok := strings.CutPrefix(string(b), ready)
	switch {
	case !ok && why == "":
		return errors.New("this binary cannot start programs")
	case why != "":
		return errors.New(printable(why))
	}
	return nil
}
