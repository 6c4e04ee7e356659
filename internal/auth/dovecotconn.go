package auth

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what Dovecot may say.
const (
	maxDovecotLine  = 32 << 10
	maxDovecotLines = 200
)

// dovecotConn is a connection to the socket, a line at a time.
type dovecotConn struct {
	conn       net.Conn
	r          *bufio.Reader
	mechanisms []mechanism
	once       sync.Once
}

func newDovecotConn(c net.Conn) *dovecotConn {
	return &dovecotConn{conn: c, r: bufio.NewReaderSize(c, maxDovecotLine)}
}

func (c *dovecotConn) close() { c.once.Do(func() { c.conn.Close() }) }

// handshake says who we are and reads what Dovecot has to say of itself. The
// number that Dovecot takes for a process's is one for each connection: two of
// the same shut each other out.
func (c *dovecotConn) handshake() error {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	pid := binary.BigEndian.Uint32(b[:])&0x7fffffff | 1
	hello := "VERSION\t1\t1\nCPID\t" + strconv.FormatUint(uint64(pid), 10) + "\n"
	if _, err := c.conn.Write([]byte(hello)); err != nil {
		return err
	}
	version := false
	for range maxDovecotLines {
		line, err := c.line()
		if err != nil {
			return err
		}
		f := strings.Split(line, "\t")
		switch f[0] {
		case "VERSION":
			if len(f) < 2 || f[1] != "1" {
				return fmt.Errorf("protocol version %q", f[1:])
			}
			version = true
		case "MECH":
			c.addMechanism(f[1:])
		case "DONE":
			if !version {
				return errDovecot
			}
			return nil
		}
	}
	return errDovecot
}

func (c *dovecotConn) addMechanism(f []string) {
	if len(f) == 0 || !validMechanism(f[0]) {
		return
	}
	m := mechanism{name: f[0]}
	for _, p := range f[1:] {
		switch p {
		case "anonymous":
			m.anonymous = true
		}
	}
	c.mechanisms = append(c.mechanisms, m)
}

// line reads a line without its end; one that is too long is an error.
func (c *dovecotConn) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(b[:len(b)-1]), nil
}

func (c *dovecotConn) write(line string, timeout time.Duration) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write([]byte(line + "\n"))
	return err
}

// answer reads to the answer of our one request.
func (c *dovecotConn) answer(timeout time.Duration) (verb string, args []string, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", nil, err
	}
	for range maxDovecotLines {
		line, err := c.line()
		if err != nil {
			return "", nil, err
		}
		f := strings.Split(line, "\t")
		switch f[0] {
		case "OK", "CONT", "FAIL":
			if len(f) < 2 || f[1] != "1" {
				return "", nil, errDovecot
			}
			return f[0], f[2:], nil
		}
	}
	return "", nil, errDovecot
}
