package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"mtad/internal/intake"
	"mtad/internal/smtp"
	"mtad/queue"
)

// crowd is the reason of a session that ended for want of room.
const crowd = "connections"

// session is one connection. It belongs to its goroutine; wake and raw.Close
// alone are called from others.
type session struct {
	wire
	o      *Options
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	start  time.Time

	conv  Conversation
	addr  netip.Addr // client's, as XCLIENT and PROXY say; invalid: unknown
	key   netip.Prefix
	count bool // key is counted in clients
	// What the address of the connection may use.
	mayXClient, mayXForward bool

	esmtp   bool
	greeted bool // HELO or EHLO was taken
	tx      transaction
	body    body

	verb     smtp.Verb
	errors   int
	unknown  int
	idle     int
	messages int
	taken    int
	closing  bool
	reason   string // why it was ended by us
}

// transaction is what MAIL began.
type transaction struct {
	active bool
	env    queue.Envelope
	utf8   bool
	bdat   bool
	fwd    forwarded
}

func newSession(srv *Server, conn net.Conn) *session {
	s := &session{o: &srv.o, start: time.Now()}
	s.open(srv, conn)
	s.ctx, s.cancel = context.WithCancel(srv.ctx)
	s.log = srv.o.Logger
	s.setPeer(conn.RemoteAddr())
	return s
}

// setPeer takes the client's address from the connection.
func (s *session) setPeer(a net.Addr) {
	s.conv.Client.Listener = s.o.Name
	s.conv.Client.Name = "unknown"
	if t, ok := a.(*net.TCPAddr); ok {
		s.setAddr(t.AddrPort().Addr())
		s.conv.Client.Port = uint16(t.Port)
		if l, ok := s.raw.LocalAddr().(*net.TCPAddr); ok {
			s.conv.Local = l.AddrPort().Addr().Unmap()
		}
	}
}

func (s *session) setAddr(a netip.Addr) {
	s.addr = a.Unmap().WithZone("")
	s.conv.Client.Address = ""
	if s.addr.IsValid() {
		s.conv.Client.Address = s.addr.String()
	}
	s.conv.Trusted = contains(s.o.Networks, s.addr)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if a.IsValid() && p.Contains(a) {
			return true
		}
	}
	return false
}

// serve is the whole session.
func (s *session) serve(crowded bool) {
	s.srv.metrics.sessions.Inc()
	defer s.close()
	if crowded {
		s.drop(&byeCrowd, crowd)
		return
	}
	if !s.begin() {
		return
	}
	for !s.closing {
		line, tooLong, err := s.readLine()
		if err != nil {
			s.broken(err)
			return
		}
		s.command(line, tooLong)
		s.checkErrors()
	}
}

// begin does what comes before the first command.
func (s *session) begin() bool {
	if contains(s.o.Proxy, s.addr) && !s.readProxy() {
		return false
	}
	s.mayXClient, s.mayXForward = contains(s.o.XClient, s.addr), contains(s.o.XForward, s.addr)
	if !s.enter() {
		return false
	}
	if s.o.ImplicitTLS {
		if !s.handshake() {
			return false
		}
	} else if s.spokeEarly() {
		s.drop(&s.srv.early, "pregreet")
		return false
	}
	s.name()
	if r := s.ask(s.o.Policy.Connect); r != nil {
		s.sayReply(*r)
		s.end("policy")
		return false
	}
	s.say(&s.srv.greet)
	return true
}

// enter counts the client. Trusted clients and listed proxies are not bound.
func (s *session) enter() bool {
	if s.conv.Trusted || !s.addr.IsValid() || s.mayXClient {
		return true
	}
	s.key = clientOf(s.addr)
	var reason string
	s.count, reason = s.srv.clients.enter(s.key, time.Now())
	switch reason {
	case tooMany:
		s.drop(&byeClient, reason)
	case tooFast:
		s.drop(&byeRate, reason)
	}
	return reason == ""
}

func (s *session) leave() {
	if s.count {
		s.srv.clients.leave(s.key)
		s.count = false
	}
}

func (s *session) name() {
	if s.o.ClientName == nil || !s.addr.IsValid() {
		return
	}
	if n := s.o.ClientName(s.ctx, s.addr); smtp.ValidDomain(n) {
		s.conv.Client.Name = n
	}
}

// broken ends a session whose input ended or failed.
func (s *session) broken(err error) {
	switch {
	case errors.Is(err, errDraining), s.ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		s.drop(&byeDrain, "shutdown")
	case errors.Is(err, errFlood):
		s.drop(&byeFlood, "flood")
	case errors.Is(err, os.ErrDeadlineExceeded) && s.over():
		s.drop(&bySession, "session_time")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.drop(&byeIdle, "timeout")
	case errors.Is(err, io.EOF):
		s.reason = "eof"
	default:
		s.reason = "lost"
	}
}

// drop says goodbye for a reason of ours.
func (s *session) drop(r *canned, reason string) {
	s.say(r)
	s.end(reason)
}

// end makes the loop stop. The reason is counted and logged.
func (s *session) end(reason string) {
	s.closing, s.reason = true, reason
	s.srv.metrics.refuse(reason)
}

func (s *session) close() {
	_ = s.flush()
	if s.body.msg != nil {
		s.logLost()
	}
	s.body.abort()
	s.reset()
	s.leave()
	s.cancel()
	if s.o.Policy.Close != nil {
		s.o.Policy.Close(&s.conv)
	}
	s.logEnd()
	s.shrink()
	switch s.reason {
	case "quit", "eof", "lost", "tls_handshake", crowd:
		s.conn.Close()
	default:
		s.linger()
	}
}

// say queues a reply made before.
func (s *session) say(r *canned) {
	s.out = append(s.out, r.wire...)
	s.said(r.code)
}

// sayReply queues a reply.
func (s *session) sayReply(r smtp.Reply) {
	s.out = r.Append(s.out)
	s.said(r.Code)
}

func (s *session) said(code int) {
	s.srv.metrics.reply(s.verb, code)
	if code >= 500 {
		s.errors++
	}
	if len(s.out) > maxPending {
		_ = s.flush()
	}
}

func (s *session) checkErrors() {
	if s.closing {
		return
	}
	switch {
	case s.unknown > s.o.Limits.UnknownCommands:
		s.drop(&byeUnknown, "unknown_commands")
	case s.errors > s.o.Limits.Errors:
		s.drop(&byeErrors, "errors")
	}
}

// reset drops the transaction (RFC 5321 §4.1.1.5).
func (s *session) reset() {
	had := s.tx.active
	s.body.abort()
	s.tx = transaction{}
	s.conv.Envelope = nil
	if had && s.o.Policy.Reset != nil {
		s.o.Policy.Reset(&s.conv)
	}
}

// forget goes back to the state before EHLO: after STARTTLS and XCLIENT.
func (s *session) forget() {
	s.reset()
	s.greeted, s.esmtp = false, false
	s.conv.Client.Helo = ""
}

// mayRelay says that the client may send to anywhere.
func (s *session) mayRelay() bool { return s.conv.Trusted || s.conv.Client.SASLUser != "" }

func (s *session) door() intake.Door {
	return intake.Door{
		Name: s.o.Name, Chain: s.o.Chain, Origin: queue.OriginSMTP,
		MaxSize: s.o.Limits.Size, SizeHint: s.tx.env.Client.SizeHint,
	}
}
