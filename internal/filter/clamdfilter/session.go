package clamdfilter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"

	"mtad/internal/filter/scanner"
)

// chunkSize is the octets of one INSTREAM chunk.
const chunkSize = 64 << 10

// session is one connection of numbered commands (IDSESSION). It is used by one
// scan at a time.
type session struct {
	conn   net.Conn
	r      *bufio.Reader
	number int // of the last command
}

// dial opens a session.
func dial(ctx context.Context, a scanner.Address) (*session, error) {
	c, err := a.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: c, r: bufio.NewReaderSize(c, maxAnswer)}, nil
}

// scan sends the content with one command and reads the answer. After an error
// the session is of no use any more.
func (s *session) scan(ctx context.Context, content io.Reader, descriptor bool) (virus string, err error) {
	release := scanner.Bind(ctx, s.conn)
	defer func() {
		if !release() && err == nil {
			err = scanner.Fault(ctx, "clamd", context.Cause(ctx))
		}
	}()
	send := s.stream
	if descriptor {
		send = s.descriptor
	}
	sent := send(content)
	if own, ok := errors.AsType[ownError](sent); ok {
		return "", own.error
	}
	// clamd says why it stopped reading before it hangs up: ask also after a
	// write that failed.
	virus, err = s.answer()
	switch {
	case sent != nil && (err == nil || scanner.Gone(err)):
		return "", scanner.Fault(ctx, "clamd went away while the message was sent", sent)
	case err != nil:
		return "", scanner.Fault(ctx, "clamd gave no answer", err)
	}
	return virus, nil
}

// ownError is an error of reading the message, not of the connection.
type ownError struct{ error }

// command begins the next command; the first one of a connection makes it a
// session.
func (s *session) command(name string) []byte {
	b := make([]byte, 0, 64)
	if s.number == 0 {
		b = append(b, "zIDSESSION\x00"...)
	}
	s.number++
	b = append(b, 'z')
	b = append(b, name...)
	return append(b, 0)
}

// stream sends the content in chunks; one of length 0 ends it.
func (s *session) stream(content io.Reader) error {
	if _, err := s.conn.Write(s.command("INSTREAM")); err != nil {
		return err
	}
	buf := make([]byte, 4+chunkSize)
	for {
		n, err := io.ReadFull(content, buf[4:])
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return ownError{err} // without an end it is no message: clamd drops it
		}
		chunk := buf[:4+n]
		binary.BigEndian.PutUint32(chunk, uint32(n))
		if end && n > 0 {
			chunk = append(chunk, 0, 0, 0, 0)
		}
		if _, err := s.conn.Write(chunk); err != nil || end {
			return err
		}
	}
}

// descriptor passes a descriptor of a file that has the content.
func (s *session) descriptor(content io.Reader) error {
	c, ok := s.conn.(*net.UnixConn)
	if !ok {
		return ownError{errors.New("a descriptor wants a unix socket")}
	}
	f, err := inMemory(content)
	if err != nil {
		return ownError{err}
	}
	defer f.Close()
	if _, err := c.Write(s.command("FILDES")); err != nil {
		return err
	}
	_, _, err = c.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(f.Fd())), nil)
	return err
}

func (s *session) answer() (virus string, err error) {
	line, err := s.r.ReadSlice(0)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", scanner.Protocol("clamd's answer is longer than %d octets", maxAnswer)
	case err != nil:
		return "", err
	}
	return parseAnswer(line[:len(line)-1], s.number)
}

// fresh reports whether a session that waited is still good: clamd did not hang
// up, and said nothing that nobody asked for.
func (s *session) fresh() bool {
	c, ok := s.conn.(syscall.Conn)
	if !ok || s.r.Buffered() > 0 {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	_ = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return silent
}
