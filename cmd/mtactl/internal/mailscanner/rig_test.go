package mailscanner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"mtad/cmd/mtactl/internal/mailscanner"
	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/internal/config"
	"mtad/queue"
)

// roleEnv makes this test binary another program, to be killed; its value is a role
// as JSON.
const roleEnv = "MTAD_TEST_ROLE"

// role is what a process of the test does.
type role struct {
	What string // bridge, standin, mtad
	Dir  string
	// Die is the step before which the process kills itself, once in the life of Dir.
	Die string
}

func TestMain(m *testing.M) {
	app.Launch()
	if text := os.Getenv(roleEnv); text != "" {
		var r role
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			panic(err)
		}
		os.Exit(r.run())
	}
	os.Exit(m.Run())
}

func (r *role) run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch r.What {
	case "standin":
		s := &standin{in: r.Dir + "/in", out: r.Dir + "/out", quarantine: r.Dir + "/quarantine", die: r.step}
		s.run()
	case "bridge":
		err = mailscanner.Run(ctx, mailscanner.WithStep(options(r.Dir, os.Stderr), r.step))
	case "mtad":
		var cfg *config.Config
		if cfg, err = config.Load(r.Dir + "/mtad.yaml"); err == nil {
			err = app.Run(ctx, cfg, app.Options{Version: "child"})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// step kills the process where it is to die.
func (r *role) step(name string) {
	if name != r.Die {
		return
	}
	mark, err := os.OpenFile(filepath.Join(r.Dir, "died"), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	mark.Close()
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// lease is long enough for a busy machine, and short enough to wait for.
const lease = 5 * time.Second

func options(dir string, logs io.Writer) mailscanner.Options {
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:" + dir + "/api.sock"})
	if err != nil {
		panic(err)
	}
	return mailscanner.Options{
		Client: c, Filter: "mailscanner", Incoming: dir + "/in", Outgoing: dir + "/out", Quarantine: dir + "/quarantine",
		Lease: lease, RetryDelay: time.Second, Poll: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(logs, nil)),
	}
}

// rig is mtad, its next hop, and the directories.
type rig struct {
	t    *testing.T
	dir  string
	app  *app.App // nil where mtad is a process
	addr string   // SMTP
	got  chan mail
	logs *logs
}

func newRig(t *testing.T, timing string) *rig {
	t.Helper()
	r := newRigWithout(t, timing)
	cfg, err := config.Load(r.dir + "/mtad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if r.app, err = app.New(t.Context(), cfg, app.Options{Version: "test", Log: r.logs}); err != nil {
		t.Fatal(err)
	}
	r.app.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.app.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	r.addr = r.app.Addr("smtp").String()
	return r
}

// newRigWithout is a rig where mtad is not started.
func newRigWithout(t *testing.T, timing string) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "bridge") // short: a socket is in it
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, got: make(chan mail, 1000), logs: &logs{}}
	t.Cleanup(func() {
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("logs:\n%s", r.logs)
		}
	})
	for _, d := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf(`
hostname: mx.test
spool: {directory: %[1]s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}
listeners: {smtp: {address: "127.0.0.1:0", chain: scan}}
api: {unix: %[1]s/api.sock, listen: ["127.0.0.1:0"]}
filters: {mailscanner: {}}
chains: {scan: {filters: [mailscanner], timing: %[2]s, wait: 2m}}
smarthost: "[127.0.0.1]:%[3]s"
delivery: {min_backoff: 1s, max_backoff: 1s}
`, dir, timing, r.nextHop())
	if err := os.WriteFile(dir+"/mtad.yaml", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// bridge runs a bridge in this process until the test, or the returned stop, ends it.
func (r *rig) bridge(change func(*mailscanner.Options)) (stop func()) {
	o := options(r.dir, r.logs)
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mailscanner.Run(ctx, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("bridge: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// process is a role that is started again whenever it ends.
type process struct {
	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped bool
	done    chan struct{}
}

func (r *rig) start(what, die string) *process {
	r.t.Helper()
	text, err := json.Marshal(role{What: what, Dir: r.dir, Die: die})
	if err != nil {
		r.t.Fatal(err)
	}
	p := &process{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for p.begin(string(text), r.logs) {
			_ = p.cmd.Wait()
		}
	}()
	r.t.Cleanup(func() {
		p.mu.Lock()
		p.stopped = true
		p.mu.Unlock()
		p.kill()
		<-p.done
	})
	return p
}

func (p *process) begin(role string, logs io.Writer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), roleEnv+"="+role)
	p.cmd.Stderr = logs
	return p.cmd.Start() == nil
}

// kill ends the process with SIGKILL; it is started again unless the test is over.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
	}
}

