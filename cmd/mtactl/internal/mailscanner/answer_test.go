package mailscanner

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"mtad/filterproto"
)

const testName = "0SADCGS0G0000_ABCDEFGH_1"

// memory is a claimed message in memory.
type memory struct {
	content string
	uploads []string
}

func (m *memory) Open(context.Context, bool) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(m.content)), nil
}

func (m *memory) Upload(_ context.Context, r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	m.uploads = append(m.uploads, string(b))
	return string(rune('0' + len(m.uploads) - 1)), err
}

// edited is what spec/filter.md §7 says the edits make of the content.
func (m *memory) edited(t testing.TB, edits []filterproto.Edit) string {
	t.Helper()
	text := m.content
	for _, e := range edits {
		cut, err := readMessage(reader(text))
		if err != nil {
			t.Fatal(err)
		}
		upload := func() string { return m.uploads[e.Upload[0]-'0'] }
		switch e.Op {
		case filterproto.HeaderInsert:
			field := []byte(e.Name + ":" + strings.ReplaceAll(strings.ReplaceAll(e.Value, "\r\n", "\n"), "\n", "\r\n") + "\r\n")
			cut.fields = slices.Insert(cut.fields, e.Index, field)
			text = cut.String()
		case filterproto.HeaderDelete:
			n := 0
			cut.fields = slices.DeleteFunc(cut.fields, func(f []byte) bool {
				if strings.EqualFold(string(f[:nameLen(f)]), e.Name) {
					n++
					return n == e.Index
				}
				return false
			})
			text = cut.String()
		case filterproto.BodyReplace:
			cut.body = reader(upload())
			text = cut.String()
		case filterproto.MessageReplace:
			text = upload()
		}
	}
	return text
}

func (m *message) String() string {
	for i, f := range m.fields {
		if f[len(f)-1] != '\n' && (i < len(m.fields)-1 || m.separated) {
			m.fields[i] = append(bytes.Clone(f), "\r\n"...)
		}
	}
	b, err := io.ReadAll(m.body)
	if err != nil {
		panic(err)
	}
	separator := ""
	if m.separated {
		separator = "\r\n"
	}
	return string(m.junk) + string(bytes.Join(m.fields, nil)) + separator + string(b)
}

func newSent(e *filterproto.Envelope) *sent {
	return &sent{newEnvelope(e), testName, preamble(testName, filterproto.ClientInfo{Address: "192.0.2.1"}, testTime)}
}

