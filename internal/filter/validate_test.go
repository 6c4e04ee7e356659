package filter

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/queue"
)

func many[T any](n int, v T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func TestValidateAtEachBoundAndOnePast(t *testing.T) {
	reply := func(code int, enhanced, text string) filterproto.Verdict {
		return filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: code, Enhanced: enhanced, Text: text}}
	}
	edit := func(e filterproto.Edit) filterproto.Verdict { return accept(e) }
	ok := "" // no error
	for _, c := range []struct {
		name  string
		v     filterproto.Verdict
		code  string
		field string
	}{
		{"nothing", filterproto.Verdict{}, CodeInvalid, "disposition"},
		{"unknown disposition", verdict("maybe"), CodeInvalid, "disposition"},
		{"accept", accept(), ok, ""},
		{"reply with accept", filterproto.Verdict{Disposition: filterproto.Accept, Reply: &filterproto.Reply{Code: 550}}, CodeInvalid, "reply"},
		{"4yz with reject", reply(450, "", ""), CodeInvalid, "reply.code"},
		{"599 is no code", reply(599, "", ""), CodeInvalid, "reply.code"},
		{"550", reply(550, "5.7.1", "no"), ok, ""},
		{"class of the enhanced code", reply(550, "4.7.1", "no"), CodeInvalid, "reply.enhanced"},
		{"shape of the enhanced code", reply(550, "5.07.1", "no"), CodeInvalid, "reply.enhanced"},
		{"two lines", reply(550, "", "a\r\n250 ok"), CodeInvalid, "reply.text"},
		{"longest text", reply(550, "", strings.Repeat("x", filterproto.MaxReplyText)), ok, ""},
		{"text too long", reply(550, "", strings.Repeat("x", filterproto.MaxReplyText+1)), CodeTooLarge, "reply.text"},
		{"most edits", filterproto.Verdict{Disposition: filterproto.Accept, Edits: many(filterproto.MaxEdits, add("X", "y"))}, ok, ""},
		{"one edit more", filterproto.Verdict{Disposition: filterproto.Accept, Edits: many(filterproto.MaxEdits+1, add("X", "y"))}, CodeTooLarge, "edits"},
		{"bad edits with discard are refused too", filterproto.Verdict{Disposition: filterproto.Discard, Edits: []filterproto.Edit{{Op: "x"}}}, CodeInvalid, "edits[0].op"},
		{"longest value", edit(add("X", strings.Repeat("v", filterproto.MaxValue))), ok, ""},
		{"value too long", edit(add("X", strings.Repeat("v", filterproto.MaxValue+1))), CodeTooLarge, "edits[0].value"},
		{"largest inline body", edit(body(strings.Repeat("b", filterproto.MaxInlineBody))), ok, ""},
		{"inline body too large", edit(body(strings.Repeat("b", filterproto.MaxInlineBody+1))), CodeTooLarge, "edits[0].body"},
		{"inline bodies too large together", accept(body(strings.Repeat("b", filterproto.MaxInlineBody)), body("b")), CodeTooLarge, "edits[1].body"},
		{"empty name", edit(add("", "x")), CodeInvalid, "edits[0].name"},
		{"colon in the name", edit(add("A:B", "x")), CodeInvalid, "edits[0].name"},
		{"space in the name", edit(add("A B", "x")), CodeInvalid, "edits[0].name"},
		{"8-bit name", edit(add("\xc3\xa4", "x")), CodeInvalid, "edits[0].name"},
		{"line end in the name", edit(remove(1, "A\r\nB")), CodeInvalid, "edits[0].name"},
		{"name too long", edit(add(strings.Repeat("n", maxFieldName+1), "x")), CodeTooLarge, "edits[0].name"},
		{"new field in a value", edit(add("X", "a\r\nBcc: b")), CodeInvalid, "edits[0].value"},
		{"new field after a bare LF", edit(add("X", "a\nBcc: b")), CodeInvalid, "edits[0].value"},
		{"bare CR", edit(add("X", "a\rBcc: b")), CodeInvalid, "edits[0].value"},
		{"bare CR before white space", edit(add("X", "a\r b")), CodeInvalid, "edits[0].value"},
		{"end of the header section in a value", edit(add("X", "a\r\n\r\nbody")), CodeInvalid, "edits[0].value"},
		{"line of white space", edit(add("X", "a\r\n \r\n b")), CodeInvalid, "edits[0].value"},
		{"line end last", edit(add("X", "a\r\n")), CodeInvalid, "edits[0].value"},
		{"line of white space last", edit(add("X", "a\n\t")), CodeInvalid, "edits[0].value"},
		{"NUL", edit(add("X", "a\x00")), CodeInvalid, "edits[0].value"},
		{"folds", edit(add("X", "a\r\n b\n\tc")), ok, ""},
		{"fold first", edit(add("X", "\r\n b")), ok, ""},
		{"negative index", edit(insert(-1, "X", "y")), CodeInvalid, "edits[0].index"},
		{"value where none is used", edit(filterproto.Edit{Op: filterproto.HeaderDelete, Name: "X", Value: "y"}), CodeInvalid, "edits[0].value"},
		{"name where none is used", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Name: "X", Value: "y@z"}), CodeInvalid, "edits[0].name"},
		{"body where none is used", edit(filterproto.Edit{Op: filterproto.HeaderAdd, Name: "X", Body: []byte("y")}), CodeInvalid, "edits[0].body"},
		{"upload where none is used", edit(filterproto.Edit{Op: filterproto.HeaderAdd, Name: "X", Upload: "1"}), CodeInvalid, "edits[0].upload"},
		{"index where none is used", edit(filterproto.Edit{Op: filterproto.HeaderAdd, Name: "X", Index: 1}), CodeInvalid, "edits[0].index"},
		{"empty message", edit(filterproto.Edit{Op: filterproto.MessageReplace}), CodeInvalid, "edits[0].body"},
		{"body and upload", edit(filterproto.Edit{Op: filterproto.BodyReplace, Body: []byte("x"), Upload: "1"}), CodeInvalid, "edits[0].upload"},
		{"upload that is no number", edit(filterproto.Edit{Op: filterproto.BodyReplace, Upload: "x"}), CodeUpload, "edits[0].upload"},
		{"the received message is no upload", edit(filterproto.Edit{Op: filterproto.BodyReplace, Upload: "0"}), CodeUpload, "edits[0].upload"},
		{"upload with a sign", edit(filterproto.Edit{Op: filterproto.BodyReplace, Upload: "+1"}), CodeUpload, "edits[0].upload"},
		{"header edit after an uploaded message", accept(filterproto.Edit{Op: filterproto.MessageReplace, Upload: "1"}, add("X", "y")), CodeInvalid, "edits[1].op"},
		{"null reverse-path", edit(filterproto.Edit{Op: filterproto.ReversePathSet}), ok, ""},
		{"command in the reverse-path", edit(filterproto.Edit{Op: filterproto.ReversePathSet, Value: "a@b>\r\nRCPT TO:<c"}), CodeInvalid, "edits[0].value"},
		{"brackets in a recipient", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Value: "<a@b>"}), CodeInvalid, "edits[0].value"},
		{"no recipient", edit(filterproto.Edit{Op: filterproto.RecipientAdd}), CodeInvalid, "edits[0].value"},
		{"two addresses", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Value: "a@b,c@d"}), CodeInvalid, "edits[0].value"},
		{"source route", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Value: "@a:b@c"}), CodeInvalid, "edits[0].value"},
		{"quoted local-part", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Value: `"a b\"@"@example.org`}), ok, ""},
		{"address literal", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Value: "a@[IPv6:::1]"}), ok, ""},
		{"path too long", edit(filterproto.Edit{Op: filterproto.RecipientAdd, Value: "a@" + strings.Repeat("b", maxPath-1)}), CodeTooLarge, "edits[0].value"},
		{"score", filterproto.Verdict{Disposition: filterproto.Accept, Score: math.Inf(1)}, CodeInvalid, "score"},
		{"most symbols", filterproto.Verdict{Disposition: filterproto.Accept, Symbols: many(filterproto.MaxSymbols, "S")}, ok, ""},
		{"a symbol more", filterproto.Verdict{Disposition: filterproto.Accept, Symbols: many(filterproto.MaxSymbols+1, "S")}, CodeTooLarge, "symbols"},
		{"symbol too long", filterproto.Verdict{Disposition: filterproto.Accept, Symbols: []string{strings.Repeat("s", maxSymbol+1)}}, CodeTooLarge, "symbols[0]"},
		{"control in a symbol", filterproto.Verdict{Disposition: filterproto.Accept, Symbols: []string{"a\x1b[0m"}}, CodeInvalid, "symbols[0]"},
		{"reason too long", filterproto.Verdict{Disposition: filterproto.Accept, Reason: strings.Repeat("r", queue.MaxText+1)}, CodeTooLarge, "reason"},
		{"reason not UTF-8", filterproto.Verdict{Disposition: filterproto.Accept, Reason: "\xff"}, CodeInvalid, "reason"},
		{"retry in the past", filterproto.Verdict{Disposition: filterproto.Defer, RetryAfter: -1}, CodeInvalid, "retry_after"},
		{"retry too late", filterproto.Verdict{Disposition: filterproto.Defer, RetryAfter: maxRetryAfter + 1}, CodeInvalid, "retry_after"},
		{"quarantine for less than nothing", filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Seconds: -1}}, CodeInvalid, "quarantine.seconds"},
		{"quarantine reason too long", filterproto.Verdict{Disposition: filterproto.Accept, Quarantine: &filterproto.Quarantine{Reason: strings.Repeat("r", queue.MaxText+1)}}, CodeTooLarge, "quarantine.reason"},
		{"recipient verdict for nobody", filterproto.Verdict{Disposition: filterproto.Accept, Recipients: []filterproto.RecipientVerdict{{Verdict: accept()}}}, CodeInvalid, "recipients[0].recipients"},
		{"recipient named twice", filterproto.Verdict{Disposition: filterproto.Accept, Recipients: many(2, filterproto.RecipientVerdict{Recipients: []string{"a@b"}, Verdict: accept()})}, CodeInvalid, "recipients[1].recipients[0]"},
		{"nested recipients", filterproto.Verdict{Disposition: filterproto.Accept, Recipients: []filterproto.RecipientVerdict{{Recipients: []string{"a@b"}, Verdict: filterproto.Verdict{Disposition: filterproto.Accept, Recipients: many(1, filterproto.RecipientVerdict{})}}}}, CodeInvalid, "recipients[0].verdict.recipients"},
		{"fault inside", filterproto.Verdict{Disposition: filterproto.Accept, Recipients: []filterproto.RecipientVerdict{{Recipients: []string{"a@b"}, Verdict: accept(add("X", "\n"))}}}, CodeInvalid, "recipients[0].verdict.edits[0].value"},
		{"too many recipient verdicts", filterproto.Verdict{Disposition: filterproto.Accept, Recipients: many(maxParts+1, filterproto.RecipientVerdict{Recipients: []string{"a@b"}, Verdict: accept()})}, CodeTooLarge, "recipients"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Validate(c.v)
			var v *VerdictError
			switch {
			case c.code == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.code != "" && (!errors.As(err, &v) || v.Code != c.code || v.Field != c.field):
				t.Errorf("got %v, want %s at %s", err, c.code, c.field)
			}
		})
	}
}

