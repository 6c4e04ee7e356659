package spamdfilter

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Bounds of an answer's head.
const (
	maxLine    = 1 << 10 // octets
	maxFields  = 32
	exTimeout  = 79 // spamd's own time for the message was over
	maxPayload = 1 << 40
)

// answer is the head of spamd's answer to a message.
type answer struct {
	spam            bool
	score, required float64
	length          int64 // of the payload
}

// readAnswer reads the head; the payload follows in r.
func readAnswer(r *bufio.Reader) (answer, error) {
	line, err := readLine(r)
	if err != nil {
		return answer{}, err
	}
	if err := checkStatus(line); err != nil {
		return answer{}, err
	}
	a := answer{length: -1, score: math.NaN()}
	for range maxFields {
		line, err := readLine(r)
		if err != nil {
			return a, err
		}
		if line == "" {
			return a, a.complete()
		}
		if err := a.field(line); err != nil {
			return a, err
		}
	}
	return a, scanner.Protocol("spamd's answer has more than %d fields", maxFields)
}

// readLine reads up to LF; an end within a line is io.ErrUnexpectedEOF.
func readLine(r *bufio.Reader) (string, error) {
	b, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(b) > maxLine:
		return "", scanner.Protocol("spamd's answer has a line longer than %d octets", maxLine)
	case err == io.EOF && len(b) > 0:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(b[:len(b)-1]), "\r"), nil
}

// checkStatus takes "SPAMD/1.1 0 EX_OK" and nothing else.
func checkStatus(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, text, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	switch {
	case !strings.HasPrefix(version, "SPAMD/") || err != nil:
		return scanner.Protocol("this is not spamd: %s", scanner.Quote([]byte(line)))
	case n == exTimeout:
		f := scanner.Protocol("spamd: time is over")
		f.(*filter.Failure).Class = filter.Timeout
		return f
	case n != 0 || text != "EX_OK":
		return scanner.Protocol("spamd answers %s", scanner.Quote([]byte(rest)))
	}
	return nil
}

func (a *answer) field(line string) (err error) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case !ok:
		return scanner.Protocol("spamd's answer has a line that is no field: %s", scanner.Quote([]byte(line)))
	case strings.EqualFold(name, "Content-length"):
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || a.length >= 0 || n > maxPayload {
			return scanner.Protocol("spamd's Content-length is %s", scanner.Quote([]byte(value)))
		}
		a.length = int64(n)
	case strings.EqualFold(name, "Spam"):
		if !math.IsNaN(a.score) {
			return scanner.Protocol("spamd answers Spam twice")
		}
		return a.verdict(value)
	}
	return nil
}

// verdict reads "True ; 1001.3 / 5.0".
func (a *answer) verdict(value string) error {
	word, numbers, ok := strings.Cut(value, ";")
	score, required, ok2 := strings.Cut(numbers, "/")
	var err1, err2 error
	a.score, err1 = strconv.ParseFloat(strings.TrimSpace(score), 64)
	a.required, err2 = strconv.ParseFloat(strings.TrimSpace(required), 64)
	switch strings.TrimSpace(word) {
	case "True", "Yes":
		a.spam = true
	case "False", "No":
	default:
		ok = false
	}
	if !ok || !ok2 || err1 != nil || err2 != nil || !finite(a.score) || !finite(a.required) {
		return scanner.Protocol("spamd's verdict is %s", scanner.Quote([]byte(value)))
	}
	return nil
}

func finite(f float64) bool { return !math.IsNaN(f) && math.Abs(f) < 1e9 }

// complete reports what is missing.
func (a *answer) complete() error {
	if math.IsNaN(a.score) {
		return scanner.Protocol("spamd's answer has no Spam field")
	}
	if a.length < 0 {
		return scanner.Protocol("spamd's answer has no Content-length")
	}
	return nil
}

// payload reads exactly as many octets as were announced: fewer are
// io.ErrUnexpectedEOF, more are none of it.
type payload struct {
	r    *bufio.Reader
	left int64
}

func (p *payload) Read(b []byte) (int, error) {
	if p.left == 0 {
		if _, err := p.r.ReadByte(); err != io.EOF {
			if err == nil {
				err = scanner.Protocol("spamd sends more than it announced")
			}
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if err == io.EOF && p.left > 0 {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}
