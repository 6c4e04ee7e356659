package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// DovecotOptions describe the authentication socket of a Dovecot server
// (protocol version 1; doc.dovecot.org, "Auth Protocol").
type DovecotOptions struct {
	Network, Address string // "unix" and a path, or "tcp" and host:port
	// Offer limits the mechanisms; nil offers all that Dovecot has but ANONYMOUS.
	Offer []string
	// Timeout is the time for a connection and for each answer: 1 min. Dovecot takes
	// two seconds and more to refuse.
	Timeout time.Duration
	// Remember is how long the list of mechanisms is good for: 1 min.
	Remember time.Duration
}

// Dovecot is the Backend over a Dovecot server: mtad hands the messages of the
// mechanism on, and sees no password file. Its methods are safe for concurrent
// use.
type Dovecot struct {
	o     DovecotOptions
	mu    sync.Mutex
	known []mechanism
	until time.Time
}

// mechanism is one that Dovecot listed.
type mechanism struct {
	name      string
	anonymous bool
}

var _ Backend = (*Dovecot)(nil)

// NewDovecot makes a Backend; Dovecot need not run yet.
func NewDovecot(o DovecotOptions) *Dovecot {
	o.Timeout, o.Remember = positive(o.Timeout, time.Minute), positive(o.Remember, time.Minute)
	return &Dovecot{o: o}
}

// Mechanisms are those that Dovecot listed when it was asked last. While it
// cannot be reached they are those of before.
func (d *Dovecot) Mechanisms(ctx context.Context, _ *Peer) []string {
	d.mu.Lock()
	fresh := time.Now().Before(d.until)
	d.mu.Unlock()
	if !fresh {
		if c, err := d.dial(ctx); err == nil {
			c.close()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, m := range d.known {
		if d.offers(m) {
			names = append(names, m.name)
		}
	}
	return names
}

func (d *Dovecot) offers(m mechanism) bool {
	if d.o.Offer != nil {
		return slices.Contains(d.o.Offer, m.name)
	}
	return !m.anonymous
}

// dial connects, and learns what Dovecot has.
func (d *Dovecot) dial(ctx context.Context) (*dovecotConn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	c, err := dialDovecot(ctx, d.o.Network, d.o.Address)
	if err != nil {
		return nil, fmt.Errorf("auth: dovecot: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known, d.until = c.mechanisms, time.Now().Add(d.o.Remember)
	return c, nil
}

// Begin starts an exchange over a connection of its own.
func (d *Dovecot) Begin(ctx context.Context, name string, p *Peer) (Exchange, error) {
	if !validMechanism(name) {
		return nil, ErrMechanism
	}
	c, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.mechanisms, func(m mechanism) bool { return m.name == name })
	if i < 0 || !d.offers(c.mechanisms[i]) {
		c.close()
		return nil, ErrMechanism
	}
	return &dovecotExchange{c: c, peer: p, mechanism: name, timeout: d.o.Timeout}, nil
}

// validMechanism is the grammar of RFC 4422 §3.1.
func validMechanism(s string) bool {
	return s != "" && len(s) <= 20 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z')
	})
}

// dovecotExchange is one request.
type dovecotExchange struct {
	c         *dovecotConn
	peer      *Peer
	mechanism string
	timeout   time.Duration
	begun     bool
	login     string
}

func (x *dovecotExchange) Login() string { return x.login }

func (x *dovecotExchange) Close() { x.c.close() }

// Next hands a message on and takes the answer.
func (x *dovecotExchange) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	stop := context.AfterFunc(ctx, func() { x.c.close() })
	defer stop()
	line := "CONT\t1\t" + base64.StdEncoding.EncodeToString(response)
	if !x.begun {
		line = x.request(response)
		x.begun = true
	}
	if err := x.c.write(line, x.timeout); err != nil {
		return nil, false, fmt.Errorf("auth: dovecot: %w", err)
	}
	verb, args, err := x.c.answer(x.timeout)
	if err != nil {
		return nil, false, fmt.Errorf("auth: dovecot: %w", err)
	}
	return x.result(verb, args)
}

// request is the line that begins: RFC 4954's initial response comes last.
func (x *dovecotExchange) request(response []byte) string {
	f := []string{"AUTH", "1", x.mechanism, "service=smtp"}
	if x.peer.TLS != nil {
		f = append(f, "secured")
	}
	for _, a := range []struct {
		name string
		addr netip.Addr
	}{{"lip=", x.peer.Local}, {"rip=", x.peer.Addr}} {
		if a.addr.IsValid() {
			f = append(f, a.name+a.addr.String())
		}
	}
	if response != nil {
		f = append(f, "resp="+base64.StdEncoding.EncodeToString(response))
	}
	return strings.Join(f, "\t")
}

var errDovecot = errors.New("answer that is not in the protocol")

func (x *dovecotExchange) result(verb string, args []string) ([]byte, bool, error) {
	switch verb {
	case "CONT":
		if len(args) == 0 {
			return []byte{}, false, nil
		}
		b, err := base64.StdEncoding.DecodeString(args[0])
		if err != nil {
			return nil, false, fmt.Errorf("auth: dovecot: %w", errDovecot)
		}
		return append([]byte{}, b...), false, nil
	case "OK":
		return x.passed(args)
	case "FAIL":
		return nil, false, failure(args)
	}
	return nil, false, fmt.Errorf("auth: dovecot: %w", errDovecot)
}

// passed takes who it was: Dovecot may have changed the name. With some
// mechanisms a last word goes to the client.
func (x *dovecotExchange) passed(args []string) ([]byte, bool, error) {
	var last []byte
	for _, a := range args {
		if user, ok := strings.CutPrefix(a, "user="); ok {
			x.login = unescape(user)
		}
		if resp, ok := strings.CutPrefix(a, "resp="); ok {
			b, err := base64.StdEncoding.DecodeString(resp)
			if err != nil {
				return nil, false, fmt.Errorf("auth: dovecot: %w", errDovecot)
			}
			last = append([]byte{}, b...)
		}
	}
	if !ValidLogin(x.login) {
		return nil, false, fmt.Errorf("auth: dovecot: no login in its answer: %w", errDovecot)
	}
	return last, true, nil
}

// failure tells a wrong password from trouble.
func failure(args []string) error {
	if slices.Contains(args, "temp") || slices.Contains(args, "code=temp_fail") {
		return errors.New("auth: dovecot: temporary failure")
	}
	return ErrRefused
}

// unescape undoes Dovecot's escapes: \001 and a digit or letter.
func unescape(s string) string {
	return strings.NewReplacer("\x011", "\x01", "\x010", "\x00", "\x01t", "\t", "\x01n", "\n", "\x01r", "\r").Replace(s)
}

// dialDovecot connects within ctx and shakes hands.
func dialDovecot(ctx context.Context, network, address string) (*dovecotConn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := newDovecotConn(conn)
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if err := c.handshake(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}