// send hands in a message and returns the reply to its end.
func (r *rig) send(text string) string {
	r.t.Helper()
	reply, err := send(r.addr, text, "b@example.net")
	if err != nil {
		r.t.Fatal(err)
	}
	return reply
}

func send(addr, text string, to ...string) (string, error) {
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		return "", err
	}
	lines := []string{"EHLO client.test", "MAIL FROM:<Sender@example.org>"}
	for _, path := range to {
		lines = append(lines, "RCPT TO:<"+path+">")
	}
	for _, line := range append(lines, "DATA") {
		if err := c.PrintfLine("%s", line); err != nil {
			return "", err
		}
		if _, _, err := c.ReadResponse(0); err != nil {
			return "", err
		}
	}
	w := c.DotWriter()
	if _, err := io.WriteString(w, text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	code, msg, err := c.ReadResponse(0)
	if code == 0 {
		return "", err
	}
	return fmt.Sprintf("%d %s", code, msg), nil
}

// arrived waits for the next message at the next hop; its text is without the trace.
func (r *rig) arrived() mail {
	r.t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(2 * time.Minute):
		r.t.Fatal("nothing arrived")
		return mail{}
	}
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("not in two minutes: %s", what)
		}
	}
}

// empty waits until mtad has no message any more, so that no further one can arrive.
func (r *rig) empty() {
	r.t.Helper()
	r.until("an empty queue", func() bool {
		n, err := r.app.Queue().Count(context.Background(), queue.Filter{})
		return err == nil && n.Messages == 0
	})
	select {
	case m := <-r.got:
		r.t.Errorf("arrived again: %q", m.text)
	default:
	}
}

// clean waits until the directories hold nothing but locks of living bridges.
func (r *rig) clean(bridges int) {
	r.t.Helper()
	var left []string
	r.until("clean directories", func() bool {
		left = nil
		for _, d := range []string{"in", "out"} {
			entries, err := os.ReadDir(filepath.Join(r.dir, d))
			if err != nil {
				r.t.Fatal(err)
			}
			for _, e := range entries {
				left = append(left, d+"/"+e.Name())
			}
		}
		locks := strings.Count(strings.Join(left, "\n"), "temp-mtad-")
		return len(left) == bridges && locks == bridges
	})
}

type mail struct {
	from string
	to   []string
	text string
}

type session struct {
	r *rig
	m mail
}

func (r *rig) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{r: r}, nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.m = mail{from: from}; return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error { s.m.to = append(s.m.to, to); return nil }

func (s *session) Data(b io.Reader) error {
	text, err := io.ReadAll(b)
	if err != nil {
		return err
	}
	s.m.text = string(withoutTrace(text))
	s.r.got <- s.m
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// withoutTrace takes off mtad's own field, which is on top.
func withoutTrace(text []byte) []byte {
	for first := true; ; first = false {
		line, rest, ok := bytes.Cut(text, []byte("\n"))
		if !ok || !first && (len(line) == 0 || line[0] != '\t' && line[0] != ' ') || first && !bytes.HasPrefix(line, []byte("Received:")) {
			return text
		}
		text = rest
	}
}

// nextHop serves SMTP and returns its port.
func (r *rig) nextHop() string {
	r.t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	srv := smtp.NewServer(r)
	srv.Domain = "next.test"
	srv.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	r.t.Cleanup(func() {
		_ = ln.Close() // also when Serve has not begun: Close would not know it
		_ = srv.Close()
		<-done
	})
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// logs collects what programs write.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
