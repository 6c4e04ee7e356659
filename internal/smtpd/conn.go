package smtpd

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of buffers in octets. A session has a small one; while content comes
// in faster than that, it borrows a large one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	maxPending  = 32 << 10 // replies kept back for one write
	maxSkip     = 1 << 20  // octets of an over-long command line that are read
)

var (
	errDraining = errors.New("smtpd: draining")
	errFlood    = errors.New("smtpd: endless command line")
)

// wire is the session's connection: buffered input and output with deadlines.
type wire struct {
	srv  *Server
	raw  net.Conn // deadlines, and the socket itself
	conn net.Conn // raw, or TLS over it

	buf   []byte
	r, w  int
	large *[]byte // buf, when it is a borrowed one

	dialogue bool // the next line is one of the AUTH command's
	out      []byte
	lost     error // first error of a write; nothing is written after it

	readBy, writeBy time.Time // deadlines as set
	sessionEnd      time.Time // zero: none
	waiting         atomic.Bool
}

var largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

func (c *wire) open(srv *Server, conn net.Conn) {
	c.srv, c.raw, c.conn = srv, conn, conn
	c.buf = make([]byte, max(smallBuffer, srv.o.Limits.CommandLine))
	if t := srv.o.Limits.Session; t < forever {
		c.sessionEnd = time.Now().Add(t)
	}
}

// buffered is input that was read and not yet used.
func (c *wire) buffered() int { return c.w - c.r }

// flush writes the replies that are pending.
func (c *wire) flush() error {
	if len(c.out) == 0 || c.lost != nil {
		return c.lost
	}
	now := time.Now()
	if limit := c.srv.o.Limits.Write; c.writeBy.Sub(now) < limit*3/4 {
		c.writeBy = now.Add(limit)
		if err := c.raw.SetWriteDeadline(c.writeBy); err != nil {
			return err
		}
	}
	_, c.lost = c.conn.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > smallBuffer {
		c.out = nil
	}
	return c.lost
}

// deadline sets when reading has to succeed: d from now, and not after the
// session's end. A deadline that is near enough is left, for each one costs.
func (c *wire) deadline(d time.Duration) error {
	by := time.Now().Add(d)
	if !c.sessionEnd.IsZero() && by.After(c.sessionEnd) {
		by = c.sessionEnd
	}
	if diff := by.Sub(c.readBy); diff >= 0 && diff <= d/16 {
		return nil
	}
	c.readBy = by
	return c.raw.SetReadDeadline(by)
}

// over says that the session's time is up.
func (c *wire) over() bool { return !c.sessionEnd.IsZero() && !time.Now().Before(c.sessionEnd) }

// readLine returns the next command line with its LF; it is good until the
// next read. tooLong says that a line was longer than allowed and is gone. The
// time for a line is for all of it.
func (c *wire) readLine() (line []byte, tooLong bool, err error) {
	skipped, timed := 0, false
	for {
		if i := bytes.IndexByte(c.buf[c.r:c.w], '\n'); i >= 0 {
			line = c.buf[c.r : c.r+i+1]
			c.r += i + 1
			return line, skipped > 0 || len(line) > c.longest(line), nil
		}
		if c.buffered() >= c.longest(c.buf[c.r:c.w]) {
			// The last octet stays: it may be the CR of the line's end.
			skipped += c.buffered() - 1
			c.r = c.w - 1
			if skipped > maxSkip {
				return nil, true, errFlood
			}
		}
		c.stretch()
		if err := c.await(!timed); err != nil {
			return nil, false, err
		}
		timed = true
	}
}

// authLine is the longest line of the AUTH command and its dialogue (RFC 4954
// §4), with CRLF.
const authLine = 12288

// longest is how long the line that begins with b may be.
func (c *wire) longest(b []byte) int {
	limit := c.srv.o.Limits.CommandLine
	if c.srv.o.Policy.Auth == nil || limit >= authLine {
		return limit
	}
	if c.dialogue || len(b) > 5 && b[4] == ' ' && bytes.EqualFold(b[:4], []byte("AUTH")) {
		return authLine
	}
	return limit
}

// stretch makes room for a line that is longer than the buffer.
func (c *wire) stretch() {
	if c.large != nil || c.buffered() < len(c.buf) {
		return
	}
	large := largeBuffers.Get().(*[]byte)
	n := copy(*large, c.buf[c.r:c.w])
	c.large = large
	c.buf, *c.large = *c.large, c.buf
	c.r, c.w = 0, n
}

// await reads more of a command.
func (c *wire) await(fresh bool) error {
	if err := c.flush(); err != nil {
		return err
	}
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	if fresh {
		if err := c.deadline(c.patience()); err != nil {
			return err
		}
	}
	// After waiting and the deadline were set: either this sees the drain, or the
	// drain sees a session that waits and cuts its deadline.
	if c.srv.draining.Load() {
		return errDraining
	}
	err := c.fill()
	if err != nil && c.srv.draining.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		return errDraining
	}
	return err
}

func (c *wire) patience() time.Duration {
	l := &c.srv.o.Limits
	if c.srv.stressed() {
		return min(l.Command, l.StressCommand)
	}
	return l.Command
}

// wake makes a session that waits for a command look at draining.
func (c *wire) wake() {
	if c.waiting.Load() {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// fill reads once behind what is buffered.
func (c *wire) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
		c.shrink()
	} else if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		return errFlood
	}
	n, err := c.conn.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// widen borrows a large buffer. There must be nothing in the present one.
func (c *wire) widen() {
	if c.large == nil {
		c.large = largeBuffers.Get().(*[]byte)
		c.buf, *c.large = *c.large, c.buf
		c.r, c.w = 0, 0
	}
}

// shrink gives a large buffer back. There must be nothing in it.
func (c *wire) shrink() {
	if c.large != nil {
		c.buf, *c.large = *c.large, c.buf
		largeBuffers.Put(c.large)
		c.large, c.r, c.w = nil, 0, 0
	}
}

// linger closes so that the last reply arrives: input that nobody reads would
// make the system reset the connection and drop the reply. Bounded in time.
func (c *wire) linger() {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok && c.conn == c.raw && half.CloseWrite() == nil {
		_ = c.raw.SetReadDeadline(time.Now().Add(lingerTime))
		c.r, c.w = 0, 0
		for total := 0; total < maxSkip; {
			n, err := c.raw.Read(c.buf)
			if total += n; err != nil {
				break
			}
		}
	}
	c.conn.Close()
}

const lingerTime = time.Second
