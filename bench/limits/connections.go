package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"mtad/bench/rig"
)

// measureConnections holds idle connections, then as many slow ones, and greets
// and serves a new client each time. The crowd is a process
// of its own, so that mtad's memory is mtad's alone.
func measureConnections(dir, bin string, row func(what, got, asked string)) error {
	d, err := startDaemon(dir, bin, ", chain: scan", "[127.0.0.1]:9")
	if err != nil {
		return err
	}
	defer d.stop()
	before := d.resident()
	for _, kind := range []string{"idle", "slow"} {
		stop, err := startCrowd(d.addr, kind, *idle)
		if err != nil {
			return err
		}
		if kind == "idle" {
			each := (d.resident() - before) / int64(*idle)
			row(fmt.Sprintf("memory of each of %d idle connections", *idle), fmt.Sprintf("%.1f KB", float64(each)/1024), "< 40 KB")
		}
		worst, err := serveNewClients(d.addr, 20)
		stop() // both at once want more descriptors than many machines allow
		if err != nil {
			return err
		}
		row(fmt.Sprintf("a new client greeted and its message accepted, beside %d %s ones", *idle, kind), seconds(worst), "< 0.2 s")
	}
	return nil
}

// serveNewClients returns the longest time that one of n took.
func serveNewClients(addr string, n int) (worst time.Duration, err error) {
	for range n {
		begin := time.Now()
		c, err := rig.Dial(addr, sessionTime)
		if err != nil {
			return 0, err
		}
		err = mail(c, 1000)
		c.Conn.Close()
		if err != nil {
			return 0, err
		}
		worst = max(worst, time.Since(begin))
	}
	return worst, nil
}

func startCrowd(addr, kind string, n int) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-c", `ulimit -n 65536 2>/dev/null; exec "$0" "$@"`, self, "crowd", addr, kind, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() { in.Close(); _ = cmd.Wait() }
	var b [1]byte
	if _, err := io.ReadFull(out, b[:]); err != nil {
		stop()
		return nil, errors.New("the crowd did not get its connections")
	}
	return stop, nil
}

// crowd holds connections until its standard input ends. Idle ones have said
// EHLO; slow ones send one octet of a message a second.
func crowd(args []string) int {
	addr, kind := args[0], args[1]
	n, _ := strconv.Atoi(args[2])
	var mu sync.Mutex
	var conns []net.Conn
	var wg sync.WaitGroup
	failed := make(chan error, 50)
	for part := range 50 {
		wg.Go(func() {
			for i := part; i < n; i += 50 {
				c, err := rig.Dial(addr, sessionTime)
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				conns = append(conns, c.Conn)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(failed) > 0 {
		fmt.Fprintln(os.Stderr, "crowd:", <-failed)
		return 1
	}
	if kind == "slow" {
		go trickle(conns)
	}
	_, _ = os.Stdout.WriteString("y")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// trickle spreads one octet for each connection over each second.
func trickle(conns []net.Conn) {
	text := "MAIL FROM:<a-very-long-sender-address@example.org>\r\n"
	for i := 0; ; i++ {
		begin := time.Now()
		for j, c := range conns {
			_, _ = c.Write([]byte{text[i%len(text)]})
			if j%1000 == 999 {
				time.Sleep(time.Until(begin.Add(time.Duration(j+1) * time.Second / time.Duration(len(conns)))))
			}
		}
	}
}
