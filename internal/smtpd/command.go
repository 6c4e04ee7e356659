package smtpd

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"mtad/internal/smtp"
)

// command runs one command line, which still has its LF.
func (s *session) command(line []byte, tooLong bool) {
	s.verb = smtp.Unknown
	line, ok := s.unline(line)
	if !ok {
		return
	}
	if tooLong {
		s.say(&badLong)
		return
	}
	if !s.checkOctets(line) {
		return
	}
	verb, arg := smtp.ParseCommand(line)
	s.verb = verb
	if !s.checkText(verb, arg) {
		return
	}
	s.dispatch(verb, string(arg), line)
}

// unline takes the line end off. What follows a bare LF is not read: it may be
// somebody else's data.
func (s *session) unline(line []byte) ([]byte, bool) {
	line = line[:len(line)-1]
	switch {
	case len(line) > 0 && line[len(line)-1] == '\r':
		line = line[:len(line)-1]
	case s.o.LineEnds != Normalize:
		s.say(&badLF)
		s.end("bare_lf")
		return nil, false
	}
	return line, true
}

// checkOctets refuses control characters. A bare CR is as bad as a bare LF.
func (s *session) checkOctets(line []byte) bool {
	if bytes.IndexByte(line, '\r') >= 0 && s.o.LineEnds != Normalize {
		s.say(&badLF)
		s.end("bare_cr")
		return false
	}
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			s.say(&badChar)
			return false
		}
	}
	return true
}

// checkText lets octets outside US-ASCII into MAIL and RCPT alone (RFC 6531).
func (s *session) checkText(verb smtp.Verb, arg []byte) bool {
	if verb == smtp.MAIL || verb == smtp.RCPT {
		return true
	}
	for _, c := range arg {
		if c >= utf8.RuneSelf {
			s.say(&badText)
			return false
		}
	}
	return true
}

func (s *session) dispatch(verb smtp.Verb, arg string, line []byte) {
	switch verb {
	case smtp.HELO, smtp.EHLO:
		s.idled()
		s.helo(verb == smtp.EHLO, arg)
	case smtp.MAIL:
		s.mail(arg)
	case smtp.RCPT:
		s.rcpt(arg)
	case smtp.DATA:
		s.data(arg)
	case smtp.BDAT:
		s.bdat(arg)
	case smtp.QUIT:
		s.quit(arg)
	case smtp.RSET:
		s.rset(arg)
	case smtp.NOOP:
		s.idled()
		s.say(&ok)
	case smtp.HELP:
		s.idled()
		s.say(&okHelp)
	case smtp.VRFY:
		s.vrfy(arg)
	default:
		s.extension(verb, arg, line)
	}
}

func (s *session) extension(verb smtp.Verb, arg string, line []byte) {
	switch verb {
	case smtp.STARTTLS:
		s.starttls(arg)
	case smtp.XCLIENT:
		s.xclient(arg)
	case smtp.XFORWARD:
		s.xforward(arg)
	case smtp.AUTH:
		s.auth(arg)
	case smtp.EXPN, smtp.ETRN:
		s.idled()
		s.say(&noImpl)
	default:
		s.unknownCommand(line)
	}
}

// unknownCommand answers 500. A browser that was led here is sent away at once:
// its headers must not be read as commands.
func (s *session) unknownCommand(line []byte) {
	word, _, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS":
		s.drop(&byeProtocol, "http")
		return
	}
	s.unknown++
	s.say(&noVerb)
}

// idled counts commands that bring no mail.
func (s *session) idled() {
	if s.idle++; s.idle > s.o.Limits.IdleCommands {
		s.errors++
	}
}

func (s *session) quit(arg string) {
	if arg != "" {
		s.say(&noArg)
		return
	}
	s.say(&okBye)
	s.closing, s.reason = true, "quit"
}

func (s *session) rset(arg string) {
	s.idled()
	if arg != "" {
		s.say(&noArg)
		return
	}
	s.reset()
	s.say(&ok)
}

func (s *session) vrfy(arg string) {
	s.idled()
	if arg == "" {
		s.say(&wantArg)
		return
	}
	s.say(&okVrfy)
}

func (s *session) auth(arg string) {
	switch {
	case s.o.Policy.Auth == nil:
		s.say(&noImpl)
	case !s.greeted || !s.esmtp:
		s.say(&wantHelo)
	case s.conv.Client.SASLUser != "":
		s.say(&haveAuth)
	case s.tx.active:
		s.say(&notNow)
	default:
		s.idled()
		r := s.o.Policy.Auth(s.ctx, &s.conv, arg, s.challenge)
		if s.closing || s.reason != "" {
			return
		}
		s.sayReply(r)
		s.endBy421(&r)
	}
}

// ErrLineTooLong: a line of the client was too long, and is gone.
var ErrLineTooLong = errors.New("smtpd: line too long")

var errOver = errors.New("smtpd: session is over")

// challenge sends a 334 and reads the client's line.
func (s *session) challenge(text string) (string, error) {
	s.out = append(append(append(s.out, "334 "...), text...), "\r\n"...)
	s.said(334)
	s.dialogue = true
	line, tooLong, err := s.readLine()
	s.dialogue = false
	if err != nil {
		s.broken(err)
		return "", err
	}
	line, ok := s.unline(line)
	switch {
	case !ok:
		return "", errOver
	case tooLong:
		return "", ErrLineTooLong
	}
	return string(line), nil
}