// A verdict that is accepted adds the fields it names to a message and no others,
// and never touches the body.
func FuzzVerdict(f *testing.F) {
	for _, v := range []filterproto.Verdict{accept(add("X", "a\r\n b"), insert(1, "Y", "\tz")), accept(change(1, "Subject", "x")), verdict(filterproto.Defer)} {
		b, _ := json.Marshal(v)
		f.Add(b)
	}
	f.Add([]byte(`{"disposition":"accept","edits":[{"op":"header_add","name":"X","value":"a\r\nY: b"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v filterproto.Verdict
		if json.Unmarshal(b, &v) != nil || Validate(v) != nil {
			return
		}
		s, rest := sectionOf(plain)
		n := len(s.fields)
		for _, e := range v.Edits {
			if e.Op == filterproto.HeaderAdd || e.Op == filterproto.HeaderInsert {
				s.apply(e)
				n++
			}
		}
		out := string(s.bytes()) + rest
		again, restAgain := sectionOf(out)
		if len(again.fields) != n || restAgain != rest {
			t.Fatalf("%d fields, want %d, in %q", len(again.fields), n, out)
		}
		for _, path := range paths(v) {
			if strings.ContainsAny(path, "\r\n\x00") {
				t.Fatalf("path %q", path)
			}
		}
		if r := v.Reply; r != nil {
			if line := replyLine(r, defaultReject); strings.ContainsAny(line, "\r\n") || len(line) > queue.MaxText {
				t.Fatalf("reply %q", line)
			}
		}
	})
}

func paths(v filterproto.Verdict) (out []string) {
	for _, e := range v.Edits {
		switch e.Op {
		case filterproto.ReversePathSet, filterproto.RecipientAdd, filterproto.RecipientDelete:
			out = append(out, e.Value)
		}
	}
	return out
}
