package smtp

import (
	"strconv"
	"strings"
)

// Verb is a command of RFC 5321, RFC 3030, RFC 3207 or of Postfix's XCLIENT and
// XFORWARD documents.
type Verb uint8

// The verbs. Unknown is anything else.
const (
	Unknown Verb = iota
	HELO
	EHLO
	MAIL
	RCPT
	DATA
	BDAT
	RSET
	NOOP
	QUIT
	VRFY
	HELP
	STARTTLS
	XCLIENT
	XFORWARD
	AUTH
	EXPN
	ETRN
	NumVerbs
)

var verbNames = [NumVerbs]string{"unknown", "HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT",
	"VRFY", "HELP", "STARTTLS", "XCLIENT", "XFORWARD", "AUTH", "EXPN", "ETRN"}

func (v Verb) String() string {
	if v < NumVerbs {
		return verbNames[v]
	}
	return verbNames[Unknown]
}

// ParseCommand splits a command line, without its CRLF, into verb and argument.
// The argument keeps its octets; one space before it and white space at the end
// of the line are dropped (RFC 5321 §4.1.1).
func ParseCommand(line []byte) (v Verb, arg []byte) {
	n := 0
	for n < len(line) && line[n] != ' ' {
		n++
	}
	v = lookupVerb(line[:n])
	arg = line[n:]
	if len(arg) > 0 {
		arg = arg[1:]
	}
	for len(arg) > 0 && (arg[len(arg)-1] == ' ' || arg[len(arg)-1] == '\t') {
		arg = arg[:len(arg)-1]
	}
	return v, arg
}

func lookupVerb(word []byte) Verb {
	var up [8]byte
	if len(word) > len(up) {
		return Unknown
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	name := string(up[:len(word)])
	for v := HELO; v < NumVerbs; v++ {
		if verbNames[v] == name {
			return v
		}
	}
	return Unknown
}

// CutWord takes word and its colon off the front of a MAIL or RCPT argument,
// in any case: CutWord("from:<a@b>", "FROM") is "<a@b>".
func CutWord(arg, word string) (string, bool) {
	if len(arg) <= len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", false
	}
	rest := strings.TrimLeft(arg[len(word):], " ")
	if rest == "" || rest[0] != ':' {
		return "", false
	}
	return rest[1:], true
}

// ParseBdat reads the argument of BDAT (RFC 3030 §2).
func ParseBdat(arg string) (size int64, last, ok bool) {
	num, word, more := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(num, 10, 63)
	if err != nil || len(num) > 20 || more && !strings.EqualFold(word, "LAST") {
		return 0, false, false
	}
	return int64(n), more, true
}
