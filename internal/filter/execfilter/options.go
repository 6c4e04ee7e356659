package execfilter

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options describe one program. Command is required; for everything else the
// zero value works.
type Options struct {
	// Command is the program, an absolute path, and its arguments.
	Command []string
	// Exit adds to the meaning of exit statuses, 0 to 255; see DefaultAnswer.
	Exit map[int]Answer
	// Replace: what an accepting program writes on standard output takes the place
	// of the message. A bare LF in it becomes CRLF; nothing written is a failure.
	// Without it standard output is thrown away.
	Replace bool
	// Trace puts our own trace field in front of the content. In a replacement it is
	// taken out again.
	Trace bool

	// User is the name or number of who runs the program. With "" it is who runs
	// mtad, which must not be root unless AllowRoot is true.
	User      string
	AllowRoot bool
	// Directory is where it runs. With "" each run has an empty directory of its own,
	// which goes away with it.
	Directory string
	// Environment adds NAME=value to the environment; MTAD_ names are refused.
	Environment []string

	Limits Limits
	Logger *slog.Logger
}

// Limits of one program. Zero is the default that is named.
type Limits struct {
	Memory    int64         // octets of address space of each process; 1 GiB
	CPU       time.Duration // processor time of each process, whole seconds; 1 min
	OpenFiles int           // 256
	FileSize  int64         // octets of a file it writes; 1 GiB
	Output    int64         // octets of standard output that are taken; 64 MiB
	// Grace is the time between SIGTERM and SIGKILL; 1 s.
	Grace time.Duration
}

func (l Limits) withDefaults() Limits {
	fill(&l.Memory, 1<<30)
	fill(&l.CPU, time.Minute)
	fill(&l.OpenFiles, 256)
	fill(&l.FileSize, 1<<30)
	fill(&l.Output, 64<<20)
	fill(&l.Grace, time.Second)
	return l
}

func fill[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// ErrRoot: the program would run as root, and nobody said that it may.
var ErrRoot = errors.New("it would run as root; name a user, or allow it")

// New checks the options and makes a filter. The program is looked at, not
// started.
func New(o Options) (*Filter, error) {
	if len(o.Command) == 0 || !filepath.IsAbs(o.Command[0]) {
		return nil, errors.New("execfilter: the command has to begin with an absolute path")
	}
	for _, a := range o.Command {
		if strings.Contains(a, "\x00") {
			return nil, errors.New("execfilter: NUL in the command")
		}
	}
	for code, a := range o.Exit {
		if code < 0 || code > 255 || !a.valid() {
			return nil, fmt.Errorf("execfilter: no rule %d=%s", code, a)
		}
	}
	if err := checkEnvironment(o.Environment); err != nil {
		return nil, fmt.Errorf("execfilter: %w", err)
	}
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	who, err := identityOf(o.User)
	if err != nil {
		return nil, fmt.Errorf("execfilter: user %s: %w", o.User, err)
	}
	if (who.uid == 0 || who.credential == nil && os.Geteuid() == 0) && !o.AllowRoot {
		return nil, fmt.Errorf("execfilter: %s: %w", o.Command[0], ErrRoot)
	}
	return &Filter{o: o, who: who}, nil
}
