package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"
	"mtad/queue"
)

// crashConfig is an mtad that keeps everything in its queue, in a file of dir.
func crashConfig(t *testing.T, dir string) (file, socket string) {
	t.Helper()
	file = filepath.Join(dir, "mtad.yaml")
	text := fmt.Sprintf(`
hostname: mx.test
listeners: {smtp: {address: "127.0.0.1:0"}}
api: {listen: []}
spool: {directory: %s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}
smarthost: "[127.0.0.1]:1"
delivery: {min_backoff: 1h, max_backoff: 2h}
`, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, filepath.Join(dir, "spool", "api.sock")
}

// inQueue counts the messages for each recipient in a queue that no process has.
func inQueue(t *testing.T, file string) map[string]int {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, app.Options{Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.WithoutCancel(t.Context())) }()
	found := map[string]int{}
	for cursor := queue.Cursor(""); ; {
		page, err := a.Queue().List(t.Context(), queue.Filter{}, cursor, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			found[it.Envelope.Recipients[0].Path]++
		}
		if cursor = page.Next; cursor == "" {
			return found
		}
	}
}

func letterTo(name string, size int) string {
	return "sender: <a@example.org>\nrecipient: <" + name + ">\n\nSubject: " + name + "\n\n" + strings.Repeat("0123456789abcdef\n", size/17)
}

// submitting begins mtactl submit.
func submitting(t *testing.T, socket string, in io.Reader, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(mtactl(t), append([]string{"submit"}, args...)...)
	cmd.Dir, cmd.Env = "/", []string{"MTACTL_SERVER=unix:" + socket}
	out := &bytes.Buffer{}
	cmd.Stdin, cmd.Stdout = in, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// However often helpers and mtad are killed: who got 0 has a message in the
// queue, nobody has two, and repeating with the key makes it exactly one.
func TestKilledHelpersAndDaemonsKeepThePromiseOfExitZero(t *testing.T) {
	file, socket := crashConfig(t, t.TempDir())
	mtactl(t)
	var mu sync.Mutex
	promised, tried := map[string]bool{}, map[string]int{} // tried: with how many octets
	const workers, each = 6, 12
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		p := spawn(t, file)
		var wg sync.WaitGroup
		var done sync.WaitGroup
		done.Add(workers * each / 2)
		for w := range workers {
			wg.Go(func() {
				for n := range each {
					name := fmt.Sprintf("r%d-w%d-n%d@example.net", round, w, n)
					size := []int{100, 20_000, 2 << 20}[n%3]
					cmd, out := submitting(t, socket, strings.NewReader(letterTo(name, size)), "--key", name)
					if n%4 == 3 { // this helper is killed, sooner or later
						time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, func() { _ = cmd.Process.Kill() })
					}
					_ = cmd.Wait()
					ok := cmd.ProcessState.ExitCode() == 0
					if ok != (strings.Count(out.String(), "\n") == 1) && cmd.ProcessState.Exited() {
						t.Errorf("%s: status %v, output %q", name, cmd.ProcessState, out)
					}
					mu.Lock()
					tried[name] = size
					promised[name] = promised[name] || ok
					mu.Unlock()
					if n < each/2 {
						done.Done()
					}
				}
			})
		}
		done.Wait()
		p.kill(t)
		wg.Wait()
	}
	found := inQueue(t, file)
	zero := 0
	for name := range tried {
		if promised[name] {
			zero++
		}
		if found[name] > 1 || promised[name] && found[name] == 0 {
			t.Errorf("%s: promised %v, in the queue %d times", name, promised[name], found[name])
		}
	}
	t.Logf("%d tried, %d promised, %d in the queue", len(tried), zero, len(found))
	if zero < rounds*workers*each/4 {
		t.Fatalf("%d of %d were promised: too few for the test to say anything", zero, len(tried))
	}
	// What was not promised is repeated with its key.
	p := spawn(t, file)
	for name, size := range tried {
		if status, _, words := runHelper(t, socket, strings.NewReader(letterTo(name, size)), "submit", "--key", name); status != 0 {
			t.Fatalf("%s: status %d, %s", name, status, words)
		}
	}
	p.kill(t)
	found = inQueue(t, file)
	for name := range tried {
		if found[name] != 1 {
			t.Errorf("%s: in the queue %d times, want once", name, found[name])
		}
	}
}

