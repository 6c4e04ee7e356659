// Package rig is what the measurements share: an SMTP client that says no more than
// it has to, addresses, and what the kernel knows of a process.
package rig

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// Client is an SMTP client. It is not safe for concurrent use.
type Client struct {
	Conn net.Conn
	r    *bufio.Reader
}

// Dial connects, reads the greeting and says EHLO. All that the client does is to be
// done within a time; the caller may put the connection's deadline anew.
func Dial(addr string, within time.Duration) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &Client{conn, bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(within))
	if _, err = c.Expect("220"); err == nil {
		_, err = c.Command("250", "EHLO client.example.org\r\n")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Begin says MAIL, RCPT and DATA, one after the other.
func (c *Client) Begin() error {
	for _, step := range [...][2]string{{"250", "MAIL FROM:<sender@example.org>\r\n"}, {"250", "RCPT TO:<rcpt@example.net>\r\n"}, {"354", "DATA\r\n"}} {
		if _, err := c.Command(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

// Command writes a text and reads its reply.
func (c *Client) Command(code, text string) (reply string, err error) {
	if _, err := c.Conn.Write([]byte(text)); err != nil {
		return "", err
	}
	return c.Expect(code)
}

// Expect reads a reply, whose lines have to begin with code, and returns the last of
// them without its line end.
func (c *Client) Expect(code string) (reply string, err error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if !strings.HasPrefix(line, code) || len(line) < 4 {
			return "", fmt.Errorf("reply %q, want %s", line, code)
		}
		if line[3] != '-' {
			return strings.TrimSpace(line), nil
		}
	}
}

// AwaitGreeting waits until the SMTP server at addr answers.
func AwaitGreeting(addr string, limit time.Duration) error {
	return Await("greeting of "+addr, limit, func() bool {
		c, err := Dial(addr, 2*time.Second)
		if err != nil {
			return false
		}
		_, _ = c.Conn.Write([]byte("QUIT\r\n"))
		c.Conn.Close()
		return true
	})
}
