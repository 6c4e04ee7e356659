package compose

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
)

func b64(s string) *io.SectionReader { return String(base64.StdEncoding.EncodeToString([]byte(s))) }

// part is a part of a message as a reader that shares no code with the writer sees it.
type part struct {
	media, name, cid, disposition, body string
	children                            []part
}

func read(t *testing.T, header func(string) string, body io.Reader) part {
	t.Helper()
	media, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	p := part{media: media, cid: header("Content-Id")}
	if d := header("Content-Disposition"); d != "" {
		var dp map[string]string
		if p.disposition, dp, err = mime.ParseMediaType(d); err != nil {
			t.Fatal(err)
		}
		p.name = dp["filename"]
	}
	if strings.HasPrefix(media, "multipart/") {
		mr := multipart.NewReader(body, params["boundary"])
		for {
			c, err := mr.NextRawPart()
			if errors.Is(err, io.EOF) {
				return p
			}
			if err != nil {
				t.Fatal(err)
			}
			p.children = append(p.children, read(t, c.Header.Get, c))
		}
	}
	switch header("Content-Transfer-Encoding") {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	p.body = string(b)
	return p
}

// make writes a message and reads it again; every line is looked at.
func write(t *testing.T, m *Message) (*mail.Message, part, string) {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	raw := b.String()
	for line := range strings.SplitSeq(raw, "\r\n") {
		if strings.ContainsAny(line, "\r\n") || len(line) > hardLine {
			t.Errorf("line %q", line)
		}
	}
	msg, err := mail.ReadMessage(&b)
	if err != nil {
		t.Fatal(err)
	}
	return msg, read(t, msg.Header.Get, msg.Body), raw
}

func outline(p part) string {
	if len(p.children) == 0 {
		return p.media
	}
	var c []string
	for _, x := range p.children {
		c = append(c, outline(x))
	}
	return p.media + "(" + strings.Join(c, " ") + ")"
}

func TestTheStructureFollowsWhatThereIs(t *testing.T) {
	image := Attachment{Name: "i.png", Type: "image/png", CID: "i@x", Content: b64("png")}
	file := Attachment{Name: "f.pdf", Type: "application/pdf", Content: b64("pdf")}
	for name, c := range map[string]struct {
		m    Message
		want string
	}{
		"text":                  {Message{Text: String("x")}, "text/plain"},
		"html":                  {Message{HTML: String("x")}, "text/html"},
		"both":                  {Message{Text: String("x"), HTML: String("y")}, "multipart/alternative(text/plain text/html)"},
		"image in html":         {Message{HTML: String("y"), Attachments: []Attachment{image}}, "multipart/related(text/html image/png)"},
		"image, both":           {Message{Text: String("x"), HTML: String("y"), Attachments: []Attachment{image}}, "multipart/alternative(text/plain multipart/related(text/html image/png))"},
		"everything":            {Message{Text: String("x"), HTML: String("y"), Attachments: []Attachment{image, file}}, "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/png)) application/pdf)"},
		"file":                  {Message{Text: String("x"), Attachments: []Attachment{file}}, "multipart/mixed(text/plain application/pdf)"},
		"file alone":            {Message{Attachments: []Attachment{file}}, "multipart/mixed(application/pdf)"},
		"image without html":    {Message{Text: String("x"), Attachments: []Attachment{image}}, "multipart/mixed(text/plain image/png)"},
		"a message":             {Message{Text: String("x"), Attachments: []Attachment{{Type: "message/rfc822", Content: b64("Subject: x\n\ny\n")}}}, "multipart/mixed(text/plain message/rfc822)"},
		"a message of 8 bits":   {Message{Text: String("x"), Attachments: []Attachment{{Type: "message/rfc822", Content: b64("Subject: x\n\n\xff\n")}}}, "multipart/mixed(text/plain application/octet-stream)"},
		"text in another set":   {Message{Attachments: []Attachment{{Type: "text/plain; charset=iso-8859-1", Content: b64("\xe4")}}}, "multipart/mixed(text/plain)"},
		"an attachment of none": {Message{Attachments: []Attachment{{Content: String("")}}}, "multipart/mixed(application/octet-stream)"},
	} {
		t.Run(name, func(t *testing.T) {
			c.m.From = Address{Path: "a@example.org"}
			_, p, _ := write(t, &c.m)
			if got := outline(p); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestBodiesComeOutAsTheyWentIn(t *testing.T) {
	for _, s := range []string{
		"", "x", "hello\nworld\n", "From here\n.\n..\n", strings.Repeat("long ", 500), strings.Repeat("x", 3000), "tab\there \n trailing  \n",
		"grå\n", strings.Repeat("日本語", 300) + "\n", "=?utf-8?Q?x?= = \n", "one\r\ntwo\r\n", "\n\n\n",
	} {
		m := &Message{From: Address{Path: "a@example.org"}, Text: String(s), Attachments: []Attachment{{Name: "f", Content: b64(s)}}}
		_, p, raw := write(t, m)
		want := strings.ReplaceAll(s, "\r\n", "\n")
		got := strings.ReplaceAll(p.children[0].body, "\r\n", "\n")
		if strings.TrimSuffix(got, "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("text %q came out as %q", s, got)
		}
		if p.children[1].body != s {
			t.Errorf("file %q came out as %q", s, p.children[1].body)
		}
		_, body, _ := strings.Cut(raw, "\r\n\r\n")
		for line := range strings.SplitSeq(body, "\r\n") {
			if len(line) > softLine+2 {
				t.Errorf("a line of %d octets for %.20q", len(line), s)
			}
		}
	}
}

func TestNamesOfAllKindsComeOutAsTheyWentIn(t *testing.T) {
	for _, name := range []string{
		"", "Ann", "Ann B. Cee", `Ann "the" \ B`, "Grå Ünal", strings.Repeat("日本", 40), "=?utf-8?Q?fake?=", "a, b <x@y>;", " Ann", "A  B", strings.Repeat("x", 250), "(comment) Ann", "😀",
	} {
		m := &Message{
			From: Address{name, "a@example.org"}, To: []Address{{name, "b@example.net"}, {"", "c@example.net"}, {name, `"q q"@example.net`}},
			Subject: name, Text: String(""), Date: time.Unix(1e9, 0).UTC(), MessageID: "x@y",
			Attachments: []Attachment{{Name: strings.NewReplacer("/", "", `\`, "").Replace(name), Content: b64("x")}},
		}
		msg, p, raw := write(t, m)
		to, err := msg.Header.AddressList("To")
		if err != nil || len(to) != 3 || to[0].Name != name || to[0].Address != "b@example.net" || to[2].Name != name || to[2].Address != "q q@example.net" {
			t.Errorf("%q: %v, %v", name, to, err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
		if err != nil || strings.TrimSpace(subject) != strings.TrimSpace(name) {
			t.Errorf("subject %q, want %q: %v", subject, name, err)
		}
		if got := p.children[1].name; got != m.Attachments[0].Name {
			t.Errorf("file %q, want %q", got, m.Attachments[0].Name)
		}
		if _, err := msg.Header.Date(); err != nil || msg.Header.Get("Message-Id") != "<x@y>" {
			t.Errorf("%v %v", err, msg.Header)
		}
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		if !isASCII(head) {
			t.Errorf("header section %q", head)
		}
	}
}

func TestAnAddressIsRead(t *testing.T) {
	for in, want := range map[string]Address{
		"a@example.org":                      {"", "a@example.org"},
		"<a@example.org>":                    {"", "a@example.org"},
		"Ann <a@example.org>":                {"Ann", "a@example.org"},
		`"B, Ann" <a@BÜCHER.example>`:        {"B, Ann", "a@xn--bcher-kva.example"},
		"grå@example.org":                    {"", "grå@example.org"},
		"=?utf-8?Q?Gr=C3=A5?= <a@example.x>": {"Grå", "a@example.x"},
		`Ann <"a b"@example.org>`:            {"Ann", `"a b"@example.org`},
	} {
		if got, err := ParseAddress(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "<>", "a", "Ann", "a@", "@b", "a@b, c@d", "a@b\r\nBcc: x@y", "Ann\x00 <a@b>", "=?utf-8?Q?a=0D=0ABcc:_x?= <a@b>", "Ann <a@b> x",
		"undisclosed-recipients:;", "g: a@b;", "\u2028a@b", "\xff@b", strings.Repeat("x", 2000) + "@b", "Ann <>", "Ann <a>",
	} {
		if got, err := ParseAddress(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
}

// No value begins a line or a field of its own.
func TestWhatIsWrongIsNamed(t *testing.T) {
	good := func() *Message {
		return &Message{
			From: Address{Path: "a@example.org"}, Text: String("x"), HTML: String("y"),
			Attachments: []Attachment{{Content: b64("x")}, {Name: "x", Content: b64("x")}}, Fields: []Field{{"X-A", "b"}},
		}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		field string
		spoil func(*Message)
	}{
		{"from", func(m *Message) { m.From.Path = "" }},
		{"subject", func(m *Message) { m.Subject = "a\r\nBcc: x@y" }},
		{"subject", func(m *Message) { m.Subject = "a\nb" }},
		{"subject", func(m *Message) { m.Subject = "a\x00b" }},
		{"subject", func(m *Message) { m.Subject = "a\u0085b" }},
		{"subject", func(m *Message) { m.Subject = strings.Repeat("x", 2001) }},
		{"text", func(m *Message) { m.Text, m.HTML, m.Attachments = nil, nil, nil }},
		{"text", func(m *Message) { m.Text = String("a\x00b") }},
		{"text", func(m *Message) { m.Text = String("a\xffb") }},
		{"html", func(m *Message) { m.HTML = String("a\x1bb") }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "X A" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "X:A" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "X\r\nBcc" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "Bcc" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "received" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "DKIM-Signature" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "ARC-Seal" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "Content-Type" }},
		{"headers[0].name", func(m *Message) { m.Fields[0].Name = "Resent-To" }},
		{"headers[0].value", func(m *Message) { m.Fields[0].Value = "a\r\nBcc: x@y" }},
		{"headers[0].value", func(m *Message) { m.Fields[0].Value = "a\rb" }},
		{"headers[0].value", func(m *Message) { m.Fields[0].Value = " " }},
		{"headers[0].value", func(m *Message) { m.Fields[0].Value = strings.Repeat("x", 950) }},
		{"headers[0].value", func(m *Message) { m.Fields[0] = Field{"Message-ID", "x"} }},
		{"attachments[1].name", func(m *Message) { m.Attachments[1].Name = "../../etc/passwd" }},
		{"attachments[1].name", func(m *Message) { m.Attachments[1].Name = `c:\x` }},
		{"attachments[1].name", func(m *Message) { m.Attachments[1].Name = ".." }},
		{"attachments[1].name", func(m *Message) { m.Attachments[1].Name = "a\r\nX: y" }},
		{"attachments[1].name", func(m *Message) { m.Attachments[1].Name = strings.Repeat("x", 256) }},
		{"attachments[1].type", func(m *Message) { m.Attachments[1].Type = "text" }},
		{"attachments[1].type", func(m *Message) { m.Attachments[1].Type = "text/plain\r\nX: y" }},
		{"attachments[1].type", func(m *Message) { m.Attachments[1].Type = "multipart/mixed; boundary=x" }},
		{"attachments[1].cid", func(m *Message) { m.Attachments[1].CID = "a>\r\nX: <" }},
		{"attachments[1].cid", func(m *Message) { m.Attachments[0].CID, m.Attachments[1].CID = "a", "a" }},
		{"attachments[1].disposition", func(m *Message) { m.Attachments[1].Disposition = "inline; x" }},
		{"attachments[1].content", func(m *Message) { m.Attachments[1].Content = nil }},
		{"attachments[1].content", func(m *Message) { m.Attachments[1].Content = String("a") }},
		{"attachments[1].content", func(m *Message) { m.Attachments[1].Content = String("a*==") }},
		{"attachments", func(m *Message) { m.Attachments = make([]Attachment, 201) }},
		{"headers", func(m *Message) { m.Fields = make([]Field, 101) }},
	} {
		m := good()
		c.spoil(m)
		var e *Error
		if err := m.Check(); !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("got %v, want something about %s", err, c.field)
		}
	}
}

// FuzzMessage: what passes Check becomes one message, with no field but those that
// were asked for, and comes out as it went in.
func FuzzMessage(f *testing.F) {
	f.Add("a@example.org", "Ann", "hello", "text", "X-A", "v", "f.txt", "text/plain")
	f.Add("grå@example.org", "Grå \"x\"", "日本\r\nBcc: x", "t\x00", "Subject", "=?utf-8?Q?=0D=0A?=", "../x", "x/y; z=\"\r\n\"")
	f.Fuzz(func(t *testing.T, addr, name, subject, body, field, value, file, media string) {
		from, err := NewAddress(name, addr)
		if err != nil {
			return
		}
		m := &Message{From: from, To: []Address{from}, Subject: subject, Text: String(body), Fields: []Field{{field, value}},
			Attachments: []Attachment{{Name: file, Type: media, Content: b64(body)}}}
		if m.Check() != nil {
			return
		}
		msg, p, raw := write(t, m)
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		if n := strings.Count("\r\n"+strings.ReplaceAll(head, "\r\n ", " "), "\r\n"); n != 6 && n != 5 { // without a subject it is one less
			t.Fatalf("%d fields: %q", n, head)
		}
		if subject != "" {
			got, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
			if err != nil || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(subject), " ") {
				t.Fatalf("subject %q came out as %q, %v", subject, got, err)
			}
		}
		if len(p.children) != 2 || p.children[1].body != body || p.children[1].name != file {
			t.Fatalf("%+v", p)
		}
	})
}
