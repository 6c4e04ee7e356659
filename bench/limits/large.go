package main

import (
	"fmt"
	"os/exec"
	"sync"

	"mtad/bench/rig"
)

// measureLarge sends one message of 50 MB through to a sink, then, to a fresh
// mtad, a hundred at once.
func measureLarge(dir, bin string, row func(what, got, asked string)) error {
	sinkAddr, err := rig.FreePort()
	if err != nil {
		return err
	}
	sink := exec.Command("smtp-sink", "-u", "nobody", sinkAddr, "1000")
	if err := sink.Start(); err != nil {
		return err
	}
	defer func() { _ = sink.Process.Kill(); _ = sink.Wait() }()
	for _, n := range []int{1, 100} {
		grown, err := sendLarge(fmt.Sprintf("%s-%d", dir, n), bin, "[127.0.0.1]:"+portOf(sinkAddr), n)
		if err != nil {
			return err
		}
		asked := "< 64 MB"
		if n > 1 {
			asked = "< 512 MB"
		}
		row(fmt.Sprintf("extra memory of %d message(s) of 50 MB at once", n), megabytes(grown), asked)
	}
	return nil
}

func sendLarge(dir, bin, next string, n int) (grown int64, err error) {
	d, err := startDaemon(dir, bin, "", next)
	if err != nil {
		return 0, err
	}
	defer d.stop()
	before := d.peak()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c, err := rig.Dial(d.addr, sessionTime)
			if err == nil {
				defer c.Conn.Close()
				err = mail(c, 49<<20)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	if err := d.drained(); err != nil {
		return 0, err
	}
	return d.peak() - before, nil
}
