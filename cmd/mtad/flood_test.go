package main

import (
	"io"
	"net"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// floodCommand: flood ADDR N FILE opens a connection and then N more that say
// nothing; when each of them is greeted or turned away it speaks FILE (as smtp
// does) on the first. All stay open to the end of the script. The last of the N
// has to be turned away.
func floodCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: flood ADDR N FILE")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	first := connect(ts, args[0])
	code := make([]byte, 3)
	for range n {
		if _, err := io.ReadFull(connect(ts, args[0]), code); err != nil {
			ts.Fatalf("no answer to a connection: %v", err)
		}
	}
	if string(code) != "421" {
		ts.Fatalf("the last of %d connections got %s, want 421", n, code)
	}
	speak(ts, first, args[2])
}

func connect(ts *testscript.TestScript, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	ts.Check(c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}
