package smtpclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"mtad/internal/smtp"
)

// Conn is one SMTP or LMTP session. It is not safe for concurrent use.
type Conn struct {
	o    Options
	conn net.Conn
	r    *bufio.Reader
	ext  Extensions
	tls  *tls.ConnectionState
	// open: a transaction was begun that no final dot ended; RSET has to come first.
	open   bool
	broken bool
	begun  int
}

// Dial connects to address and goes through greeting, EHLO and STARTTLS. The
// error is an *Error. Ending ctx ends the attempt.
func Dial(ctx context.Context, network, address string, o Options) (*Conn, error) {
	o = o.withDefaults()
	c, err := dial(ctx, network, address, o)
	var e *Error
	if err != nil && o.TLS == TLSMay && errors.As(err, &e) && tlsFailed(e) && ctx.Err() == nil {
		o.TLS = TLSNone
		return dial(ctx, network, address, o)
	}
	return c, err
}

func tlsFailed(e *Error) bool { return e.Stage == StageStartTLS || e.Stage == StageHandshake }

func dial(ctx context.Context, network, address string, o Options) (*Conn, error) {
	dctx, cancel := context.WithTimeout(ctx, o.Timeouts.Connect)
	defer cancel()
	nc, err := o.DialContext(dctx, network, address)
	if err != nil {
		return nil, &Error{Stage: StageConnect, Err: err}
	}
	return Open(ctx, nc, o)
}

// Open begins a session on a connection that is there already. It owns nc, also
// when it fails.
func Open(ctx context.Context, nc net.Conn, o Options) (*Conn, error) {
	c := &Conn{o: o.withDefaults()}
	c.use(nc)
	done := c.watch(ctx)
	defer done()
	if err := c.begin(ctx); err != nil {
		_ = c.conn.Close()
		if ctx.Err() != nil {
			err.Err = ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

func (c *Conn) use(nc net.Conn) {
	c.conn = nc
	c.r = bufio.NewReaderSize(nc, maxLine)
}

// watch closes the connection when ctx ends before done is called.
func (c *Conn) watch(ctx context.Context) (done func() bool) {
	nc := c.conn
	return context.AfterFunc(ctx, func() { _ = nc.Close() })
}

// Extensions are what the next hop offers now.
func (c *Conn) Extensions() Extensions { return c.ext }

// TLS is the state of the TLS connection, nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Sent counts the transactions begun.
func (c *Conn) Sent() int { return c.begun }

// Usable reports whether another transaction may be tried.
func (c *Conn) Usable() bool {
	return !c.broken && (c.ext.MaxMessages == 0 || c.begun < c.ext.MaxMessages)
}

// Close ends the connection without a word.
func (c *Conn) Close() error {
	c.broken = true
	return c.conn.Close()
}

// Quit says QUIT and closes without waiting for the reply: nothing depends on it.
func (c *Conn) Quit() error {
	if !c.broken {
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.o.Timeouts.Quit))
		_, _ = io.WriteString(c.conn, "QUIT\r\n")
	}
	return c.Close()
}

// command sends one line and reads its reply.
func (c *Conn) command(line string, timeout time.Duration) (smtp.Reply, error) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		return smtp.Reply{}, err
	}
	return c.reply(timeout)
}

// reply reads one reply, all of it within timeout.
func (c *Conn) reply(timeout time.Duration) (smtp.Reply, error) {
	return c.replyBy(time.Now().Add(timeout))
}

func (c *Conn) replyBy(deadline time.Time) (smtp.Reply, error) {
	_ = c.conn.SetReadDeadline(deadline)
	return readReply(c.r)
}
