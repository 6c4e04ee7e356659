package app

import (
	"errors"
	"net"
	"sync"
	"time"
)

// socket is a bound listener whose connections can be handed to one server
// after another: a reload gives new connections to a server with the new
// settings, while the sessions of the old one go on.
type socket struct {
	net.Listener
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newSocket(ln net.Listener) *socket {
	s := &socket{Listener: ln, conns: make(chan net.Conn), done: make(chan struct{})}
	go s.pump()
	return s
}

// pump accepts until the socket is closed. Want of descriptors or memory is
// waited for: it is somebody else's to end.
func (s *socket) pump() {
	const least, most = 5 * time.Millisecond, time.Second
	wait := least
	for {
		c, err := s.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-s.done:
				return
			case <-time.After(wait):
			}
			wait = min(2*wait, most)
			continue
		}
		wait = least
		select {
		case s.conns <- c:
		case <-s.done:
			c.Close()
			return
		}
	}
}

func (s *socket) close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		close(s.done)
		err = s.Close()
	})
	return err
}

// view is the socket as one server sees it; closing it leaves the socket open.
func (s *socket) view() net.Listener {
	return &view{socket: s, gone: make(chan struct{})}
}

type view struct {
	*socket
	gone chan struct{}
	once sync.Once
}

func (v *view) Accept() (net.Conn, error) {
	select {
	case <-v.gone:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-v.conns:
		return c, nil
	case <-v.gone:
	case <-v.done:
	}
	return nil, net.ErrClosed
}

func (v *view) Close() error {
	v.once.Do(func() { close(v.gone) })
	return nil
}
