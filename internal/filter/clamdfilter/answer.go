package clamdfilter

import (
	"bytes"
	"strconv"
	"strings"

	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// maxAnswer bounds an answer, in octets.
const maxAnswer = 4 << 10

// parseAnswer reads "N: stream: OK", "N: stream: NAME FOUND" or "N: text ERROR"
// without its NUL. It returns the virus's name, "" when there is none.
func parseAnswer(line []byte, number int) (virus string, err error) {
	head, rest, ok := bytes.Cut(line, []byte(": "))
	if !ok || string(head) != strconv.Itoa(number) {
		return "", scanner.Protocol("want an answer to command %d, got %s", number, scanner.Quote(line))
	}
	if text, is := bytes.CutSuffix(rest, []byte(" ERROR")); is {
		return "", errorAnswer(text)
	}
	// What was scanned ("stream", "fd[7]") has no colon; a virus's name may.
	_, outcome, ok := bytes.Cut(rest, []byte(": "))
	if ok && string(outcome) == "OK" {
		return "", nil
	}
	name, found := bytes.CutSuffix(outcome, []byte(" FOUND"))
	if !ok || !found || len(name) == 0 {
		return "", scanner.Protocol("clamd's answer is neither OK, FOUND nor ERROR: %s", scanner.Quote(line))
	}
	return scanner.Clean(string(name), maxVirus), nil
}

// maxVirus bounds a virus's name in fields and replies.
const maxVirus = 200

// errorAnswer is clamd's complaint with its class. An error is never an accept.
func errorAnswer(text []byte) error {
	err := scanner.Protocol("clamd answers an error: %s", scanner.Quote(text))
	if strings.Contains(string(text), "size limit exceeded") {
		err.(*filter.Failure).Class = filter.OverSize
	}
	return err
}
