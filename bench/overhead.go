package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mtad/bench/rig"
)

// trials are what is compared for the cost of a filter: each system with filters
// that do nothing, beside itself without.
var trials = []key{
	{"relay", "mtad"}, {"pull", "mtad"}, {"milter", "mtad"}, {"webhook", "mtad"},
	{"pull, after", "mtad"}, {"milter, after", "mtad"}, {"webhook, after", "mtad"},
	{"relay", "postfix"}, {"milter", "postfix"},
}

// trial is what one measurement of them gave.
type trial struct {
	Rate         float64 // messages per second from the first to the last at the sink, as fast as it goes
	CPU, Program float64 // processor time of the MTA and of the filter's program, ms a message, then
	Syncs        float64 // WAL syncs a message, then; mtad only
	Steady       []load
}

// load is what a steady sender saw.
type load struct {
	Offered, Kept float64 // messages per second: sent, and at the sink
	CPU, Program  float64 // as above
	Syncs         float64
	P50, P99      time.Duration // from the final dot to the reply
}

// shares are the loads of steady senders, as shares of what the system does
// without a filter.
var shares = []float64{0.25, 0.5}

// overhead measures every trial in turn, and the round again. The load of the
// second part is taken from the first round without a filter.
func (b *bench) overhead() error {
	if err := b.recall(); err != nil {
		return err
	}
	for round := range *rounds {
		for _, k := range trials {
			if *only != "" && *only != k.system || *compare != "" && k.scenario != "relay" && !slices.Contains(strings.Split(*compare, ";"), k.scenario) {
				continue
			}
			t, err := b.trial(k, round)
			if err != nil {
				return fmt.Errorf("%s %s: %w", k.system, k.scenario, err)
			}
			b.trials[k] = append(b.trials[k], t)
			fmt.Printf("round %d %-7s %-14s %5.0f msgs/s cpu %.2f+%.2f ms syncs %.2f\n", round+1, k.system, k.scenario, t.Rate, t.CPU, t.Program, t.Syncs)
			for _, l := range t.Steady {
				fmt.Printf("    of %4.0f msgs/s kept %4.0f cpu %.2f+%.2f ms syncs %.2f p50 %v p99 %v\n", l.Offered, l.Kept, l.CPU, l.Program, l.Syncs, l.P50.Round(10*time.Microsecond), l.P99.Round(10*time.Microsecond))
			}
		}
	}
	return b.remember()
}

// kept is a trial in a file of figures.
type kept struct {
	Scenario, System string
	Trials           []trial
}

// recall reads the figures of earlier runs.
func (b *bench) recall() error {
	text, err := os.ReadFile(*figures)
	if *figures == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []kept
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	for _, k := range list {
		b.trials[key{k.Scenario, k.System}] = k.Trials
	}
	return err
}

// remember writes them, with those of this run.
func (b *bench) remember() error {
	if *figures == "" {
		return nil
	}
	var list []kept
	for k, trials := range b.trials {
		list = append(list, kept{k.scenario, k.system, trials})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return os.WriteFile(*figures, text, 0o644)
}

func (b *bench) trial(k key, round int) (t trial, err error) {
	s, err := startSink()
	if err != nil {
		return t, err
	}
	defer s.stop()
	dir := filepath.Join(b.dir, strings.ReplaceAll(fmt.Sprintf("%s-%s-%d", k.system, k.scenario, round), ", ", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t, err
	}
	mta, err := b.start(k.scenario, k.system, dir, s.addr)
	if err != nil {
		return t, err
	}
	defer mta.stop()
	meter := func(n int, drive func() error) (spent usage, took time.Duration, err error) {
		before, seen, begin := used(mta), s.received.Load(), time.Now()
		if err := drive(); err != nil {
			return spent, 0, err
		}
		if err := s.awaitCount(seen, int64(n)); err != nil {
			return spent, 0, err
		}
		took = time.Since(begin)
		return used(mta).since(before, n), took, nil
	}
	if _, _, err := meter(*messages/10, func() error { return source(mta.address(), *messages/10) }); err != nil {
		return t, fmt.Errorf("warm-up: %w", err)
	}
	spent, took, err := meter(*messages, func() error { return source(mta.address(), *messages) })
	if err != nil {
		return t, err
	}
	t.Rate, t.CPU, t.Program, t.Syncs = float64(*messages)/took.Seconds(), spent.mta, spent.program, spent.syncs
	free := t.Rate
	if all := b.trials[key{"relay", k.system}]; len(all) > 0 {
		free = all[0].Rate
	}
	for _, share := range shares {
		l := load{Offered: free * share}
		n := max(100, int(l.Offered*steadyTime.Seconds()))
		spent, took, err = meter(n, func() (err error) { l.P50, l.P99, err = pace(mta.address(), n, l.Offered); return err })
		if err != nil {
			return t, err
		}
		l.Kept, l.CPU, l.Program, l.Syncs = float64(n)/(took-lead).Seconds(), spent.mta, spent.program, spent.syncs
		t.Steady = append(t.Steady, l)
	}
	return t, nil
}

const (
	steadyTime = 1500 * time.Millisecond // of sending at a steady load
	lead       = 100 * time.Millisecond  // to connect before it
)

// usage is processor time in milliseconds, and syncs.
type usage struct{ mta, program, syncs float64 }

func used(s system) (u usage) {
	switch m := s.(type) {
	case *mtad:
		u = usage{mta: cpuOf(m.run.cmd.Process.Pid), syncs: m.syncs()}
		if m.scanner != nil {
			u.program = cpuOf(m.scanner.cmd.Process.Pid)
		}
	case *postfix:
		u.mta = treeCPU(m.master())
		if m.milter != nil {
			u.program = cpuOf(m.milter.cmd.Process.Pid)
		}
	}
	return u
}

func (u usage) since(v usage, n int) usage {
	c := float64(n)
	return usage{(u.mta - v.mta) / c, (u.program - v.program) / c, (u.syncs - v.syncs) / c}
}

// pace sends n messages at a rate over kept connections, each at its time whatever
// became of the ones before, and returns the times from final dot to reply.
func pace(addr string, n int, rate float64) (p50, p99 time.Duration, err error) {
	times := make([]time.Duration, n)
	errs := make(chan error, *connections)
	var next atomic.Int64
	var wg sync.WaitGroup
	body := message(*size)
	begin := time.Now().Add(lead)
	for range *connections {
		wg.Go(func() {
			c, err := rig.Dial(addr, sessionTime)
			for err == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					break
				}
				time.Sleep(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
				times[i], err = sendTo(c, body)
			}
			if c != nil {
				c.Conn.Close()
			}
			if err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return 0, 0, <-errs
	}
	slices.Sort(times)
	return times[n/2], times[n*99/100], nil
}

// send sends one message and returns the time from the final dot to the reply.
func sendTo(c *rig.Client, body string) (time.Duration, error) {
	if err := c.Begin(); err != nil {
		return 0, err
	}
	begin := time.Now()
	_, err := c.Command("250", body)
	return time.Since(begin), err
}
