package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtad/internal/app"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	app.Launch()
	testscript.Main(m, map[string]func(){"mtad": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("STATE_DIRECTORY", filepath.Join(e.WorkDir, "state", "mtad"))
			e.Values[daemonsKey{}] = map[string]*daemon{}
			e.Defer(func() {
				for _, d := range daemonsOf(e.Values) {
					d.end()
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": daemonCommand,
			"signal": signalCommand,
			"await":  awaitCommand,
			"status": statusCommand,
			"smtp":   smtpCommand,
			"flood":  floodCommand,
		},
	})
}

type daemonsKey struct{}

func daemonsOf(v map[any]any) map[string]*daemon { return v[daemonsKey{}].(map[string]*daemon) }

// daemon is an mtad that runs beside the script.
type daemon struct {
	cmd   *exec.Cmd
	lines chan string // of its log
	seen  []string
	done  chan struct{}
}

func (d *daemon) end() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// daemonCommand: daemon NAME ARG… starts mtad in the background. The variable
// NOFILE, when set, is its limit of open files.
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: daemon NAME ARG...")
	}
	self, err := lookIn(ts.Getenv("PATH"), "mtad")
	ts.Check(err)
	cmd := exec.Command(self, args[1:]...)
	if limit := ts.Getenv("NOFILE"); limit != "" {
		cmd = exec.Command("sh", append([]string{"-c", `ulimit -n "$0" && exec "$@"`, limit, self}, args[1:]...)...)
	}
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"STATE_DIRECTORY=" + ts.Getenv("STATE_DIRECTORY"), "HOME=" + ts.Getenv("WORK"), "PATH=" + ts.Getenv("PATH")}
	out, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	d := &daemon{cmd: cmd, lines: make(chan string, 10000), done: make(chan struct{})}
	go d.follow(out)
	daemonsOf(valuesOf(ts))[args[0]] = d
}

func (d *daemon) follow(out io.Reader) {
	s := bufio.NewScanner(out)
	for s.Scan() {
		d.lines <- s.Text()
	}
	close(d.lines)
	_ = d.cmd.Wait()
	close(d.done)
}

func lookIn(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(p); err == nil && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", os.ErrNotExist
}

func valuesOf(ts *testscript.TestScript) map[any]any {
	return map[any]any{daemonsKey{}: ts.Value(daemonsKey{})}
}

func find(ts *testscript.TestScript, name string) *daemon {
	d := daemonsOf(valuesOf(ts))[name]
	if d == nil {
		ts.Fatalf("no daemon %s", name)
	}
	return d
}

// signalCommand: signal NAME TERM|HUP|INT|KILL
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME TERM|HUP|INT|KILL")
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

// awaitCommand: await NAME REGEXP waits for a line of the log; the variable ADDR
// is set to what a group matched.
func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME REGEXP")
	}
	d, re := find(ts, args[0]), regexp.MustCompile(args[1])
	limit := time.After(time.Minute)
	for {
		select {
		case line, ok := <-d.lines:
			if !ok {
				ts.Fatalf("%s ended without a line %s; its log:\n%s", args[0], args[1], strings.Join(d.seen, "\n"))
			}
			d.seen = append(d.seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				if len(m) > 1 {
					ts.Setenv("ADDR", m[1])
				}
				return
			}
		case <-limit:
			ts.Fatalf("no line %s in a minute; the log:\n%s", args[1], strings.Join(d.seen, "\n"))
		}
	}
}

// statusCommand: status NAME N waits for the end and compares the exit status.
func statusCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: status NAME N")
	}
	d := find(ts, args[0])
	select {
	case <-d.done:
	case <-time.After(time.Minute):
		ts.Fatalf("%s does not end", args[0])
	}
	if got := fmt.Sprint(d.cmd.ProcessState.ExitCode()); got != args[1] {
		for line := range d.lines {
			d.seen = append(d.seen, line)
		}
		ts.Fatalf("%s ended with %s, want %s; its log:\n%s", args[0], got, args[1], strings.Join(d.seen, "\n"))
	}
}

// smtpCommand: smtp ADDR FILE [keep] speaks the file's lines ("C: …" is sent,
// "S: …" is a regexp that the next reply's last line has to match). With keep the
// connection stays open to the end of the script.
func smtpCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: smtp ADDR FILE [keep]")
	}
	c, err := net.Dial("tcp", args[0])
	ts.Check(err)
	if len(args) == 3 {
		ts.Defer(func() { c.Close() })
	} else {
		defer c.Close()
	}
	speak(ts, c, args[1])
}

func speak(ts *testscript.TestScript, c net.Conn, file string) {
	ts.Check(c.SetDeadline(time.Now().Add(time.Minute)))
	r := bufio.NewReader(c)
	for line := range bytes.Lines([]byte(ts.ReadFile(file))) {
		text := strings.TrimRight(string(line), "\n")
		switch {
		case strings.HasPrefix(text, "C: "):
			_, err := io.WriteString(c, text[3:]+"\r\n")
			ts.Check(err)
		case strings.HasPrefix(text, "S: "):
			reply, err := lastLine(r)
			ts.Check(err)
			if !regexp.MustCompile(text[3:]).MatchString(reply) {
				ts.Fatalf("got %q, want %s", reply, text[3:])
			}
		}
	}
}

func lastLine(r *bufio.Reader) (string, error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil || len(line) < 4 || line[3] != '-' {
			return strings.TrimRight(line, "\r\n"), err
		}
	}
}
