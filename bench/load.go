package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mtad/bench/rig"
)

// sink is Postfix's smtp-sink with running counters.
type sink struct {
	cmd      *exec.Cmd
	addr     string
	received atomic.Int64
	done     chan struct{}
}

var sinkCounter = regexp.MustCompile(`mesg=\s*(\d+)`)

func startSink() (*sink, error) {
	addr, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	s := &sink{addr: addr, done: make(chan struct{})}
	s.cmd = exec.Command("smtp-sink", "-u", "nobody", "-c", addr, "1000")
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadSlice('\r')
			if m := sinkCounter.FindSubmatch(line); m != nil {
				n, _ := strconv.ParseInt(string(m[1]), 10, 64)
				s.received.Store(n)
			}
			if err != nil {
				return
			}
		}
	}()
	return s, rig.AwaitGreeting(addr, startTime)
}

func (s *sink) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
	_ = s.cmd.Wait()
}

// awaitCount waits until n messages more than before have arrived.
func (s *sink) awaitCount(before, n int64) error {
	return rig.Await(fmt.Sprintf("%d messages at the sink", n), 5*time.Minute, func() bool {
		return s.received.Load()-before >= n
	})
}

// source sends n messages with smtp-source.
func source(addr string, n int) error {
	out, err := exec.Command("smtp-source", "-s", strconv.Itoa(*connections), "-m", strconv.Itoa(n),
		"-l", strconv.Itoa(*size), "-f", "sender@example.org", "-t", "rcpt@example.net", addr).CombinedOutput()
	if err != nil {
		return fmt.Errorf("smtp-source: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// acceptLatency sends n messages over the connections, each connection one
// after the other, and returns the times from the final dot to the reply.
func acceptLatency(addr string, n int) (p50, p99 time.Duration, err error) {
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	errs := make(chan error, *connections)
	for range *connections {
		wg.Go(func() {
			times, err := latencySession(addr, n / *connections)
			if err != nil {
				errs <- err
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return 0, 0, <-errs
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], nil
}

func latencySession(addr string, n int) ([]time.Duration, error) {
	c, err := rig.Dial(addr, sessionTime)
	if err != nil {
		return nil, err
	}
	defer c.Conn.Close()
	body := message(*size)
	times := make([]time.Duration, 0, n)
	for range n {
		d, err := sendTo(c, body)
		if err != nil {
			return nil, err
		}
		times = append(times, d)
	}
	return times, nil
}

// message is incompressible text of about n octets, with the final dot.
func message(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var b strings.Builder
	b.WriteString("From: <sender@example.org>\r\nTo: <rcpt@example.net>\r\nSubject: benchmark\r\n\r\n")
	for b.Len() < n {
		for range 76 {
			b.WriteByte(letters[rand.IntN(len(letters))])
		}
		b.WriteString("\r\n")
	}
	b.WriteString(".\r\n")
	return b.String()
}
