package sqldb

import (
	"context"
	"net"
	"time"
)

// patient is the way to a PostgreSQL server. Its driver asks a server to give up
// when the context of a query ends, and then waits for the answer however long;
// so every read and write has a deadline of its own.
type patient struct {
	dialer net.Dialer
	each   time.Duration
}

// Dial is for drivers that have no context.
func (p *patient) Dial(network, address string) (net.Conn, error) {
	return p.DialContext(context.Background(), network, address)
}

// DialTimeout is for drivers that have no context.
func (p *patient) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.DialContext(ctx, network, address)
}

// DialContext connects.
func (p *patient) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := p.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &bounded{c, p.each}, nil
}

// bounded is a connection on which nothing waits for longer than each.
type bounded struct {
	net.Conn
	each time.Duration
}

// Read waits for octets.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.SetReadDeadline(time.Now().Add(b.each)); err != nil {
		return 0, err
	}
	return b.Conn.Read(p)
}

// Write waits until octets are taken.
func (b *bounded) Write(p []byte) (int, error) {
	if err := b.SetWriteDeadline(time.Now().Add(b.each)); err != nil {
		return 0, err
	}
	return b.Conn.Write(p)
}
