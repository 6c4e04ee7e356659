package demo

import (
	"io"
	"net"
	"sync"

	"github.com/emersion/go-smtp"
)

// nextHop is another MTA, where everything is relayed to. It is busy for the
// first message to busyFor.
type nextHop struct {
	ln      net.Listener
	addr    string
	busyFor string
	arrived chan arrival
	offered func(to string) // told of each recipient, while the client waits
	server  *smtp.Server
	done    chan struct{}

	mu   sync.Mutex
	busy bool
}

// arrival is a message that it took.
type arrival struct {
	from, to string
	content  []byte
}

const maxMessage = 1 << 20

func startNextHop(busyFor string, offered func(to string)) (*nextHop, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &nextHop{ln: ln, addr: ln.Addr().String(), busyFor: busyFor, busy: true, offered: offered, arrived: make(chan arrival, 100), done: make(chan struct{})}
	n.server = smtp.NewServer(n)
	n.server.Domain = "nexthop.example"
	n.server.MaxMessageBytes = maxMessage
	go func() {
		defer close(n.done)
		_ = n.server.Serve(ln) // ends with stop
	}()
	return n, nil
}

func (n *nextHop) stop() {
	_ = n.ln.Close() // also when Serve has not begun: Close would not know it
	_ = n.server.Close()
	<-n.done
}

// NewSession implements smtp.Backend.
func (n *nextHop) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{hop: n}, nil }

type session struct {
	hop *nextHop
	arrival
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.arrival = arrival{from: from}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.hop.offered(to)
	s.hop.mu.Lock()
	defer s.hop.mu.Unlock()
	if to == s.hop.busyFor && s.hop.busy {
		s.hop.busy = false
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "mailbox busy, come back later"}
	}
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxMessage))
	if err != nil {
		return err
	}
	s.content = b
	s.hop.arrived <- s.arrival
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
