package httpapi

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
)

// credentials are those of the process at the other end of a unix socket, as they
// were when it connected.
type credentials struct {
	uid, gid int
	groups   []int // with gid; set by withPeer
}

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
				cred.groups = append(groupsOf(u), cred.gid)
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

// gate bounds connections in all and by peer. One more is closed at once: a
// listener that stops accepting would let whoever holds the others decide. A tenth
// is kept for root and the user of this process, so that nobody locks them out.
type gate struct {
	total, each int

	mu   sync.Mutex
	open int
	by   map[string]int
}

// peer is whom a connection is counted for.
type peer struct {
	key string
	own bool // root, or the user of this process
}

// peerAt is an IP address, or the user at the other end of a unix socket.
func peerAt(c net.Conn) peer {
	if u, ok := c.(*net.UnixConn); ok {
		cred, ok := peerOf(u)
		return peer{key: "uid " + strconv.Itoa(cred.uid), own: ok && (cred.uid == 0 || cred.uid == os.Geteuid())}
	}
	return peer{key: group(c.RemoteAddr().String())}
}

func (g *gate) enter(p peer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.total || !p.own && (g.open >= g.total-g.total/10 || g.by[p.key] >= g.each) {
		return false
	}
	if g.by == nil {
		g.by = make(map[string]int)
	}
	g.open++
	g.by[p.key]++
	return true
}

func (g *gate) leave(p peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.by[p.key]--; g.by[p.key] == 0 {
		delete(g.by, p.key)
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
		p := peerAt(c)
		if l.gate.enter(p) {
			return &gatedConn{Conn: c, leave: sync.OnceFunc(func() { l.gate.leave(p) })}, nil
		}
		c.Close()
	}
}
