package smtpd

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("smtpd: server closed")

// Server serves listeners of one kind. Its methods are safe for concurrent use.
type Server struct {
	o       Options
	metrics *metrics
	clients *clients
	greet   canned
	early   canned
	open    atomic.Int64

	draining atomic.Bool
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
}

// New makes a Server.
func New(o Options) (*Server, error) {
	if o.Intake == nil && o.Receiver == nil {
		return nil, errors.New("smtpd: nobody takes the messages")
	}
	if o.TLS == nil && (o.ImplicitTLS || o.RequireTLS) {
		return nil, errors.New("smtpd: TLS is asked for without Options.TLS")
	}
	o.fill()
	ctx, cancel := context.WithCancel(context.Background())
	m, err := newMetrics(o.Registry, o.Name)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Server{
		o: o, metrics: m, clients: newClients(o.Limits.PerClient, o.Limits.Rate), ctx: ctx, cancel: cancel,
		greet:     can(220, "", o.Hostname+" ESMTP mtad"),
		early:     can(554, "5.5.0", o.Hostname+" you spoke before the greeting"),
		listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{},
	}, nil
}

// Serve accepts connections until Shutdown or Close, and closes l. It may be
// called with several listeners. Errors of a single accept, such as a lack of
// descriptors, are logged and tried again.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.untrack(l)
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.take(conn)
		case s.draining.Load():
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), 100*time.Millisecond)
			s.o.Logger.Error("accept", "listener", s.o.Name, "error", err)
			s.sleep(pause)
		}
	}
}

func (s *Server) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	l.Close()
}

// take starts a session for conn.
func (s *Server) take(conn net.Conn) {
	x := newSession(s, conn)
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		x.cancel()
		conn.Close()
		return
	}
	s.sessions[x] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	n := s.open.Add(1)
	s.metrics.open.Inc()
	if s.o.Room.enter() && n <= int64(s.o.Limits.Connections) {
		go s.run(x, false)
		return
	}
	// At once and here: a crowd at the door must not hold descriptors while it is
	// turned away. The reply fits into the empty buffer of the socket.
	s.run(x, true)
}

func (s *Server) run(x *session, crowded bool) {
	defer func() {
		s.mu.Lock()
		delete(s.sessions, x)
		s.mu.Unlock()
		s.open.Add(-1)
		s.o.Room.leave()
		s.metrics.open.Dec()
		s.wg.Done()
	}()
	x.serve(crowded)
}

// stressed says that most connections are taken.
func (s *Server) stressed() bool {
	return s.open.Load() > int64(s.o.Limits.Connections)/4*3 || s.o.Room.stressed()
}

// Shutdown stops accepting, tells sessions that wait for a command 421, lets
// those that are receiving content finish, and returns when all are gone. When
// ctx ends first the rest is told so, and cut off after a second.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.hurry()
	}
	last := time.NewTimer(lastWords)
	defer last.Stop()
	select {
	case <-done:
	case <-last.C:
		s.cut()
		<-done
	}
	return ctx.Err()
}

// lastWords is how long a session that is cut off has for its reply.
const lastWords = time.Second

// Close cuts everything off at once and waits for the sessions' end.
func (s *Server) Close() error {
	s.drain()
	s.cut()
	s.wg.Wait()
	return nil
}

func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for l := range s.listeners {
		l.Close()
	}
	for x := range s.sessions {
		x.wake()
	}
}

// hurry ends waits for input and for verdicts; what is said then may still go
// out.
func (s *Server) hurry() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.sessions {
		_ = x.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (s *Server) cut() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.sessions {
		x.raw.Close()
	}
}
