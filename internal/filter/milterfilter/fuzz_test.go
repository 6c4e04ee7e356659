package milterfilter

import (
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/smtp"
)

// FuzzFieldValue: whatever a milter puts into a header field, the field stays one.
func FuzzFieldValue(f *testing.F) {
	for _, v := range []string{"", "one", " one\n two", "\n", "a\r\nb: c", "a\n\n \n\t\nb", "\r", "a\rb\r\n\tc\n", "\n\n"} {
		f.Add(v, true)
		f.Add(v, false)
	}
	f.Fuzz(func(t *testing.T, v string, exact bool) {
		if strings.IndexByte(v, 0) >= 0 || len(v) > 20000 {
			t.Skip() // no string of the protocol has a NUL
		}
		c := collector{exact: exact}
		e := filterproto.Edit{Op: filterproto.HeaderAdd, Name: "X", Value: c.value(v), Exact: true}
		if err := filter.Validate(filterproto.Verdict{Disposition: filterproto.Accept, Edits: []filterproto.Edit{e}}); err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		squeeze := strings.NewReplacer("\r", "", "\n", "", " ", "", "\t", "")
		if squeeze.Replace(e.Value) != squeeze.Replace(v) {
			t.Fatalf("%q became %q", v, e.Value)
		}
	})
}

// FuzzRefusal: whatever reply a milter gives, the verdict is one that is taken.
func FuzzRefusal(f *testing.F) {
	f.Add(550, "5.7.1", "no")
	f.Add(599, "5.07.1", "two\nlines\x01\xff")
	f.Add(421, "", "")
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		r, ok := smtp.Parse(smtp.Reply{Code: code, Enhanced: enhanced, Text: text}.String())
		if !ok || !r.Permanent() && !r.Transient() {
			t.Skip() // refused by the wire client
		}
		r.Text += "\n" + text
		a := milter.Answer{Action: milter.Reject, Reply: r}
		if r.Transient() {
			a.Action = milter.Tempfail
		}
		if err := filter.Validate(refusal(a)); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
	})
}
