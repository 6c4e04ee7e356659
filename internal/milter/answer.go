package milter

import (
	"fmt"
	"strings"

	"mtad/internal/smtp"
)

// Action is what a filter wants done.
type Action byte

// The actions.
const (
	Continue Action = 'c'
	Accept   Action = 'a' // without any more questions
	Reject   Action = 'r'
	Tempfail Action = 't'
	Discard  Action = 'd'
	Skip     Action = 's' // see no more of what was shown just now
	Shutdown Action = '4' // end the SMTP session with 421
)

// Answers that are not actions of their own.
const (
	ansReply    = 'y'
	ansProgress = 'p'
	ansConnFail = 'f'
)

// Answer is a filter's answer to a command.
type Answer struct {
	Action Action
	// Reply is the filter's own, with Reject (5yz) and Tempfail (4yz); the zero
	// Reply when it gave none.
	Reply smtp.Reply
}

// Through says that the dialogue goes on.
func (a Answer) Through() bool { return a.Action == Continue || a.Action == Skip }

func parseAnswer(op string, command byte, data []byte) (Answer, error) {
	switch command {
	case ansReply:
		return parseReply(op, data)
	case ansConnFail:
		return Answer{Action: Tempfail}, nil
	case byte(Continue), byte(Accept), byte(Reject), byte(Tempfail), byte(Discard), byte(Skip), byte(Shutdown):
		return Answer{Action: Action(command)}, nil
	}
	return Answer{}, protocolError(op, fmt.Sprintf("answer %q", command))
}

// maxReply bounds the text of a filter's reply, in octets.
const maxReply = 32 << 10

// parseReply reads "550 5.7.1 text", which may have more lines, as SMTP has them.
// A percent sign is doubled on the wire.
func parseReply(op string, data []byte) (Answer, error) {
	list, ok := cutStrings(data, 1, 1)
	if !ok || len(list[0]) > maxReply {
		return Answer{}, protocolError(op, "bad reply")
	}
	var r smtp.Reply
	var lines []string
	text := strings.TrimRight(strings.ReplaceAll(list[0], "%%", "%"), "\r\n")
	for line := range strings.SplitSeq(text, "\n") {
		l, ok := smtp.Parse(joint(strings.TrimRight(line, "\r")))
		if !ok || r.Code != 0 && l.Code != r.Code {
			return Answer{}, protocolError(op, "bad reply")
		}
		if lines == nil {
			r = l
		} else if l.Enhanced != r.Enhanced && l.Enhanced != "" {
			l.Text = l.Enhanced + " " + l.Text
		}
		lines = append(lines, l.Text)
	}
	if len(lines) > smtp.MaxReplyLines {
		lines = lines[:smtp.MaxReplyLines]
	}
	r.Text = strings.Join(lines, "\n")
	switch {
	case r.Permanent():
		return Answer{Action: Reject, Reply: r}, nil
	case r.Transient():
		return Answer{Action: Tempfail, Reply: r}, nil
	}
	return Answer{}, protocolError(op, fmt.Sprintf("reply code %d", r.Code))
}

// joint turns the hyphen of a line that is followed by others into a space.
func joint(line string) string {
	if len(line) > 3 && line[3] == '-' {
		return line[:3] + " " + line[4:]
	}
	return line
}
