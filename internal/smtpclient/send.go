package smtpclient

import (
	"context"
	"io"
	"time"

	"mtad/internal/smtp"
)

// window is how many octets of pipelined commands may wait for their replies.
// It fits every send buffer, so that a peer that does not read while it writes
// cannot block both sides (RFC 2920 §3.1).
const window = 4096

// Send makes one transaction. content is read to its end, or not at all where
// no recipient was accepted. Ending ctx closes the connection.
//
// A recipient's Reply with code 2yz says that the next hop has taken the message
// for it; 4yz and 5yz are refusals; none means that the connection ended.
func (c *Conn) Send(ctx context.Context, t *Transaction, content io.Reader) *Outcome {
	x := &exchange{c: c, t: t, out: &Outcome{Results: make([]Result, len(t.Recipients))}}
	if c.broken || c.r.Buffered() > 0 { // a reply to nothing would be taken for one to MAIL
		x.fail(StageMail, ErrBroken)
		return x.finish()
	}
	if r, refused := c.Refuses(t); refused {
		x.rest(StageMail, r, true)
		return x.out
	}
	if !x.checkPaths() {
		return x.out
	}
	done := c.watch(ctx)
	c.begun++
	x.limit = time.Now().Add(4 * c.o.Timeouts.Command)
	x.run(content)
	if !done() && x.out.Err == nil {
		x.fail(StageEnd, ctx.Err())
	}
	return x.finish()
}

// exchange is one transaction under way.
type exchange struct {
	c   *Conn
	t   *Transaction
	out *Outcome

	limit    time.Time // of the envelope: a reply just in time to each RCPT must not take hours
	buf      []byte
	pending  []command // on the wire or in buf, no reply yet
	mailOK   bool
	refused  bool // MAIL or RSET was
	accepted int
	data     smtp.Reply // to DATA
	asked    bool       // DATA is out
}

// command is what a reply will answer. rcpt is the recipient's index.
type command struct {
	stage Stage
	rcpt  int
}

// checkPaths refuses what cannot be written, and reports whether anything is
// left to send.
func (x *exchange) checkPaths() bool {
	rp := x.t.ReversePath
	if rp != "" && !sendable(rp) {
		x.rest(StageMail, badSender, true)
		return false
	}
	if !smtp.IsASCII(rp) && !x.t.SMTPUTF8 {
		x.rest(StageMail, noUTF8, true)
		return false
	}
	left := 0
	for i := range x.t.Recipients {
		switch path := x.t.Recipients[i].Path; {
		case !sendable(path):
			x.out.Results[i] = Result{Reply: badPath, Stage: StageRcpt, Local: true}
		case !smtp.IsASCII(path) && !x.t.SMTPUTF8:
			x.out.Results[i] = Result{Reply: noUTF8, Stage: StageRcpt, Local: true}
		default:
			left++
		}
	}
	return left > 0
}

func (x *exchange) run(content io.Reader) {
	if !x.envelope() {
		return
	}
	x.body(content)
}

// envelope sends MAIL, RCPT and DATA, and reports whether the content may
// follow.
func (x *exchange) envelope() bool {
	if x.c.open && !x.put(StageReset, 0, append(x.buf, "RSET\r\n"...)) {
		return false
	}
	if !x.put(StageMail, 0, x.c.mailLine(x.buf, x.t)) {
		return false
	}
	for i := range x.t.Recipients {
		if x.decided(i) {
			continue
		}
		if x.refused || !x.put(StageRcpt, i, x.c.rcptLine(x.buf, x.t, &x.t.Recipients[i])) {
			return false
		}
	}
	// Where all was refused before, DATA is not said.
	if len(x.pending) == 0 && x.accepted == 0 {
		return false
	}
	x.asked = true
	if !x.put(StageData, 0, append(x.buf, "DATA\r\n"...)) || !x.sync() {
		return false
	}
	return x.mayContinue()
}

// put queues a command; without pipelining, or with a window full, it waits for
// the replies.
func (x *exchange) put(stage Stage, rcpt int, buf []byte) bool {
	x.buf = buf
	x.pending = append(x.pending, command{stage, rcpt})
	if x.c.ext.Pipelining && len(x.buf) < window {
		return true
	}
	return x.sync()
}

