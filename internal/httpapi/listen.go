package httpapi

import (
	"context"
	"net"
	"sync"
)

// credentials are those of the process at the other end of a unix socket.
type credentials struct{ uid, gid int }

type credentialsKey struct{}

func credentialsOf(ctx context.Context) (credentials, bool) {
	c, ok := ctx.Value(credentialsKey{}).(credentials)
	return c, ok
}

// withPeer is http.Server.ConnContext: it puts a unix peer's credentials into the
// context of the connection's requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	for {
		if u, ok := c.(*net.UnixConn); ok {
			if cred, ok := peerOf(u); ok {
				return context.WithValue(ctx, credentialsKey{}, cred)
			}
			return ctx
		}
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = inner.NetConn()
	}
}

// gate bounds connections in all and by address. One more is closed at once: a
// listener that stops accepting would let whoever holds the others decide.
type gate struct {
	total, each int

	mu   sync.Mutex
	open int
	by   map[string]int
}

func (g *gate) enter(addr string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.total || addr != "local" && g.by[addr] >= g.each {
		return false
	}
	if g.by == nil {
		g.by = make(map[string]int)
	}
	g.open++
	g.by[addr]++
	return true
}

func (g *gate) leave(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.by[addr]--; g.by[addr] == 0 {
		delete(g.by, addr)
	}
}

// gated is a listener behind a gate.
type gated struct {
	net.Listener
	gate *gate
}

func (l gated) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := "local"
		if c.RemoteAddr() != nil {
			addr = group(c.RemoteAddr().String())
		}
		if l.gate.enter(addr) {
			return &gatedConn{Conn: c, leave: sync.OnceFunc(func() { l.gate.leave(addr) })}, nil
		}
		c.Close()
	}
}
