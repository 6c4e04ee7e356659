package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ledger remembers every attempt to send and what became of it.
type ledger struct {
	mu       sync.Mutex
	attempts map[string]*attempt
	acked    int
	rescans  int // with -chain: scans without a verdict, by a scanner that was killed
}

type attempt struct {
	content []byte // LF lines, as the sink dumps them
	acked   bool
	id      string // reply text of the 250
}

func (l *ledger) begin(mark string, content []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attempts == nil {
		l.attempts = map[string]*attempt{}
	}
	l.attempts[mark] = &attempt{content: bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))}
}

func (l *ledger) ack(mark, reply string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[mark].acked = true
	l.attempts[mark].id = reply
	l.acked++
}

func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// send takes message numbers until there are no more, repeating each one until
// it is acknowledged.
func send(addr string, next *atomic.Int64, sent *ledger, rnd *rand.Rand, end time.Time) {
	var c *client
	for n := next.Add(1); n <= int64(*messages); n = next.Add(1) {
		for try := 0; ; try++ {
			if time.Now().After(end) {
				return
			}
			if c == nil {
				var err error
				if c, err = dial(addr); err != nil {
					time.Sleep(20 * time.Millisecond)
					continue
				}
			}
			mark := fmt.Sprintf("%d.%d", n, try)
			content := compose(mark, rnd)
			sent.begin(mark, content)
			reply, err := c.mail(content)
			if err == nil {
				sent.ack(mark, reply)
				break
			}
			c.c.Close()
			c = nil
		}
	}
}

// compose makes a message with the edges that transports get wrong: dots at the
// start of lines, 8-bit octets, trailing space, empty lines at the end.
func compose(mark string, rnd *rand.Rand) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "X-Mark: %s\r\nSubject: kill test\r\nX-Folded: a\r\n\tb \r\n\r\n", mark)
	size := 10 << 10
	switch rnd.IntN(100) {
	case 0:
		size = 600 << 10
	case 1, 2, 3:
		size = 0
	}
	lines := []string{".", "..", ".x", "", " trailing \t", "8-bit \xe9\xff\x80", strings.Repeat("=", 70)}
	for b.Len() < size {
		b.WriteString(lines[rnd.IntN(len(lines))])
		fmt.Fprintf(&b, "%x\r\n", rnd.Uint64())
	}
	b.WriteString("\r\n.\r\nend\r\n\r\n")
	return b.Bytes()
}

type client struct {
	c net.Conn
	r *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err = c.expect('2'); err == nil {
		_, err = c.command("EHLO client.example.org\r\n", '2')
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) mail(content []byte) (string, error) {
	_ = c.c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprint(c.c, "MAIL FROM:<sender@example.org> BODY=8BITMIME\r\nRCPT TO:<rcpt@example.net>\r\nDATA\r\n"); err != nil {
		return "", err
	}
	for _, class := range []byte{'2', '2', '3'} {
		if _, err := c.expect(class); err != nil {
			return "", err
		}
	}
	data := bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n.."))
	return c.command(string(data)+".\r\n", '2')
}

func (c *client) command(s string, class byte) (string, error) {
	if _, err := c.c.Write([]byte(s)); err != nil {
		return "", err
	}
	return c.expect(class)
}

func (c *client) expect(class byte) (string, error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) < 4 || line[0] != class {
			return "", fmt.Errorf("reply %q", line)
		}
		if line[3] != '-' {
			return strings.TrimSpace(line), nil
		}
	}
}
