package milterfilter

import (
	"reflect"
	"strings"

	"mtad/filterproto"
	"mtad/internal/milter"
	"mtad/internal/smtp"
)

// verdict is what an answer means for everybody who was not refused before.
func (r *replay) verdict(a milter.Answer) filterproto.Verdict {
	v := filterproto.Verdict{Disposition: filterproto.Accept}
	switch a.Action {
	case milter.Reject, milter.Tempfail, milter.Shutdown:
		v = refusal(a)
	case milter.Discard:
		v = filterproto.Verdict{Disposition: filterproto.Discard, Reason: "milter: discard"}
	default:
		v.Edits, v.Quarantine = r.edits.list, r.edits.quarantine
	}
	v.Recipients = r.refused
	return v
}

// maxRefusals is how many different refusals are kept apart: a verdict has bounds.
const maxRefusals = 500

// refuse gives a recipient a verdict of its own, together with others that got the
// same. Beyond maxRefusals it gets the first one of its kind.
func (r *replay) refuse(path string, v filterproto.Verdict) {
	for i := range r.refused {
		o := &r.refused[i]
		same := o.Verdict.Reason == v.Reason && reflect.DeepEqual(o.Verdict.Reply, v.Reply)
		if o.Verdict.Disposition == v.Disposition && (same || len(r.refused) >= maxRefusals) {
			o.Recipients = append(o.Recipients, path)
			return
		}
	}
	r.refused = append(r.refused, filterproto.RecipientVerdict{Recipients: []string{path}, Verdict: v})
}

// nobody is the verdict when every recipient was refused.
func (r *replay) nobody() filterproto.Verdict {
	v := r.refused[0].Verdict
	v.Recipients = r.refused[1:]
	return v
}

// refusal is a verdict of a negative answer.
func refusal(a milter.Answer) filterproto.Verdict {
	v := filterproto.Verdict{Disposition: filterproto.Reject, Reason: "milter: reject"}
	if a.Action != milter.Reject {
		v = filterproto.Verdict{Disposition: filterproto.Defer, Reason: "milter: tempfail"}
	}
	if !a.Reply.IsZero() {
		v.Reply = replyOf(a.Reply)
		v.Reason = "milter: " + v.Reply.Text
	}
	return v
}

// replyOf makes a milter's reply one that a verdict takes: one line of US-ASCII,
// codes as RFC 5321 §4.2 and RFC 3463 §2 have them.
func replyOf(r smtp.Reply) *filterproto.Reply {
	out := &filterproto.Reply{Code: r.Code, Enhanced: r.Enhanced}
	if r.Code/10%10 > 5 {
		out.Code = r.Code/100*100 + 50
	}
	if hasLeadingZero(r.Enhanced) {
		out.Enhanced = ""
	}
	text := strings.Map(func(c rune) rune {
		switch {
		case c < ' ':
			return ' '
		case c > '~':
			return '?'
		}
		return c
	}, strings.ReplaceAll(r.Text, "\n", " "))
	out.Text = text[:min(len(text), filterproto.MaxReplyText)]
	return out
}

func hasLeadingZero(enhanced string) bool {
	for part := range strings.SplitSeq(enhanced, ".") {
		if len(part) > 1 && part[0] == '0' {
			return true
		}
	}
	return false
}
