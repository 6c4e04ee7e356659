package scannertest

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

func TestClamdAnswersAgainAfterItWasKilled(t *testing.T) {
	c := StartClamd(t)
	ping(t, "unix", c.Socket, "nPING\n", "PONG")
	c.Kill()
	c.Restart()
	ping(t, "tcp", c.Addr, "nPING\n", "PONG")
}

func TestSpamdAnswers(t *testing.T) {
	s := StartSpamd(t)
	ping(t, "tcp", s.Addr, "PING SPAMC/1.5\r\n\r\n", "PONG")
}

func TestRspamdAnswers(t *testing.T) {
	r := StartRspamd(t, "")
	ping(t, "tcp", r.Addr, "GET /ping HTTP/1.0\r\n\r\n", "200")
}

func ping(t *testing.T, network, addr, ask, want string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(ask)); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(c).ReadString('\n'); !strings.Contains(got, want) {
		t.Fatalf("got %q, %v; want %s", got, err, want)
	}
}
