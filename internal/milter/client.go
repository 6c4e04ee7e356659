package milter

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// Options say where a filter is and how long it may take. Network and Address
// are required.
type Options struct {
	Network string // "tcp" or "unix"
	Address string // host:port, or the path of the socket
	// Connect is for the connection and the negotiation (default 30 s), Command for
	// the answer to a command (default 30 s), Content for the answer to the end of
	// the message (default 5 min).
	Connect, Command, Content time.Duration
	// Dial replaces the dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client opens sessions with one filter. It is safe for concurrent use.
type Client struct {
	o   Options
	old atomic.Bool // the filter reads version 2 alone
}

// New makes a Client. It connects to nothing.
func New(o Options) (*Client, error) {
	if o.Network != "tcp" && o.Network != "unix" || o.Address == "" {
		return nil, errors.New("milter: want a tcp or unix address")
	}
	for v, def := range map[*time.Duration]time.Duration{
		&o.Connect: 30 * time.Second, &o.Command: 30 * time.Second, &o.Content: 5 * time.Minute,
	} {
		if *v <= 0 {
			*v = def
		}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return &Client{o: o}, nil
}

// Open connects and negotiates. The session ends with ctx, at the latest; the
// caller closes it. A filter that hangs up on version 6 is offered version 2.
func (c *Client) Open(ctx context.Context) (*Session, error) {
	old := c.old.Load()
	s, err := c.open(ctx, old)
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	var e *Error
	if !errors.As(err, &e) || e.Op != "negotiate" || e.Kind == Timeout {
		return nil, err
	}
	// It may also have been replaced by a newer one since.
	s, again := c.open(ctx, !old)
	if again != nil {
		return nil, err
	}
	c.old.Store(!old)
	return s, nil
}

func (c *Client) open(ctx context.Context, old bool) (*Session, error) {
	dialing, cancel := context.WithTimeout(ctx, c.o.Connect)
	defer cancel()
	conn, err := c.o.Dial(dialing, c.o.Network, c.o.Address)
	if err != nil {
		return nil, &Error{Kind: Unreachable, Op: "connect", Err: err}
	}
	s := &Session{o: &c.o, conn: conn, r: bufio.NewReader(conn)}
	s.bind(ctx)
	offer := newest
	if old {
		offer = oldest
	}
	if err := s.negotiate(offer); err != nil {
		s.drop()
		return nil, err
	}
	return s, nil
}