// exchangeFile is what the bridge writes for a message.
func exchangeFile(t testing.TB, e *sent, m *memory) string {
	t.Helper()
	var b strings.Builder
	w := writer(&b)
	e.write(w)
	_, _ = w.Write(e.preamble)
	_, _ = io.Copy(w, newNormal(strings.NewReader(m.content), toLF))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// asMailScanner writes it as MailScanner does that changes nothing.
func asMailScanner(file string) string {
	head, body, _ := strings.Cut(file, "\n\n")
	out := strings.TrimSuffix(head, "\n") + "\n\n"
	for line := range strings.Lines(body) {
		out += strings.TrimRight(line, "\r\n") + "\n"
	}
	return out
}

var oneRecipient = filterproto.Envelope{ReversePath: "a@example.org", Recipients: []filterproto.Recipient{{Path: "B@example.net"}}}

func TestUnchangedMessageNeedsNoEdit(t *testing.T) {
	for name, content := range map[string]string{
		"ordinary":             "Subject:  x \r\nA:b\r\n\tc \r\n\r\nbody\r\n\r\n",
		"no final line end":    "Subject: x\r\n\r\nbody",
		"no body":              "Subject: x\r\n\r\n",
		"header section alone": "Subject: x\r\n",
		"no header section":    "\r\nbody\r\n",
		"LF":                   "Subject: x\n\nbody\n",
		"odd CRs":              "Subject: x\r\r\n\r\nbo\rdy\r\r\n\r\n\rx\r",
		"mbox line":            "From a b\r\nSubject: x\r\n\r\nbody\r\n",
		"white space first":    " x\r\nSubject: x\r\n\r\nbody\r\n",
		"a line that is none":  "Subject: x\r\nno field\r\n\r\nbody\r\n",
		"envelope lines":       "O<x@example.com>\r\nS<y@example.com>\r\n\r\nbody\r\n",
		"eight bits and NUL":   "Subject: \xff\r\n\r\n\xe4\x00\xff\r\n",
		"long":                 "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("y", 70)+"\r\n", 3000),
		"long header section":  "X: " + strings.Repeat(strings.Repeat("y", 70)+"\r\n ", 20000) + "z\r\n\r\nbody\r\n",
	} {
		m, e := &memory{content: content}, newSent(&oneRecipient)
		edits, ok, err := readAnswer(t.Context(), e, m, strings.NewReader(asMailScanner(exchangeFile(t, e, m))))
		if err != nil || !ok || len(edits) > 0 {
			t.Errorf("%s: %v, %t, %v", name, edits, ok, err)
		}
	}
}

func TestChangesBecomeEdits(t *testing.T) {
	const content = "Subject: x\r\nDKIM-Signature: a\r\n\t b \r\nTo: c\r\n\r\nbody\r\n"
	sent := func(e *sent, m *memory) string { return asMailScanner(exchangeFile(t, e, m)) }
	for _, c := range []struct {
		name   string
		change func(string) string
		ops    string
		want   string
	}{
		{"field at the end", func(s string) string { return strings.Replace(s, "\n\n", "\nX-Scanned: yes\n\tand well\n\n", 1) }, "header_insert",
			"Subject: x\r\nDKIM-Signature: a\r\n\t b \r\nTo: c\r\nX-Scanned: yes\r\n\tand well\r\n\r\nbody\r\n"},
		{"field on top", func(s string) string { return strings.Replace(s, "Received:", "X-Scanned: yes\nReceived:", 1) }, "header_insert",
			"X-Scanned: yes\r\n" + content},
		{"changed subject", func(s string) string { return strings.Replace(s, "Subject: x", "Subject: {Spam?} x", 1) }, "header_delete header_insert",
			strings.Replace(content, "Subject: x", "Subject: {Spam?} x", 1)},
		{"removed field", func(s string) string { return strings.Replace(s, "To: c\n", "", 1) }, "header_delete",
			strings.Replace(content, "To: c\r\n", "", 1)},
		{"body", func(s string) string { return strings.Replace(s, "\n\nbody\n", "\n\nother\nbody\n", 1) }, "body_replace",
			strings.Replace(content, "\r\nbody", "\r\nother\r\nbody", 1)},
		{"preamble removed", func(s string) string {
			return s[:strings.Index(s, "Received:")] + s[strings.Index(s, "Subject:"):]
		}, "", content},
		{"field that no edit can say", func(s string) string { return strings.Replace(s, "To: c", "To : c", 1) }, "message_replace",
			strings.Replace(content, "To: c", "To : c", 1)},
	} {
		m, e := &memory{content: content}, newSent(&oneRecipient)
		edits, ok, err := readAnswer(t.Context(), e, m, strings.NewReader(c.change(sent(e, m))))
		if err != nil || !ok {
			t.Errorf("%s: %t, %v", c.name, ok, err)
			continue
		}
		var ops []string
		for _, x := range edits {
			ops = append(ops, string(x.Op))
		}
		if got := m.edited(t, edits); got != c.want || strings.Join(ops, " ") != c.ops {
			t.Errorf("%s: by %q\ngot  %q\nwant %q", c.name, ops, got, c.want)
		}
	}
}

// MailScanner does not look whether a write worked.
func TestAnswerThatBreaksOffIsDamage(t *testing.T) {
	m, e := &memory{content: "Subject: x\r\n\r\n" + strings.Repeat("a line\r\n", 9000)}, newSent(&oneRecipient)
	whole := asMailScanner(exchangeFile(t, e, m))
	body := strings.Index(whole, "\n\n") + 2
	for _, cut := range []string{"", "O<", "O<B@example.net>\n", "S<a@example.org", whole[:body], whole[:body+3], whole[:len(whole)/2], whole[:len(whole)-2]} {
		if edits, ok, err := readAnswer(t.Context(), e, m, strings.NewReader(cut)); err == nil && ok {
			t.Errorf("%d octets of %d are an answer: %v", len(cut), len(whole), edits)
		}
	}
	if _, _, err := readAnswer(t.Context(), e, m, strings.NewReader(whole[:body])); !errors.Is(err, errDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestAnswerForNobodyIsNone(t *testing.T) {
	m, e := &memory{content: "Subject: x\r\n\r\n"}, newSent(&oneRecipient)
	for _, envelope := range []string{"S<a@example.org>\n", "O<>\nS<a@example.org>\n"} {
		if _, ok, err := readAnswer(t.Context(), e, m, strings.NewReader(envelope+"Subject: x\n\n")); ok || err != nil {
			t.Errorf("%q: %t, %v", envelope, ok, err)
		}
	}
}

// Whatever comes back: it is an error, or the edits make that message of the one that
// was sent.
func FuzzReadAnswer(f *testing.F) {
	base := asMailScanner(exchangeFile(f, newSent(&oneRecipient), &memory{content: "A: b\r\n\r\nbody\r\n"}))
	for _, seed := range []string{base, "S<>\nA: c\n\nx\n", strings.Replace(base, "A: b", "B: c\nA : b", 1), base + "\r\r\n", "O<x>\nS<y>\nE<z>\nA<\n"} {
		f.Add("A: b\r\n\r\nbody\r\n", seed)
		f.Add("From x\n y\nA: b\n", seed)
	}
	f.Fuzz(func(t *testing.T, content, answer string) {
		m, e := &memory{content: content}, newSent(&oneRecipient)
		edits, ok, err := readAnswer(t.Context(), e, m, strings.NewReader(answer))
		if err != nil || !ok {
			return
		}
		if len(edits) > filterproto.MaxEdits {
			t.Fatalf("%d edits", len(edits))
		}
		r := reader(answer)
		if _, err := readEnvelope(r); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		want, err := readMessage(reader(strings.TrimPrefix(string(text), string(e.preamble))))
		if err != nil {
			return
		}
		want.dropPreamble(testName)
		if got, want := plain([]byte(m.edited(t, edits))), plain([]byte(want.String())); strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
			t.Errorf("%q edited by %+v\ngot  %q\nwant %q", content, edits, got, want)
		}
	})
}
