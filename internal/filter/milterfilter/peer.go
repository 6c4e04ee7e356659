package milterfilter

import (
	"net/netip"
	"strconv"
	"strings"

	"mtad/internal/milter"
	"mtad/internal/smtp"
	"mtad/queue"
)

// peerOf is the client as a milter sees it. Mail without one is our own.
func peerOf(c *queue.Client) milter.Peer {
	a, err := netip.ParseAddr(c.Address)
	if err != nil {
		return milter.Peer{Name: "localhost", Family: '4', Address: "127.0.0.1"}
	}
	p := milter.Peer{Name: c.Name, Family: '4', Port: c.Port, Address: a.String()}
	if a.Is6() {
		p.Family = '6'
	}
	if p.Name == "" {
		p.Name = "unknown"
	}
	return p
}

// heloOf is the HELO argument; mail that had none says localhost.
func heloOf(c *queue.Client) string {
	if c.Helo == "" {
		return "localhost"
	}
	return c.Helo
}

func wirePath(path string) string { return "<" + path + ">" }

// barePath takes the brackets off a path of a milter.
func barePath(s string) string {
	s = strings.TrimSpace(s)
	if inner, ok := strings.CutPrefix(s, "<"); ok {
		s = strings.TrimSuffix(inner, ">")
	}
	return s
}

// mailArgs are the ESMTP parameters of MAIL, as they would be sent.
func mailArgs(e *queue.Envelope) []string {
	var args []string
	add := func(name, value string) {
		if value != "" {
			args = append(args, name+"="+value)
		}
	}
	if e.Client.SizeHint > 0 {
		add("SIZE", strconv.FormatInt(e.Client.SizeHint, 10))
	}
	add("BODY", string(e.Body))
	if e.SMTPUTF8 {
		args = append(args, "SMTPUTF8")
	}
	add("RET", e.Return)
	add("ENVID", smtp.Xtext(e.EnvID))
	add("AUTH", smtp.Xtext(e.Client.SASLSender))
	return args
}

// rcptArgs are those of RCPT (RFC 3461 §4).
func rcptArgs(r *queue.Recipient) []string {
	var args []string
	if n := notifyWords(r.Notify); n != "" {
		args = append(args, "NOTIFY="+n)
	}
	if kind, addr, ok := strings.Cut(r.ORCPT, ";"); ok {
		args = append(args, "ORCPT="+kind+";"+smtp.Xtext(addr))
	}
	return args
}

func notifyWords(n queue.Notify) string {
	if n&queue.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, w := range []struct {
		bit  queue.Notify
		word string
	}{{queue.NotifySuccess, "SUCCESS"}, {queue.NotifyFailure, "FAILURE"}, {queue.NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}
