package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// serveMilter speaks the sendmail milter protocol, version 6: header fields and
// body are read, everything else is not asked for.
func serveMilter(socket string, j journal) error {
	_ = os.Remove(socket) // of the one that was killed
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = (&milterSession{c: c, r: bufio.NewReader(c), j: j}).serve()
		}()
	}
}

const (
	milterActions  = 1                                  // add header fields
	milterProtocol = 1 | 2 | 4 | 8 | 1<<6 | 1<<8 | 1<<9 // no connect … RCPT, end of header, unknown, DATA
	milterQuiet    = 1<<7 | 1<<19                       // header fields and body are not answered
	maxPacket      = 1 << 20                            // octets
)

type milterSession struct {
	c    net.Conn
	r    *bufio.Reader
	j    journal
	mark []byte
}

func (s *milterSession) serve() error {
	for {
		cmd, data, err := s.read()
		if err != nil {
			return err
		}
		switch cmd {
		case 'O':
			b := binary.BigEndian.AppendUint32(nil, 6)
			b = binary.BigEndian.AppendUint32(b, milterActions)
			err = s.write('O', binary.BigEndian.AppendUint32(b, milterProtocol|milterQuiet))
		case 'L':
			if name, value, _ := bytes.Cut(data, []byte{0}); string(name) == "X-Mark" {
				s.mark = bytes.TrimSpace(bytes.TrimRight(value, "\x00"))
			}
		case 'E':
			err = s.end()
		case 'A':
			s.mark = nil
		case 'Q':
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end judges the message.
func (s *milterSession) end() error {
	mark, n, err := markOf(append([]byte("X-Mark: "), s.mark...))
	if err != nil {
		return err
	}
	s.mark = nil
	work()
	if err := s.j.note(mark); err != nil {
		return err
	}
	if discards("milter", n) {
		return s.write('d', nil)
	}
	if err := s.write('h', []byte("X-Scan-Milter\x00"+mark+"\x00")); err != nil {
		return err
	}
	return s.write('c', nil)
}

func (s *milterSession) read() (byte, []byte, error) {
	_ = s.c.SetReadDeadline(time.Now().Add(time.Minute))
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > maxPacket {
		return 0, nil, errors.New("a packet out of bounds")
	}
	b := make([]byte, size)
	_, err := io.ReadFull(s.r, b)
	return b[0], b[1:], err
}

func (s *milterSession) write(cmd byte, data []byte) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	_, err := s.c.Write(append(append(b, cmd), data...))
	return err
}
