package smtpd

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// spokeEarly says whether the client sent something before the greeting. An
// untrusted client is given Limits.Greeting to do so.
func (s *session) spokeEarly() bool {
	wait := s.o.Limits.Greeting
	if s.conv.Trusted || wait < 0 {
		wait = 0
	}
	if wait > 0 {
		return s.readsWithin(wait)
	}
	seen, n, _ := peek(s.raw)
	return seen && n > 0
}

func (s *session) readsWithin(d time.Duration) bool {
	s.readBy = time.Time{}
	if s.raw.SetReadDeadline(time.Now().Add(d)) != nil {
		return false
	}
	n, err := s.raw.Read(s.buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return false // gone; the next read will say so
	}
	return n > 0
}

// peek looks at the socket without waiting. seen: there is something to read, or
// the end (n is 0).
func peek(conn any) (seen bool, n int, err error) {
	sc, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return false, 0, nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false, 0, err
	}
	var one [1]byte
	ctlErr := rc.Control(func(fd uintptr) {
		n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	if ctlErr != nil {
		return false, 0, ctlErr
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return false, 0, nil
	}
	return true, max(n, 0), err
}

// errHungUp is why the context of watch ended.
var errHungUp = errors.New("smtpd: client hung up before the verdict")

// watch returns a context that also ends when the client hangs up, for the time
// it waits for a verdict. A client that sends on is no longer watched: its end
// is behind what it sent.
func (s *session) watch(ctx context.Context) (context.Context, func()) {
	ctx, cause := context.WithCancelCause(ctx)
	cancel := func() { cause(nil) }
	sc, isSocket := s.raw.(syscall.Conn)
	if !isSocket || s.buffered() > 0 {
		return ctx, cancel
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return ctx, cancel
	}
	var stopped atomic.Bool
	done := make(chan struct{})
	_ = s.raw.SetReadDeadline(time.Time{})
	go func() {
		defer close(done)
		gone := false
		_ = rc.Read(func(fd uintptr) bool {
			var one [1]byte
			n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
				return stopped.Load()
			}
			gone = n <= 0
			return true
		})
		if gone && !stopped.Load() {
			cause(errHungUp)
		}
	}()
	return ctx, func() {
		stopped.Store(true)
		_ = s.raw.SetReadDeadline(time.Unix(1, 0))
		<-done
		s.readBy = time.Time{}
		cancel()
	}
}
