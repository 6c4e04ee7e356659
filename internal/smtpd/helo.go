package smtpd

import (
	"strconv"

	"mtad/internal/smtp"
)

// maxHelo is RFC 5321's longest domain.
const maxHelo = 255

// helo takes HELO and EHLO. The name is only looked at for octets: RFC 5321
// §4.1.4 forbids to refuse mail because a name does not fit its client.
func (s *session) helo(esmtp bool, arg string) {
	switch {
	case arg == "":
		s.say(&wantArg)
		return
	case len(arg) > maxHelo:
		s.say(&badHelo)
		return
	}
	s.reset()
	s.greeted, s.esmtp = true, esmtp
	s.conv.Client.Helo = arg
	if r := s.ask(s.o.Policy.Helo); r != nil {
		s.greeted = false
		s.sayReply(*r)
		if r.Code == 421 {
			s.end("policy")
		}
		return
	}
	if !esmtp {
		s.sayReply(smtp.Reply{Code: 250, Text: s.o.Hostname})
		return
	}
	s.sayReply(smtp.Reply{Code: 250, Text: s.keywords()})
}

// keywords is the text of the reply to EHLO.
func (s *session) keywords() string {
	l := &s.o.Limits
	b := append(make([]byte, 0, 400), s.o.Hostname...)
	b = append(b, "\nPIPELINING\nSIZE"...)
	if l.Size < none {
		b = strconv.AppendInt(append(b, ' '), l.Size, 10)
	}
	if s.o.TLS != nil && !s.conv.TLS {
		b = append(b, "\nSTARTTLS"...)
	}
	if s.mayXClient {
		b = append(b, "\nXCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"...)
	}
	if s.mayXForward {
		b = append(b, "\nXFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"...)
	}
	if s.o.Policy.Keywords != nil {
		for _, k := range s.o.Policy.Keywords(&s.conv) {
			b = append(append(b, '\n'), k...)
		}
	}
	b = append(b, "\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING"...)
	return string(s.appendLimits(b))
}

// appendLimits appends LIMITS (RFC 9422 §3).
func (s *session) appendLimits(b []byte) []byte {
	l := &s.o.Limits
	if l.Messages == none && l.Recipients == none {
		return b
	}
	b = append(b, "\nLIMITS"...)
	if l.Messages != none {
		b = strconv.AppendInt(append(b, " MAILMAX="...), int64(l.Messages), 10)
	}
	if l.Recipients != none {
		b = strconv.AppendInt(append(b, " RCPTMAX="...), int64(l.Recipients), 10)
	}
	return b
}
