package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// invocations is how often each command is run, one after the other.
const invocations = 1000

// command measures what it costs a script to hand in one message: a run of
// sendmail, from fork to exit status, with a message of -size octets. Both systems relay meanwhile
// what they get.
func (b *bench) command() error {
	build := exec.Command("go", "build", "-o", filepath.Join(b.bin, "sendmail"), "./cmd/mtactl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	fmt.Println("| command, 1,000 in a row | mean | p50 | p99 |\n|---|---|---|---|")
	for _, sys := range []string{"postfix", "mtad"} {
		if *only != "" && *only != sys {
			continue
		}
		if err := b.commandOf(sys); err != nil {
			return fmt.Errorf("%s: %w", sys, err)
		}
	}
	return nil
}

func (b *bench) commandOf(sys string) error {
	s, err := startSink()
	if err != nil {
		return err
	}
	defer s.stop()
	dir := filepath.Join(b.dir, "command-"+sys)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	mta, err := b.start("relay", sys, dir, s.addr)
	if err != nil {
		return err
	}
	running := true
	defer func() {
		if running {
			mta.stop()
		}
	}()
	name, env := "/usr/sbin/sendmail", []string{"MAIL_CONFIG=" + filepath.Join(dir, "etc")}
	if sys == "mtad" {
		name, env = filepath.Join(b.bin, "sendmail"), []string{"MTACTL_SERVER=unix:" + filepath.Join(dir, "api.sock"), "MTACTL_MAILDROP=" + filepath.Join(dir, "spool", "maildrop")}
	}
	before := s.received.Load()
	took, err := runs(name, env)
	if err != nil {
		return err
	}
	line(sys+"'s sendmail", took)
	if err := s.awaitCount(before, invocations); err != nil || sys != "mtad" {
		return err
	}
	mta.stop()
	running = false
	if took, err = runs(name, env); err != nil {
		return err
	}
	line("the same, mtad down: into the maildrop", took)
	return nil
}

func runs(name string, env []string) ([]time.Duration, error) {
	text := "Subject: x\n\n" + strings.Repeat("0123456789abcdef\n", *size/17)
	var took []time.Duration
	for range invocations {
		cmd := exec.Command(name, "-i", "-f", "a@example.org", "b@example.net")
		cmd.Env, cmd.Stdin = env, strings.NewReader(text)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

func line(what string, took []time.Duration) {
	sum := time.Duration(0)
	for _, d := range took {
		sum += d
	}
	slices.Sort(took)
	round := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
	fmt.Printf("| %s | %s | %s | %s |\n", what, round(sum/time.Duration(len(took))), round(took[len(took)/2]), round(took[len(took)*99/100]))
}
