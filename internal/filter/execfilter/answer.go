package execfilter

import (
	"fmt"
	"strconv"
	"strings"

	"mtad/filterproto"
)

// Answer is what an exit status means.
type Answer string

// The answers.
const (
	Accept     Answer = "accept"
	Reject     Answer = "reject"
	Discard    Answer = "discard"
	Defer      Answer = "defer"      // try later
	Quarantine Answer = "quarantine" // accept and hold
	// Unknown: the status says nothing; a failure of class filter.Protocol, whose
	// default is to try later.
	Unknown Answer = "unknown"
)

// Answers lists those that Options.Exit may name.
var Answers = [...]Answer{Accept, Reject, Discard, Defer, Quarantine, Unknown}

func (a Answer) valid() bool {
	for _, x := range Answers {
		if a == x {
			return true
		}
	}
	return false
}

// Exit statuses with a meaning: sysexits.h, and the 99 of many scanners.
const (
	exitFirst       = 64 // EX_USAGE
	exitData        = 65
	exitNoUser      = 67
	exitUnavailable = 69
	exitOSErr       = 71
	exitNoPerm      = 77
	exitLast        = 78 // EX_CONFIG
	exitDiscard     = 99
)

// DefaultAnswer is the meaning of an exit status that Options.Exit does not
// name: 0 accepts, 99 discards, 65 (EX_DATAERR), 67 (EX_NOUSER), 69
// (EX_UNAVAILABLE) and 77 (EX_NOPERM) reject. The other sysexits, 64 to 78, tell
// of trouble that is the program's own (no configuration, no memory, no
// connection) and not the message's: try later. No other says anything.
func DefaultAnswer(code int) Answer {
	switch {
	case code == 0:
		return Accept
	case code == exitDiscard:
		return Discard
	case code == exitData, code == exitNoUser, code == exitUnavailable, code == exitNoPerm:
		return Reject
	case code >= exitFirst && code <= exitLast:
		return Defer
	}
	return Unknown
}

func (f *Filter) answer(code int) Answer {
	if a, ok := f.o.Exit[code]; ok {
		return a
	}
	return DefaultAnswer(code)
}

// ParseExit reads "CODE=ANSWER".
func ParseExit(s string) (code int, a Answer, err error) {
	left, right, _ := strings.Cut(s, "=")
	n, err := strconv.ParseUint(left, 10, 8)
	if err != nil || !Answer(right).valid() {
		return 0, "", fmt.Errorf("execfilter: %q is not CODE=ANSWER", s)
	}
	return int(n), Answer(right), nil
}

// verdict makes an answer a verdict. reason is for people.
func (a Answer) verdict(reason string, edits []filterproto.Edit) filterproto.Verdict {
	v := filterproto.Verdict{Disposition: filterproto.Disposition(a), Reason: reason}
	switch a {
	case Quarantine:
		v.Disposition, v.Quarantine = filterproto.Accept, &filterproto.Quarantine{Reason: "quarantine"}
		v.Edits = edits
	case Accept:
		v.Edits = edits
	}
	return v
}
