package config

import (
	"strconv"
	"strings"
	"time"
)

// KindExec runs a program for each message.
const KindExec = "exec"

// Exec is what is particular to the kind exec.
type Exec struct {
	Command     []string      `yaml:"command"`
	Exit        []string      `yaml:"exit"`
	Output      string        `yaml:"output"`
	Trace       bool          `yaml:"trace"`
	User        string        `yaml:"user"`
	AllowRoot   bool          `yaml:"allow_root"`
	Directory   string        `yaml:"directory"`
	Environment []string      `yaml:"environment"`
	Memory      Size          `yaml:"memory"`
	CPU         time.Duration `yaml:"cpu"`
	OpenFiles   int           `yaml:"open_files"`
	FileSize    Size          `yaml:"file_size"`
	OutputSize  Size          `yaml:"output_size"`
	KillDelay   time.Duration `yaml:"kill_delay"`
}

// The words of Exec.Output.
const (
	OutputNone    = "none"
	OutputReplace = "replace"
)

// exitWords are the meanings of an exit status.
func exitWords() []string {
	return []string{"accept", "reject", "discard", "defer", "quarantine", "unknown"}
}

func execKeys() []Key {
	const p = "filters.*.exec."
	return []Key{
		{Path: p + "command", Live: true, Doc: "The program, as an absolute path, and its arguments; no shell reads them, and nothing of a message becomes part of them. It gets the content on standard input and the envelope on descriptor 3, see [scanners](scanners.md). The kind wants it."},
		{Path: p + "exit", Is: "exit", Live: true, Doc: "What exit statuses mean, as in `1=reject`; the words are `" + strings.Join(exitWords(), "`, `") + "`. Without a line here: 0 accepts, 99 discards, 65, 67, 69 and 77 reject, the others from 64 to 78 defer, and the rest, `unknown`, is the failure `protocol`. A signal is the failure `crash`."},
		{Path: p + "output", Default: OutputNone, Enum: []string{OutputNone, OutputReplace}, Live: true, Doc: "What standard output is: nothing, or (`replace`) the message in its new form, when the program accepts it; a bare LF in it becomes CRLF, and nothing at all is the failure `protocol`."},
		{Path: p + "trace", Default: "true", Live: true, Doc: "Put mtad's own Received field in front of the content. It is taken out of a replacement again."},
		{Path: p + "user", Is: "name", Live: true, Doc: "Who runs the program; for mtad as root only. Default: who runs mtad, unless that is root."},
		{Path: p + "allow_root", Default: "false", Live: true, Doc: "Run the program as root when `user` is root, or is missing and mtad runs as root."},
		{Path: p + "directory", Is: "path", Live: true, Doc: "Where the program runs. Default: an empty directory for each run, which goes away with it."},
		{Path: p + "environment", Is: "assignment", Live: true, Doc: "Additions to the environment, as in `PERL5LIB=/opt/lib`. Names that begin with MTAD_ are mtad's."},
		{Path: p + "memory", Default: "1G", Min: "8M", Max: "1T", Live: true, Doc: "Address space of each of its processes."},
		{Path: p + "cpu", Default: "1m", Min: "1s", Max: "24h", Live: true, Doc: "Processor time of each of its processes. The time of a scan by the clock is `filters.*.timeout`."},
		{Path: p + "open_files", Default: "256", Min: "8", Max: "1000000", Live: true, Doc: "Open files of each of its processes."},
		{Path: p + "file_size", Default: "1G", Min: "0", Max: "1T", Live: true, Doc: "Size of a file it writes."},
		{Path: p + "output_size", Default: "64M", Min: "1K", Max: "1G", Live: true, Doc: "Octets of a replacement; more is the failure `protocol`."},
		{Path: p + "kill_delay", Default: "1s", Min: "10ms", Max: "1m", Live: true, Doc: "Time between SIGTERM and SIGKILL at the end of its time."},
	}
}

// exec checks a filter of the kind.
func (k *checker) exec(key string, f Filter) {
	if f.Kind != KindExec {
		return
	}
	if len(f.Exec.Command) == 0 {
		k.add(key, "a filter of kind exec wants a command", "exec: {command: [/path/of/program, argument]}")
	} else if !strings.HasPrefix(f.Exec.Command[0], "/") {
		k.add(key+".exec.command[0]", "the program is not an absolute path", "")
	}
	seen := map[string]bool{}
	for i, e := range f.Exec.Exit {
		status, _, _ := strings.Cut(e, "=")
		if seen[status] {
			k.add(key+".exec.exit["+strconv.Itoa(i)+"]", "a second meaning of status "+status, "keep one of them")
		}
		seen[status] = true
	}
}

// checkExit is "STATUS=WORD".
func checkExit(s string) (string, error) {
	status, word, _ := strings.Cut(s, "=")
	if n, err := strconv.ParseUint(status, 10, 8); err != nil || strconv.FormatUint(n, 10) != status {
		return "", hinted{"%q does not begin with an exit status", "write 1=reject", s}
	}
	if err := checkEnum(word, exitWords()); err != nil {
		return "", err
	}
	return s, nil
}

// checkAssignment is "NAME=value".
func checkAssignment(s string) (string, error) {
	name, _, ok := strings.Cut(s, "=")
	if !ok || name == "" || name[0] >= '0' && name[0] <= '9' || strings.HasPrefix(name, "MTAD_") || checkName(name) != nil || strings.Contains(name, "-") {
		return "", hinted{"%q is not NAME=value", "a name of letters, digits and underscores, not beginning with MTAD_", s}
	}
	return s, nil
}
