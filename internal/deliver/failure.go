package deliver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"mtad/internal/mxlookup"
	"mtad/internal/smtp"
	"mtad/internal/smtpclient"
	"mtad/queue"
)

// remoteName is how a host is named in replies and reports.
func remoteName(t mxlookup.Target) string {
	if _, err := netip.ParseAddr(t.Host); err == nil {
		return "[" + t.Host + "]"
	}
	return t.Host
}

// address is how a host is named in logs.
func address(t mxlookup.Target) string {
	if !t.Addr.IsValid() {
		return t.Host
	}
	if remoteName(t) != t.Host {
		return t.Addr.String()
	}
	return t.Host + "[" + t.Addr.Addr().String() + "]:" + strconv.Itoa(int(t.Addr.Port()))
}

// noTargets is for a next hop without addresses.
func (x *delivery) noTargets(err error) {
	var e *mxlookup.Error
	reply := smtp.Reply{Code: 451, Enhanced: "4.4.3", Text: "next hop could not be looked up"}
	if errors.As(err, &e) {
		reply = e.Reply
	}
	x.tell(reply, "", err)
	if reply.Permanent() {
		for _, n := range x.open {
			x.set(n, queue.Failed, reply, "")
		}
		x.drop()
	}
}

// noSession is for a host without a session. Only a host that takes no mail at
// all (521, RFC 7504) or refuses both EHLO and HELO for good is permanent, and
// only if all hosts do.
func (x *delivery) noSession(t mxlookup.Target, err error) {
	reply, remote := sessionReply(t, err), ""
	var e *smtpclient.Error
	forGood := false
	if errors.As(err, &e) && !e.Reply.IsZero() {
		remote = remoteName(t)
		forGood = e.Reply.Code == 521 || e.Stage == smtpclient.StageHello && e.Reply.Permanent()
	}
	x.reached = true
	x.refusing = x.refusing && forGood
	x.tell(reply, remote, err)
	x.a.remote = address(t)
}

// sessionReply is the reply for a session that did not come about or ended: the
// host's own where it gave one, otherwise ours, in words that say nothing about
// this host.
func sessionReply(t mxlookup.Target, err error) smtp.Reply {
	var e *smtpclient.Error
	if !errors.As(err, &e) {
		return smtp.Reply{Code: 451, Enhanced: "4.4.2", Text: "no session with " + remoteName(t)}
	}
	if !e.Reply.IsZero() {
		r := e.Reply
		if r.Enhanced == "" && r.Transient() && e.Stage == smtpclient.StageGreeting {
			r.Enhanced = "4.3.2" // RFC 3463 §3.4: the system takes no messages
		}
		return r
	}
	return smtp.Reply{Code: 451, Enhanced: enhancedOf(e), Text: string(e.Stage) + " with " + remoteName(t) + ": " + cause(e)}
}

func enhancedOf(e *smtpclient.Error) string {
	switch {
	case errors.Is(e, smtpclient.ErrNoTLS):
		return "4.7.4"
	case e.Stage == smtpclient.StageHandshake, errors.Is(e, smtpclient.ErrInjected):
		return "4.7.5"
	case e.Stage == smtpclient.StageConnect:
		return "4.4.1"
	case errors.Is(e, smtpclient.ErrProtocol), errors.Is(e, smtpclient.ErrTooLong):
		return "4.5.0"
	}
	return "4.4.2"
}

// cause names an error in fixed words.
func cause(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "host unreachable"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "connection lost"
	}
	for _, known := range []error{smtpclient.ErrNoTLS, smtpclient.ErrInjected, smtpclient.ErrProtocol, smtpclient.ErrTooLong} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "trouble"
}
