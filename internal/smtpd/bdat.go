package smtpd

import "mtad/internal/smtp"

// bdat receives a chunk (RFC 3030 §2). Its octets are read whatever the reply,
// for the next command stands behind them; a size that cannot be read ends the
// session.
func (s *session) bdat(arg string) {
	size, last, valid := smtp.ParseBdat(arg)
	if !valid {
		s.say(&badBdat)
		s.end("bdat_syntax")
		return
	}
	if !s.tx.bdat && !s.startBdat() {
		s.readChunk(size)
		return
	}
	if !s.readChunk(size) {
		return
	}
	switch {
	case last:
		s.body.finish(s.body.emit)
		s.finish()
	case s.body.fault != noFault:
		s.say(faultReply(s.body.fault))
	case s.body.msg == nil:
		s.sayReply(s.body.reply)
	default:
		s.say(&ok)
	}
}

// startBdat opens the message at its first chunk. With false there is no
// transaction, which was said; a message that intake refused is under way all
// the same, until LAST or RSET.
func (s *session) startBdat() bool {
	s.newBody(false)
	if !s.readyForData() {
		return false
	}
	s.tx.bdat = true
	s.openBody()
	return true
}

// readChunk reads n octets of content; false when the session is over.
func (s *session) readChunk(n int64) bool {
	b := &s.body
	if n > b.limit-b.octets {
		s.drop(&tooBig, "size")
		return false
	}
	for n > 0 {
		if s.buffered() == 0 && !s.more() {
			return false
		}
		take := int(min(n, int64(s.buffered())))
		b.decode(s.buf[s.r:s.r+take], b.emit)
		s.r += take
		b.octets += int64(take)
		n -= int64(take)
	}
	return true
}
