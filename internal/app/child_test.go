package app_test

import (
	"bufio"
	"context"
	"fmt"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"
)

// childEnv names the configuration file of an mtad that a test starts as a
// process of its own, to be able to kill it.
const childEnv = "MTAD_TEST_CONFIG"

func TestMain(m *testing.M) {
	app.Launch()
	if file := os.Getenv(childEnv); file != "" {
		os.Exit(child(file))
	}
	status := m.Run()
	removeHelper()
	os.Exit(status)
}

func child(file string) int {
	cfg, err := config.Load(file)
	if err == nil {
		err = app.Run(context.Background(), cfg, app.Options{Version: "child"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is an mtad of its own.
type process struct {
	cmd  *exec.Cmd
	addr string
}

var listening = regexp.MustCompile(`msg=listening name=smtp .*address=([0-9.:]+)`)

func spawn(t *testing.T, file string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+file)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	s := bufio.NewScanner(out)
	for s.Scan() {
		if m := listening.FindStringSubmatch(s.Text()); m != nil {
			p.addr = m[1]
			go func() {
				for s.Scan() {
				}
			}()
			return p
		}
	}
	t.Fatalf("the process ended before it listened: %v", cmd.Wait())
	return nil
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// Messages that were acknowledged arrive, however often the process is killed
// with SIGKILL on the way.
func TestKilledAgainAndAgainNothingAcknowledgedIsLost(t *testing.T) {
	dir, next := t.TempDir(), newSink(t)
	file := filepath.Join(dir, "mtad.yaml")
	text := relayConfig(next.addr) + fmt.Sprintf("spool: {directory: %s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}\n", dir)
	text = strings.ReplaceAll(text, "min_backoff: 1h, max_backoff: 2h", "min_backoff: 1s, max_backoff: 1s")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	for round := range 4 {
		p := spawn(t, file)
		for _, name := range load(p, round) {
			acknowledged[name] = true
		}
		p.kill(t)
	}
	p := spawn(t, file)
	defer p.kill(t)
	t.Logf("%d acknowledged", len(acknowledged))
	if len(acknowledged) < 20 {
		t.Fatal("too few for the test to say anything")
	}
	limit := time.After(2 * time.Minute)
	for len(acknowledged) > 0 {
		select {
		case m := <-next.got:
			name := m.to[0]
			if body := content(t, m.data); body != "Subject: "+name+"\r\n\r\ntext of "+name+"\r\n" {
				t.Errorf("%s was changed: %q", name, body)
			}
			delete(acknowledged, name)
		case <-limit:
			t.Fatalf("%d acknowledged messages did not arrive", len(acknowledged))
		}
	}
}

// load sends messages over several connections, kills p amid them, and returns
// those that got a 250.
func load(p *process, round int) []string {
	var mu sync.Mutex
	var names []string
	var wg sync.WaitGroup
	var once sync.Once
	for worker := range 5 {
		wg.Go(func() {
			c, err := textproto.Dial("tcp", p.addr)
			if err != nil {
				return
			}
			defer c.Close()
			if _, _, err := c.ReadResponse(220); err != nil {
				return
			}
			for n := 0; n < 400; n++ {
				name := fmt.Sprintf("r%d-w%d-n%d@example.net", round, worker, n)
				if !handIn(c, name, n == 0) {
					return
				}
				mu.Lock()
				names = append(names, name)
				enough := len(names) > 60
				mu.Unlock()
				if enough {
					once.Do(func() { _ = p.cmd.Process.Kill() })
				}
			}
		})
	}
	wg.Wait()
	return names
}

func handIn(c *textproto.Conn, name string, first bool) bool {
	steps := []struct {
		code int
		line string
	}{
		{250, "EHLO client.test"}, {250, "MAIL FROM:<a@example.org>"}, {250, "RCPT TO:<" + name + ">"}, {354, "DATA"},
		{250, "Subject: " + name + "\r\n\r\ntext of " + name + "\r\n."},
	}
	if !first {
		steps = steps[1:]
	}
	for _, s := range steps {
		if c.PrintfLine("%s", s.line) != nil {
			return false
		}
		if _, _, err := c.ReadResponse(s.code); err != nil {
			return false
		}
	}
	return true
}
