package smtpclient

import (
	"bufio"
	"bytes"
	"errors"
	"strings"

	"mtad/internal/smtp"
)

// Bounds of a reply. RFC 5321 §4.5.3.1.5 gives a line 512 octets; peers send
// more. Text beyond maxText is dropped, lines beyond maxLines are an error.
const (
	maxLine  = 4096
	maxLines = 200
	maxText  = 4096
)

// readReply reads one reply of one or more lines. A line may end with LF alone:
// the sense is clear, and peers that do so exist.
func readReply(r *bufio.Reader) (smtp.Reply, error) {
	var reply smtp.Reply
	var text []byte
	for n := 0; n < maxLines; n++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return smtp.Reply{}, ErrTooLong
		}
		if err != nil {
			return smtp.Reply{}, err
		}
		code, more, rest, ok := splitLine(line)
		if !ok || n > 0 && code != reply.Code {
			return smtp.Reply{}, ErrProtocol
		}
		reply.Code = code
		enhanced, rest := cutEnhanced(code, rest)
		if n == 0 {
			reply.Enhanced = enhanced
		} else if len(text) < maxText {
			text = append(text, '\n')
		}
		text = append(text, rest[:min(len(rest), maxText-min(len(text), maxText))]...)
		if !more {
			reply.Text = clean(text)
			return reply, nil
		}
	}
	return smtp.Reply{}, ErrTooLong
}

// splitLine reads "250-text" or "250 text" or "250".
func splitLine(line []byte) (code int, more bool, text []byte, ok bool) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) < 3 {
		return 0, false, nil, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, nil, false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, nil, false
	}
	if len(line) == 3 {
		return code, false, nil, true
	}
	return code, line[3] == '-', line[4:], line[3] == '-' || line[3] == ' '
}

// cutEnhanced takes an enhanced status code off a line (RFC 2034 §4: on each
// line, of the same class as the reply).
func cutEnhanced(code int, line []byte) (string, []byte) {
	end := bytes.IndexByte(line, ' ')
	if end < 0 {
		end = len(line)
	}
	if end < 5 || end > 9 || int(line[0]-'0') != code/100 || !smtp.ValidEnhanced(string(line[:end])) {
		return "", line
	}
	return string(line[:end]), line[min(end+1, len(line)):]
}

// clean makes text fit to be kept: valid UTF-8 without control characters other
// than the \n between lines.
func clean(text []byte) string {
	for _, c := range text {
		if c < ' ' && c != '\n' || c >= 0x7f {
			return cleanCopy(string(text))
		}
	}
	return string(text)
}

func cleanCopy(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
