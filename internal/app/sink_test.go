package app_test

import (
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// sink is an independent next hop. What it accepts comes out of got.
type sink struct {
	addr string
	got  chan received

	mu     sync.Mutex
	refuse []error // answers to the next RCPT commands, before it accepts
}

type received struct {
	from string
	to   []string
	data []byte
}

func newSink(t *testing.T) *sink {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: ln.Addr().String(), got: make(chan received, 1000)}
	srv := smtp.NewServer(s)
	srv.Domain = "sink.test"
	srv.EnableDSN = true
	srv.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = ln.Close() // also when Serve has not begun: Close would not know it
		_ = srv.Close()
		<-done
	})
	return s
}

// refuseNext makes the next recipients be refused with these errors.
func (s *sink) refuseNext(errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = append(s.refuse, errs...)
}

// wait returns the next message.
func (s *sink) wait(t *testing.T) received {
	t.Helper()
	select {
	case m := <-s.got:
		return m
	case <-time.After(time.Minute):
		t.Fatal("nothing arrived at the sink")
		return received{}
	}
}

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }

type sinkSession struct {
	sink *sink
	msg  received
}

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.msg = received{from: from}
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if len(s.sink.refuse) > 0 {
		err := s.sink.refuse[0]
		s.sink.refuse = s.sink.refuse[1:]
		return err
	}
	s.msg.to = append(s.msg.to, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.msg.data = b
	s.sink.got <- s.msg
	return nil
}

func (s *sinkSession) Reset()        {}
func (s *sinkSession) Logout() error { return nil }
