package milter

import "encoding/binary"

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
	s.begun, s.skipped, s.continued = true, false, false
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

// step sends a command with its macros and reads the answer, as far as the filter
// wants the one and gives the other.
func (s *Session) step(op string, command byte, stage Stage, data []byte, unwanted, quiet uint32) (Answer, error) {
	if s.agreed.has(unwanted) {
		return Answer{Action: Continue}, nil
	}
	if len(data) > MaxData {
		data = data[:MaxData]
	}
	if err := s.turn(op); err != nil {
		return Answer{}, err
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
	command, data, err := s.read(s.o.Command)
	if err != nil {
		return Answer{}, failure(op, s.lost(), err)
	}
	return parseAnswer(op, command, data)
}

// lost is what a filter is that hangs up now.
func (s *Session) lost() Kind {
	if s.begun {
		return Lost
	}
	return Unreachable
}
