package smtpd

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// endings are ways in which clients leave.
var endings = []string{
	"QUIT\r\n",
	"",
	"EHL",
	"\x00\x01\x02\r\n",
	"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nhalf",
	"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nwhole\r\n.\r\n",
	"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<b@example.org>\r\nDATA\r\na\nb\r\n.\r\nRSET\r\n",
	"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<b@example.org>\r\nBDAT 1000\r\nhalf",
	"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<b@example.org>\r\nBDAT 5 LAST\r\nwhole",
	"GET / HTTP/1.0\r\n\r\n",
}

func TestSessionsLeaveNothingBehind(t *testing.T) {
	d := openDoor(t, trust)
	leave := func(i int) {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, endings[i%len(endings)]); err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 { // half closed, and read to the end
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		}
	}
	leave(0)
	waitOpen(t, d, 0)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for i := range 1000 {
		leave(i)
	}
	waitOpen(t, d, 0)
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines || openFiles(t) > files; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines and %d files before, %d and %d after", goroutines, files, runtime.NumGoroutine(), openFiles(t))
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no list of open files here")
	}
	return len(list)
}
