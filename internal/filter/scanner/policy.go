package scanner

import (
	"strings"

	"mtad/filterproto"
)

// Policy is what a find is turned into.
type Policy string

// The policies.
const (
	Reject     Policy = "reject"     // 5xx to a waiting client, failed DSN otherwise
	Quarantine Policy = "quarantine" // held, with the marks
	Discard    Policy = "discard"    // gone without a word
	Mark       Policy = "mark"       // goes on, with the marks
)

// Find is a message that a scanner found something in.
type Find struct {
	// Text tells the sender why, in one line; it may quote the scanner.
	Text string
	// Reason is for people here.
	Reason string
	// Marks are the edits of a message that stays.
	Marks []filterproto.Edit
}

// Verdict is the policy carried out.
func (p Policy) Verdict(f Find) filterproto.Verdict {
	v := filterproto.Verdict{Disposition: filterproto.Reject, Reason: Clean(f.Reason, maxReason)}
	switch p {
	case Discard:
		v.Disposition = filterproto.Discard
	case Quarantine:
		v.Disposition, v.Edits = filterproto.Accept, f.Marks
		v.Quarantine = &filterproto.Quarantine{Reason: v.Reason}
	case Mark:
		v.Disposition, v.Edits = filterproto.Accept, f.Marks
	default:
		v.Reply = &filterproto.Reply{Code: 554, Enhanced: "5.7.1", Text: Clean(f.Text, filterproto.MaxReplyText)}
	}
	return v
}

// maxReason bounds a reason; filterproto allows a little more.
const maxReason = 900

// Clean makes one line of printable US-ASCII of at most n octets out of what a
// scanner wrote.
func Clean(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(s)))
}
