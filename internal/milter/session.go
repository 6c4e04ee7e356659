package milter

import (
	"bufio"
	"context"
	"encoding/binary"
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

	begun   bool // MAIL was sent: Abort has something to end
	skipped bool // the filter has seen enough of the body
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
	cmdRcpt      = 'R'
	cmdData      = 'T'
	cmdUnknown   = 'U'
)

// Versions that brought commands.
const (
	versionUnknown = 3
	versionData    = 4
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
	return err
}

// HeaderSpace says that header values hold the white space after the colon, both
// ways: a value that comes back is put directly behind the colon.
func (s *Session) HeaderSpace() bool { return s.agreed.has(leadingSpace) }

// Peer is the client of an SMTP session as a filter sees it.
type Peer struct {
	Name string // host name, or "unknown"
	// Family is '4', '6', 'L' (a unix socket) or 'U' (nothing known).
	Family  byte
	Port    uint16
	Address string // IP address without brackets, or the path of the socket
}

// Connect tells of the client.
func (s *Session) Connect(p Peer) (Answer, error) {
	b := append(appendString(nil, p.Name), p.Family)
	if p.Family != 'U' {
		b = binary.BigEndian.AppendUint16(b, p.Port)
		b = appendString(b, p.Address)
	}
	return s.step("connect", cmdConnect, AtConnect, b, noConnect, quietConnect)
}

// Helo tells of HELO or EHLO.
func (s *Session) Helo(name string) (Answer, error) {
	return s.step("helo", cmdHelo, AtHelo, appendString(nil, name), noHelo, quietHelo)
}

// Mail begins a message. path has its brackets; args are the ESMTP parameters.
func (s *Session) Mail(path string, args []string) (Answer, error) {
	s.begun, s.skipped = true, false
	return s.step("mail", cmdMail, AtMail, pathAndArgs(path, args), noMail, quietMail)
}

// Rcpt tells of a recipient.
func (s *Session) Rcpt(path string, args []string) (Answer, error) {
	return s.step("rcpt", cmdRcpt, AtRcpt, pathAndArgs(path, args), noRcpt, quietRcpt)
}

func pathAndArgs(path string, args []string) []byte {
	b := appendString(nil, path)
	for _, a := range args {
		b = appendString(b, a)
	}
	return b
}

// Data tells of DATA.
func (s *Session) Data() (Answer, error) {
	if s.agreed.version < versionData {
		return Answer{Action: Continue}, nil
	}
	return s.step("data", cmdData, AtData, nil, noData, quietData)
}

// Unknown tells of a command that the server does not know.
func (s *Session) Unknown(line string) (Answer, error) {
	if s.agreed.version < versionUnknown {
		return Answer{Action: Continue}, nil
	}
	return s.step("unknown", cmdUnknown, stages, appendString(nil, line), noUnknown, quietUnknown)
}

// Header tells of a header field. value is everything behind the colon, with LF
// alone for line ends inside it and none at its end. A field longer than a packet
// is cut.
func (s *Session) Header(name, value string) (Answer, error) {
	if !s.HeaderSpace() && value != "" && value[0] == ' ' {
		value = value[1:]
	}
	name = name[:min(len(name), MaxData/2)]
	value = value[:min(len(value), MaxData-len(name)-3)]
	b := make([]byte, 0, len(name)+len(value)+2)
	return s.step("header", cmdHeader, stages, appendString(appendString(b, name), value), noHeaders, quietHeaders)
}

// EndOfHeaders tells of the empty line.
func (s *Session) EndOfHeaders() (Answer, error) {
	return s.step("end of headers", cmdEOH, AtEndOfHeaders, nil, noEndOfHeaders, quietEOH)
}

// WantsBody is false when Body would send nothing.
func (s *Session) WantsBody() bool { return !s.skipped && !s.agreed.has(noBody) }

// Body gives at most MaxData octets of the body.
func (s *Session) Body(p []byte) (Answer, error) {
	if s.skipped {
		return Answer{Action: Continue}, nil
	}
	a, err := s.step("body", cmdBody, stages, p, noBody, quietBody)
	if a.Action == Skip {
		s.skipped, a.Action = true, Continue
	}
	return a, err
}

// End ends the message and waits for the verdict. Each modification is handed to
// modify before the next is read; an error of modify ends the wait and is
// returned as it is.
func (s *Session) End(modify func(Modification) error) (Answer, error) {
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
		a, again, err := parseAnswer("end", command, data)
		if err != nil || !again {
			s.begun = err != nil
			return a, err
		}
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

// step sends a command with its macros and reads the answer, as far as the filter
// wants the one and gives the other.
func (s *Session) step(op string, command byte, stage Stage, data []byte, unwanted, quiet uint32) (Answer, error) {
	if s.agreed.has(unwanted) {
		return Answer{Action: Continue}, nil
	}
	if len(data) > MaxData {
		data = data[:MaxData]
	}
	s.queueMacros(stage, command)
	s.queue(command, data)
	if s.agreed.has(quiet) {
		if len(s.out) < maxPending {
			return Answer{Action: Continue}, nil
		}
		return Answer{Action: Continue}, s.flush(op, s.o.Command)
	}
	if err := s.flush(op, s.o.Command); err != nil {
		return Answer{}, err
	}
	for {
		command, data, err := s.read(s.o.Command)
		if err != nil {
			return Answer{}, failure(op, s.lost(), err)
		}
		if a, again, err := parseAnswer(op, command, data); err != nil || !again {
			return a, err
		}
	}
}

// lost is what a filter is that hangs up now.
func (s *Session) lost() Kind {
	if s.begun {
		return Lost
	}
	return Unreachable
}

func (s *Session) queueMacros(stage Stage, command byte) {
	if stage < stages {
		if m := s.macroPacket(stage, command); m != nil {
			s.queue(cmdMacros, m)
		}
	}
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

// read waits for a packet. Its data is good until the next read.
func (s *Session) read(limit time.Duration) (command byte, data []byte, err error) {
	if err := s.deadline(limit); err != nil {
		return 0, nil, err
	}
	command, data, s.in, err = readPacket(s.r, s.in)
	return command, data, err
}

func (s *Session) deadline(limit time.Duration) error {
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	return s.ctx.Err() // after it: either this sees the end, or the end cuts the deadline
}
