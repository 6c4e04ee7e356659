package milter

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// Heard is how many packets the filter has sent since it agreed to the session.
func (s *Session) Heard() int { return s.heard }

// Bind makes ctx what bounds the session, in place of the context before. With
// false that one has ended, or ended just now: the session is of no use but for
// Close.
func (s *Session) Bind(ctx context.Context) bool {
	if !s.unhook() {
		return false
	}
	s.bind(ctx)
	return true
}

// Renewable says that another client may follow in this session (SMFIC_QUIT_NC), as
// far as that can be seen from here: the filter ended a message with Continue, behind
// which alone libmilter takes the command, and did not ask for leading space, which
// filters forget with it. Whether the filter takes it is not known.
func (s *Session) Renewable() bool {
	return s.continued && !s.begun && s.agreed.version >= versionQuitNC && !s.HeaderSpace()
}

// Renew ends the connection that the filter was told of, so that Connect may tell of
// another. What was agreed on stays.
func (s *Session) Renew() {
	s.continued = false
	s.queue(cmdQuitNC, nil)
}

func (s *Session) bind(ctx context.Context) {
	conn := s.conn
	s.ctx = ctx
	s.unhook = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// Rests says that a message may begin: none is under way, and the filter has
// neither said anything unasked nor hung up.
func (s *Session) Rests() bool {
	return !s.begun && len(s.out) == 0 && s.r.Buffered() == 0 && !readable(s.conn)
}

// readable looks at a connection without waiting: there is something to read, or
// the end. Of one that is no socket this is not known.
func readable(conn any) bool {
	sc, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	err = rc.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
	})
	return err != nil || !quiet
}
