package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Bounds of packets, in octets.
const (
	// MaxPacket is the longest packet that is read. libmilter's largest has 1 MiB.
	MaxPacket = 1<<20 + 64
	// MaxData is the most that one command carries: longer ones make libmilter hang
	// up.
	MaxData = 65535
)

// readPacket reads one packet into buf, which it returns grown as needed; data
// is part of it. The length is checked before memory is taken.
func readPacket(r *bufio.Reader, buf []byte) (command byte, data, _ []byte, err error) {
	head, err := r.Peek(4)
	if err != nil {
		if len(head) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, buf, err
	}
	n := binary.BigEndian.Uint32(head)
	if n == 0 || n > MaxPacket {
		return 0, nil, buf, protocolError("packet", fmt.Sprintf("length %d", n))
	}
	_, _ = r.Discard(4)
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, buf, err
	}
	return buf[0], buf[1:], buf, nil
}

// appendPacket appends a packet.
func appendPacket(b []byte, command byte, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(data)))
	return append(append(b, command), data...)
}

// appendString appends a string with its NUL. A NUL inside would end it: those
// are left out.
func appendString(b []byte, s string) []byte {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return append(append(b, s...), 0)
}

// cutStrings takes data apart into its strings, each of which has to end in NUL;
// there have to be low to high of them.
func cutStrings(data []byte, low, high int) ([]string, bool) {
	var list []string
	rest := string(data)
	for rest != "" {
		s, after, ok := strings.Cut(rest, "\x00")
		if !ok || len(list) == high {
			return nil, false
		}
		list, rest = append(list, s), after
	}
	return list, len(list) >= low
}
