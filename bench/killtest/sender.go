package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mtad/bench/rig"
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
	var c *rig.Client
	for n := next.Add(1); n <= int64(*messages); n = next.Add(1) {
		for try := 0; ; try++ {
			if time.Now().After(end) {
				return
			}
			if c == nil {
				var err error
				if c, err = rig.Dial(addr, sessionTime); err != nil {
					time.Sleep(20 * time.Millisecond)
					continue
				}
			}
			mark := fmt.Sprintf("%d.%d", n, try)
			content := compose(mark, rnd)
			sent.begin(mark, content)
			reply, err := mail(c, content)
			if err == nil {
				sent.ack(mark, reply)
				break
			}
			c.Conn.Close()
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

// sessionTime is for connecting, and for each message.
const sessionTime = 30 * time.Second

// mail sends a message in two writes and returns the reply to its end.
func mail(c *rig.Client, content []byte) (reply string, err error) {
	_ = c.Conn.SetDeadline(time.Now().Add(sessionTime))
	if _, err := fmt.Fprint(c.Conn, "MAIL FROM:<sender@example.org> BODY=8BITMIME\r\nRCPT TO:<rcpt@example.net>\r\nDATA\r\n"); err != nil {
		return "", err
	}
	for _, code := range []string{"250", "250", "354"} {
		if _, err := c.Expect(code); err != nil {
			return "", err
		}
	}
	return c.Command("250", strings.ReplaceAll(string(content), "\r\n.", "\r\n..")+".\r\n")
}
