package smtpd

import (
	"context"
	"errors"
	"time"

	"mtad/internal/intake"
	"mtad/internal/smtp"
	"mtad/queue"
)

// body is a message's content on its way to intake.
type body struct {
	decoder
	msg    Message
	id     queue.ID // of msg, also when it is gone
	err    error
	reply  smtp.Reply // why the content is refused, when there is no fault
	octets int64      // received, on the wire
	limit  int64      // of octets: beyond it even a refused message is not read
	since  time.Time
	emit   func([]byte)
}

// put is the decoder's output. After a fault it is thrown away, and so is what
// was kept.
func (b *body) put(p []byte) {
	switch {
	case b.msg == nil:
	case b.fault != noFault:
		b.abort()
	default:
		if _, err := b.msg.Write(p); err != nil {
			b.err, b.reply = err, intake.ReplyOf(err)
			b.abort()
		}
	}
}

// abort drops a message that is not complete.
func (b *body) abort() {
	if b.msg != nil {
		_ = b.msg.Abort()
		b.msg = nil
	}
}

// newBody makes ready for content.
func (s *session) newBody(dots bool) {
	b := &s.body
	emit := b.emit
	if emit == nil {
		emit = b.put
	}
	*b = body{emit: emit, since: time.Now(), limit: none}
	if size := s.o.Limits.Size; size < none/4 {
		b.limit = 2*size + maxSkip
	}
	b.decoder = decoder{dots: dots, normalize: s.o.LineEnds == Normalize, maxLine: s.o.Limits.TextLine}
}

// openBody begins the message at intake. With false it was refused, which reply
// says.
func (s *session) openBody() bool {
	b := &s.body
	door := s.door()
	s.tx.fwd.mark(&door, &s.conv.Client, s.protocol(s.tx.utf8))
	msg, err := s.o.Receiver.Open(s.ctx, s.tx.env, door)
	if err != nil {
		b.err, b.reply = err, intake.ReplyOf(err)
		s.logRefused()
		return false
	}
	b.msg, b.id = msg, msg.ID()
	if s.o.Policy.Judged != nil && msg.Inline() {
		s.o.Policy.Judged(&s.conv, b.id)
	}
	return true
}

// readyForData says whether there is somebody to send to.
func (s *session) readyForData() bool {
	switch {
	case !s.tx.active:
		s.say(&wantMail)
	case len(s.tx.env.Recipients) == 0:
		s.say(&wantRcpt)
	default:
		r := s.ask(s.o.Policy.Data)
		if r == nil {
			return true
		}
		s.sayReply(*r)
		s.endBy421(r)
	}
	return false
}

// data receives a message (RFC 5321 §4.1.1.4).
func (s *session) data(arg string) {
	switch {
	case arg != "":
		s.say(&noArg)
		return
	case s.tx.bdat:
		s.say(&inBdat)
		return
	}
	if !s.readyForData() {
		return
	}
	s.newBody(true)
	if !s.openBody() {
		s.sayReply(s.body.reply)
		return
	}
	s.say(&goData)
	if s.readDots() {
		s.finish()
	}
}

// readDots reads to the end of data; false when the session is over.
func (s *session) readDots() bool {
	b := &s.body
	for {
		if s.buffered() == 0 && !s.more() {
			return false
		}
		n, done := b.decode(s.buf[s.r:s.w], b.emit)
		s.r += n
		b.octets += int64(n)
		if done {
			return true
		}
		if b.octets > b.limit {
			s.drop(&tooBig, "size")
			return false
		}
	}
}

// more reads content into an empty buffer, which grows and shrinks with what
// comes. False when the session is over.
func (s *session) more() bool {
	if err := s.moreData(); err != nil {
		s.broken(err)
		return false
	}
	if s.tooSlow() {
		s.drop(&byeSlow, "slow_data")
		return false
	}
	return true
}

func (s *session) tooSlow() bool {
	l := &s.o.Limits
	age := time.Since(s.body.since)
	if age > l.Data {
		return true
	}
	got := float64(s.body.octets + int64(s.buffered()))
	return l.DataRate > 0 && age > l.DataGrace && got < age.Seconds()*float64(l.DataRate)
}

func (s *session) moreData() error {
	if err := s.flush(); err != nil {
		return err
	}
	left := s.o.Limits.Data - time.Since(s.body.since)
	if err := s.deadline(min(s.o.Limits.DataBlock, max(left, 0))); err != nil {
		return err
	}
	if s.w == len(s.buf) {
		s.widen()
	} else if s.w < smallBuffer/4 {
		s.shrink()
	}
	if s.ctx.Err() != nil { // after the deadline was set: see await
		return errDraining
	}
	s.r, s.w = 0, 0
	n, err := s.conn.Read(s.buf)
	if s.w = n; n > 0 {
		return nil
	}
	return err
}

// finish ends a message that was read to its end, and replies.
func (s *session) finish() {
	b := &s.body
	switch {
	case b.fault != noFault:
		b.abort()
		s.say(faultReply(b.fault))
		s.srv.metrics.refuse(faultNames[b.fault])
		s.logRefused()
	case b.msg == nil:
		s.sayReply(b.reply)
		s.srv.metrics.refuse("content")
		s.logRefused()
	default:
		s.commit()
	}
	b.msg = nil
	s.reset()
}

var faultNames = [...]string{noFault: "", bareLF: "bare_lf", bareCR: "bare_cr", longLine: "long_line"}

func faultReply(f fault) *canned {
	switch f {
	case bareLF:
		return &faultLF
	case bareCR:
		return &faultCR
	}
	return &faultLong
}

// commit hands the message over and says what became of it.
func (s *session) commit() {
	b := &s.body
	ctx := s.ctx
	if b.msg.Inline() {
		_ = s.flush()
		var stop func()
		ctx, stop = s.watch(ctx)
		defer stop()
	}
	size := b.msg.Size()
	res, err := b.msg.Close(ctx)
	b.msg, b.err = nil, err
	s.sayReply(res.Reply)
	s.idle = 0
	if res.Committed {
		s.errors = 0
		s.taken++
		s.srv.metrics.message(size)
	} else {
		s.srv.metrics.refuse("content")
	}
	if !res.Committed && errors.Is(context.Cause(ctx), errHungUp) {
		err = errHungUp
	}
	s.logMessage(&res, size, err)
}
