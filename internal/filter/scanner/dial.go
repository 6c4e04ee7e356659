package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"mtad/internal/filter"
)

// connectTime bounds one attempt to connect; the scan's own time may be less.
const connectTime = 10 * time.Second

// Address is where a scanner listens.
type Address struct {
	Network string // "unix" or "tcp"
	Addr    string // path, or host:port
}

// ParseAddress reads "unix:/path" or "host:port".
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return Address{}, fmt.Errorf("scanner: %q: want unix: and an absolute path", s)
		}
		return Address{"unix", path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		return Address{}, fmt.Errorf("scanner: %q is neither unix:/path nor host:port", s)
	}
	return Address{"tcp", s}, nil
}

// Dial connects. Its error is a *filter.Failure, of class Unreachable, or Timeout
// when ctx ended first.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: connectTime}).DialContext(ctx, a.Network, a.Addr)
	if err != nil && ctx.Err() != nil {
		return nil, &filter.Failure{Class: filter.Timeout, Err: err}
	}
	if err != nil {
		return nil, &filter.Failure{Class: filter.Unreachable, Err: err}
	}
	return c, nil
}

// Bind makes ctx's end the end of all I/O on c. The caller calls release when it
// is done with c or hands it to somebody else; false says that ctx ended first,
// and c is of no use any more.
func Bind(ctx context.Context, c net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// Fault gives an error of an exchange under way its class: the scan's time is
// over, the scanner went away with the message, or it did something else that
// it should not have.
func Fault(ctx context.Context, doing string, err error) error {
	var f *filter.Failure
	if errors.As(err, &f) {
		return err
	}
	return &filter.Failure{Class: classOf(ctx, err), Err: fmt.Errorf("%s: %w", doing, err)}
}

func classOf(ctx context.Context, err error) filter.Class {
	switch {
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return filter.Timeout
	case Gone(err):
		return filter.Crash
	}
	return filter.Protocol
}

// Gone reports whether err says that the other side closed the connection.
func Gone(err error) bool {
	for _, e := range [...]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, net.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Protocol is a failure of class Protocol: an answer that cannot be understood.
func Protocol(format string, args ...any) error {
	return &filter.Failure{Class: filter.Protocol, Err: fmt.Errorf(format, args...)}
}

// Quote shows octets of a scanner's answer in an error, cut to a length that a
// log line can bear.
func Quote(b []byte) string {
	if len(b) > 80 {
		return fmt.Sprintf("%q…", b[:80])
	}
	return fmt.Sprintf("%q", b)
}
