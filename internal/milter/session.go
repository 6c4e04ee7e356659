package milter

import (
	"bufio"
	"context"
	"net"
	"time"
)

// Session is one connection to a filter, for one goroutine.
type Session struct {
	// Macros finds the values of macros; nil sends none. It may be changed between
	// commands.
	Macros Macros

	o      *Options
	ctx    context.Context // bounds the session
	unhook func() bool
	conn   net.Conn
	r      *bufio.Reader
	in     []byte // last packet read
	out    []byte // packets not yet written
	agreed features
	heard  int // packets since

	begun   bool // MAIL was sent: Abort has something to end
	skipped bool // the filter has seen enough of the body

	continued bool // it ended a message with Continue, and nothing was begun since
}

// Commands, as on the wire.
const (
	cmdAbort     = 'A'
	cmdBody      = 'B'
	cmdConnect   = 'C'
	cmdMacros    = 'D'
	cmdEnd       = 'E'
	cmdHelo      = 'H'
	cmdHeader    = 'L'
	cmdMail      = 'M'
	cmdEOH       = 'N'
	cmdNegotiate = 'O'
	cmdQuit      = 'Q'
	cmdQuitNC    = 'K'
	cmdRcpt      = 'R'
	cmdData      = 'T'
	cmdUnknown   = 'U'
)

// Versions that brought commands.
const (
	versionUnknown = 3
	versionData    = 4
	versionQuitNC  = 6
)

// maxPending is how much is kept back for want of a reason to write.
const maxPending = 32 << 10

func (s *Session) negotiate(offer features) error {
	s.queue(cmdNegotiate, offer.packet())
	if err := s.flush("negotiate", s.o.Connect); err != nil {
		return failure("negotiate", Unreachable, err)
	}
	command, data, err := s.read(s.o.Connect)
	if err != nil {
		return failure("negotiate", Unreachable, err)
	}
	if command != cmdNegotiate {
		return protocolError("negotiate", "answered with something else")
	}
	s.agreed, err = offer.agree(data)
	s.heard = 0
	return err
}

// HeaderSpace says that header values hold the white space after the colon, both
// ways: a value that comes back is put directly behind the colon.
func (s *Session) HeaderSpace() bool { return s.agreed.has(leadingSpace) }

// End ends the message and waits for the verdict. Each modification is handed to
// modify before the next is read; an error of modify ends the wait and is
// returned as it is.
func (s *Session) End(modify func(Modification) error) (Answer, error) {
	if err := s.turn("end"); err != nil {
		return Answer{}, err
	}
	s.queueMacros(AtEnd, cmdEnd)
	s.queue(cmdEnd, nil)
	if err := s.flush("end", s.o.Command); err != nil {
		return Answer{}, err
	}
	for {
		command, data, err := s.read(s.o.Content)
		if err != nil {
			return Answer{}, failure("end", Lost, err)
		}
		if isModification(command) {
			m, err := parseModification(command, data)
			if err == nil {
				err = modify(m)
			}
			if err != nil {
				return Answer{}, err
			}
			continue
		}
		a, err := parseAnswer("end", command, data)
		s.begun = err != nil
		s.continued = err == nil && a.Action == Continue
		return a, err
	}
}

// Abort ends a message that is under way, so that another may begin.
func (s *Session) Abort() error {
	if !s.begun {
		return nil
	}
	s.begun = false
	s.queue(cmdAbort, nil)
	return s.flush("abort", s.o.Command)
}

// Close says goodbye and closes the connection, in a second at most.
func (s *Session) Close() {
	s.queue(cmdQuit, nil)
	_ = s.flush("quit", time.Second)
	s.drop()
}

func (s *Session) drop() {
	s.unhook()
	_ = s.conn.Close()
}

func (s *Session) queueMacros(stage Stage, command byte) {
	if stage < stages {
		if m := s.macroPacket(stage, command); m != nil {
			s.queue(cmdMacros, m)
		}
	}
}

// turn makes sure that it is ours: what a filter said unasked would be taken for
// its next answer.
func (s *Session) turn(op string) error {
	if s.r.Buffered() > 0 {
		return protocolError(op, "spoke out of turn")
	}
	return nil
}

func (s *Session) queue(command byte, data []byte) { s.out = appendPacket(s.out, command, data) }

// flush writes what is queued.
func (s *Session) flush(op string, limit time.Duration) error {
	if err := s.deadline(limit); err != nil {
		return failure(op, s.lost(), err)
	}
	_, err := s.conn.Write(s.out)
	if s.out = s.out[:0]; err != nil {
		return failure(op, s.lost(), err)
	}
	return nil
}

// maxProgress bounds the signs of progress before one answer: a filter gives one
// in a second or so, and one that does nothing else must not keep us busy.
const maxProgress = 10_000

// read waits for a packet that says something. Its data is good until the next
// read.
func (s *Session) read(limit time.Duration) (command byte, data []byte, err error) {
	for range maxProgress {
		if err := s.deadline(limit); err != nil {
			return 0, nil, err
		}
		if command, data, s.in, err = readPacket(s.r, s.in); err != nil {
			return command, data, err
		}
		if s.heard++; command != ansProgress {
			return command, data, nil
		}
	}
	return 0, nil, protocolError("answer", "progress without end")
}

func (s *Session) deadline(limit time.Duration) error {
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	return s.ctx.Err() // after it: either this sees the end, or the end cuts the deadline
}