// sync sends what is queued and reads a reply for each command.
func (x *exchange) sync() bool {
	if len(x.pending) == 0 {
		return true
	}
	_ = x.c.conn.SetWriteDeadline(time.Now().Add(x.c.o.Timeouts.Command))
	_, werr := x.c.conn.Write(x.buf)
	x.buf = x.buf[:0]
	for _, cmd := range x.pending {
		r, err := x.c.replyBy(earlier(time.Now().Add(x.timeout(cmd.stage)), x.limit))
		if werr != nil && err != nil {
			err = werr
		}
		if err != nil {
			x.fail(cmd.stage, err)
			return false
		}
		if !x.got(cmd, r) {
			return false
		}
	}
	x.pending = x.pending[:0]
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (x *exchange) timeout(stage Stage) time.Duration {
	if stage == StageData {
		return x.c.o.Timeouts.DataInit
	}
	return x.c.o.Timeouts.Command
}

// got takes the reply to one command. It reports whether the dialogue goes on.
func (x *exchange) got(cmd command, r smtp.Reply) bool {
	if r.Code == 421 { // RFC 5321 §3.8: the peer closes
		x.closing(cmd.stage, r)
		return false
	}
	if r.Code/100 == 3 && (cmd.stage != StageData || r.Code != 354) || r.Code/100 == 2 && cmd.stage == StageData {
		x.fail(cmd.stage, ErrProtocol)
		return false
	}
	switch cmd.stage {
	case StageReset:
		if !r.Positive() {
			x.fail(cmd.stage, ErrProtocol)
			return false
		}
		x.c.open = false
	case StageMail:
		x.mailOK, x.refused = r.Positive(), !r.Positive()
		x.c.open = x.mailOK
		if x.refused {
			x.rest(StageMail, r, false)
		}
	case StageRcpt:
		x.gotRcpt(cmd.rcpt, r)
	case StageData:
		x.data = r
	}
	return true
}

func (x *exchange) gotRcpt(i int, r smtp.Reply) {
	if x.refused {
		return // an answer to nothing
	}
	if r.Positive() {
		x.accepted++
		return
	}
	x.out.Results[i] = Result{Reply: r, Stage: StageRcpt}
}

// mayContinue decides after the replies to the envelope.
func (x *exchange) mayContinue() bool {
	if x.data.Code == 354 && x.accepted == 0 {
		// RFC 2920 §3.1: DATA went through though nobody is left; end it with nothing.
		x.nothing()
		return false
	}
	if x.data.Code != 354 {
		x.rest(StageData, x.data, false)
		return false
	}
	return x.accepted > 0
}

// nothing ends the data at once. The reply is of no interest, unless there is
// none.
func (x *exchange) nothing() {
	if _, err := x.c.command(".", x.c.o.Timeouts.DataEnd); err != nil {
		x.fail(StageEnd, err)
	}
}

// decided reports whether recipient i has its reply.
func (x *exchange) decided(i int) bool { return !x.out.Results[i].Reply.IsZero() }

// rest gives r to all that have no reply yet.
func (x *exchange) rest(stage Stage, r smtp.Reply, local bool) {
	for i := range x.out.Results {
		if !x.decided(i) {
			x.out.Results[i] = Result{Reply: r, Stage: stage, Local: local}
		}
	}
}

// closing is for 421: the peer says why it goes.
func (x *exchange) closing(stage Stage, r smtp.Reply) {
	x.rest(stage, r, false)
	x.out.Err = &Error{Stage: stage, Reply: r}
}

func (x *exchange) fail(stage Stage, err error) {
	if x.out.Err == nil {
		x.out.Err = &Error{Stage: stage, Err: err}
	}
}

// finish closes a connection that is of no use.
func (x *exchange) finish() *Outcome {
	if x.out.Err != nil {
		for i := range x.out.Results {
			if !x.decided(i) {
				x.out.Results[i].Stage = x.out.Err.Stage
			}
		}
		_ = x.c.Close()
	}
	return x.out
}