// A message that its writer's end never reached is not in the queue, at
// whichever step the helper was killed.
func TestAHelperKilledAtAnyStepLeavesNoHalfMessage(t *testing.T) {
	file, socket := crashConfig(t, t.TempDir())
	p := spawn(t, file)
	whole := letterTo("half@example.net", 4<<20)
	for _, step := range []int{0, 5, 30, 80, 1000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20, len(whole)} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd, _ := submitting(t, socket, r)
		r.Close()
		if _, err := io.WriteString(w, whole[:step]); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		w.Close() // after the helper is dead: its end of file never came
	}
	if status, _, words := runHelper(t, socket, strings.NewReader(letterTo("whole@example.net", 100)), "submit"); status != 0 {
		t.Fatal(status, words)
	}
	p.kill(t)
	if found := inQueue(t, file); found["half@example.net"] != 0 || found["whole@example.net"] != 1 {
		t.Errorf("in the queue: %v", found)
	}
}

// cutter stands between a helper and mtad and kills mtad at a point of their
// dialogue.
type cutter struct {
	up   int    // after so many octets of the helper's
	down string // before these octets of mtad's, which are lost
	kill func()
}

func (c *cutter) serve(t *testing.T, socket string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			helper, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.relay(helper, socket) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return path
}

func (c *cutter) relay(helper net.Conn, socket string) {
	defer helper.Close()
	mtad, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer mtad.Close()
	cut := sync.OnceFunc(func() { c.kill(); mtad.Close(); helper.Close() })
	var wg sync.WaitGroup
	wg.Go(func() {
		if c.up < 0 {
			_, _ = io.Copy(mtad, helper)
			return
		}
		_, _ = io.CopyN(mtad, helper, int64(c.up))
		cut()
	})
	wg.Go(func() {
		defer helper.Close()
		b := make([]byte, 4096)
		for {
			n, err := mtad.Read(b)
			if i := bytes.Index(b[:n], []byte(c.down)); c.down != "" && i >= 0 {
				_, _ = helper.Write(b[:i])
				cut()
				return
			}
			if _, werr := helper.Write(b[:n]); err != nil || werr != nil {
				return
			}
		}
	})
	wg.Wait()
}

// mtad is killed at every step of the dialogue. The helper never ends with 0; what the
// queue has is nothing or the message, and repeating with the key makes it one.
func TestADaemonKilledAtAnyStepIsNoSuccess(t *testing.T) {
	const name = "b@example.net"
	in := letterTo(name, 2<<20)
	for _, c := range []struct {
		name   string
		up     int
		down   string
		queued int // -1: either
	}{
		{"before the request", 0, "", 0},
		{"within the request's header", 20, "", 0},
		{"before it asks for the body", -1, "100 Continue", 0},
		{"within the block", 400, "", 0},
		{"within the content", 1 << 20, "", 0},
		{"before the answer", -1, "HTTP/1.1 201", 1},
		{"within the answer", -1, `"recipients"`, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, socket := crashConfig(t, t.TempDir())
			p := spawn(t, file)
			victim := p.cmd
			kill := sync.OnceFunc(func() { _ = victim.Process.Kill(); _ = victim.Wait() })
			between := (&cutter{up: c.up, down: c.down, kill: kill}).serve(t, socket)
			status, out, words := runHelper(t, between, strings.NewReader(in), "submit", "--key", "k")
			kill() // it is dead: this waits for its end
			if status != 75 || out != "" || strings.Count(words, "\n") != 1 {
				t.Errorf("status %d, %q, %q; want 75 and one line", status, out, words)
			}
			if found := inQueue(t, file); c.queued >= 0 && found[name] != c.queued {
				t.Errorf("%d in the queue, want %d", found[name], c.queued)
			}
			p = spawn(t, file)
			if status, _, words := runHelper(t, socket, strings.NewReader(in), "submit", "--key", "k"); status != 0 {
				t.Errorf("repeated: status %d, %s", status, words)
			}
			p.kill(t)
			if found := inQueue(t, file); found[name] != 1 {
				t.Errorf("repeated: %d in the queue", found[name])
			}
		})
	}
}
