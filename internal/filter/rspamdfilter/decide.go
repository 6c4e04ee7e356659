package rspamdfilter

import (
	"fmt"

	"mtad/filterproto"
	"mtad/internal/filter/scanner"
)

// decide makes the verdict of an answer and the edits it came to.
func (f *Filter) decide(a answer, edits []filterproto.Edit) (filterproto.Verdict, error) {
	v := filterproto.Verdict{Disposition: filterproto.Accept, Edits: edits}
	text, _ := a.Messages["smtp_message"].(string)
	find := scanner.Find{
		Text: text, Marks: edits,
		Reason: fmt.Sprintf("rspamd: %s, score %.1f of %.1f", *a.Action, *a.Score, a.Required),
	}
	switch *a.Action {
	case "no action", "greylist", "add header", "rewrite subject":
	case "soft reject":
		if !a.Milter.NoAction {
			v = filterproto.Verdict{Disposition: filterproto.Defer, Reply: reply(451, "4.7.1", text, "try again later")}
		}
	case "reject":
		if !a.Milter.NoAction {
			find.Text = reply(554, "5.7.1", text, "spam message rejected").Text
			v = f.rejection(a).Verdict(find)
		}
	case "quarantine":
		if !a.Milter.NoAction {
			v = scanner.Quarantine.Verdict(find)
		}
	case "discard":
		if !a.Milter.NoAction {
			v = scanner.Discard.Verdict(find)
		}
	default:
		return v, scanner.Protocol("rspamd's action is %s", scanner.Quote([]byte(*a.Action)))
	}
	v.Score, v.Symbols, v.Reason = *a.Score, symbols(a), scanner.Clean(find.Reason, 900)
	return v, nil
}

// rejection is what the action reject means; rspamd may say otherwise for one
// message.
func (f *Filter) rejection(a answer) scanner.Policy {
	switch a.Milter.Reject {
	case "discard":
		return scanner.Discard
	case "quarantine":
		return scanner.Quarantine
	}
	return f.o.Reject
}

func reply(code int, enhanced, text, otherwise string) *filterproto.Reply {
	if text = scanner.Clean(text, filterproto.MaxReplyText); text == "" {
		text = otherwise
	}
	return &filterproto.Reply{Code: code, Enhanced: enhanced, Text: text}
}

// symbols are the names, as many as a verdict has room for.
func symbols(a answer) []string {
	var list []string
	room := 24 << 10
	for _, s := range a.Symbols {
		name := scanner.Clean(s.Name, 200)
		if room -= len(name); name == "" || room < 0 || len(list) == filterproto.MaxSymbols {
			break
		}
		list = append(list, name)
	}
	return list
}
