// Command milter is the benchmark's milter: it wants to see everything and lets
// everything pass. Its argument is the address that it listens on. It speaks version
// 6 of the protocol as far as that takes.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
)

func main() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "milter:", err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}

// serve answers one MTA until it leaves.
func serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 128<<10)
	for {
		command, data, err := read(r)
		if err != nil {
			return
		}
		switch command {
		case 'O':
			err = write(c, 'O', slices.Concat(data[:4:4], make([]byte, 8)))
		case 'D', 'A', 'K': // macros, abort, a new connection: no answer
		case 'Q':
			return
		default:
			err = write(c, 'c', nil)
		}
		if err != nil {
			return
		}
	}
}

func read(r *bufio.Reader) (command byte, data []byte, err error) {
	var head [5]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 1 || n > 1<<20 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	data = make([]byte, n-1)
	_, err = io.ReadFull(r, data)
	return head[4], data, err
}

func write(w io.Writer, command byte, data []byte) error {
	_, err := w.Write(slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), []byte{command}, data))
	return err
}
