// Package miltertest is a milter that does what a test says, down to the octet. It
// shares no code with the client that it tests, and is imported by tests only.
package miltertest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// Packet is one packet of the protocol.
type Packet struct {
	Command byte
	Data    string
	// Raw, from a test, is written as it is; Hangup closes the connection after what
	// was written, Hang stops answering until the other side goes.
	Raw          string
	Hangup, Hang bool
}

// Server answers on one address until the test ends.
type Server struct {
	Network, Address string
	// Version (default 6), Actions and Protocol are the answer to a negotiation;
	// Lists follows it. Set them before the first connection.
	Version, Actions, Protocol uint32
	Lists                      string
	// Answer says what is answered to a packet; nil is "c" where an answer is due.
	Answer func(p Packet) []Packet

	ln    net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	seen  []Packet
	conns map[net.Conn]bool
	ended *sync.Cond // a connection has
	n     int
}

// Start listens on "tcp" or "unix".
func Start(t testing.TB, network string) *Server {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/milter"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Network: network, Address: ln.Addr().String(), Version: 6, ln: ln, conns: map[net.Conn]bool{}}
	s.ended = sync.NewCond(&s.mu)
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Close ends everything.
func (s *Server) Close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// SetAnswer changes Answer while the server runs.
func (s *Server) SetAnswer(f func(Packet) []Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Answer = f
}

// Seen are the packets that came, negotiation left out.
func (s *Server) Seen() []Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Packet(nil), s.seen...)
}

// Commands are the commands that came, one letter each, without macros.
func (s *Server) Commands() string {
	var b []byte
	for _, p := range s.Seen() {
		if p.Command != 'D' {
			b = append(b, p.Command)
		}
	}
	return string(b)
}

// Quiet waits until every connection that was taken has ended.
func (s *Server) Quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 {
		s.ended.Wait()
	}
}

// Connections is how many there were.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *Server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.n++
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.ended.Broadcast()
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(c net.Conn) {
	for {
		p, err := read(c)
		if err != nil {
			return
		}
		if p.Command != 'O' {
			s.mu.Lock()
			s.seen = append(s.seen, p)
			s.mu.Unlock()
		}
		for _, a := range s.answers(p) {
			if _, err := c.Write(a.wire()); err != nil || a.Hangup {
				return
			}
			if a.Hang {
				_, _ = io.Copy(io.Discard, c)
				return
			}
		}
	}
}

// quiet are the commands that are not answered when a bit is set.
var quiet = map[byte]uint32{'C': 1 << 12, 'H': 1 << 13, 'M': 1 << 14, 'R': 1 << 15, 'T': 1 << 16, 'U': 1 << 17, 'N': 1 << 18, 'B': 1 << 19, 'L': 1 << 7}

func (s *Server) answers(p Packet) []Packet {
	s.mu.Lock()
	answer := s.Answer
	s.mu.Unlock()
	if answer != nil {
		if a := answer(p); a != nil {
			return a
		}
	}
	switch {
	case p.Command == 'O':
		return []Packet{{Command: 'O', Data: Uint32(s.Version, s.Actions, s.Protocol) + s.Lists}}
	case p.Command == 'D' || p.Command == 'A' || p.Command == 'Q' || s.Protocol&quiet[p.Command] != 0:
		return nil
	}
	return []Packet{{Command: 'c'}}
}

func read(c net.Conn) (Packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return Packet{}, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return Packet{}, err
	}
	return Packet{Command: b[0], Data: string(b[1:])}, nil
}

func (p Packet) wire() []byte {
	if p.Raw != "" || p.Command == 0 {
		return []byte(p.Raw)
	}
	return []byte(Uint32(uint32(1+len(p.Data))) + string(p.Command) + p.Data)
}

// Uint32 writes numbers as the protocol has them.
func Uint32(list ...uint32) string {
	var b []byte
	for _, n := range list {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return string(b)
}

// Strings writes strings with their NULs.
func Strings(list ...string) string {
	s := ""
	for _, v := range list {
		s += v + "\x00"
	}
	return s
}
