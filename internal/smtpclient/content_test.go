package smtpclient

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// wire returns what goes over the connection for a content.
func wire(t testing.TB, content io.Reader) string {
	t.Helper()
	sink := &discardConn{}
	x := &exchange{t: &Transaction{Size: -1}}
	w := &dotWriter{conn: sink, buf: make([]byte, 0, block+block/8), timeout: time.Minute, limit: time.Now().Add(time.Hour), beforeEnd: func() {}}
	if err := x.copy(w, content, make([]byte, block)); err != nil {
		t.Fatal(err)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return sink.String()
}

type discardConn struct {
	net.Conn
	bytes.Buffer
}

func (c *discardConn) Write(p []byte) (int, error)      { return c.Buffer.Write(p) }
func (c *discardConn) Read(p []byte) (int, error)       { return c.Buffer.Read(p) }
func (c *discardConn) SetWriteDeadline(time.Time) error { return nil }

func TestContentGoesOutAsItIs(t *testing.T) {
	for in, want := range map[string]string{
		"":                 ".\r\n",
		".":                "..\r\n.\r\n",
		".\r\n":            "..\r\n.\r\n",
		"..":               "...\r\n.\r\n",
		"a":                "a\r\n.\r\n",
		"a\r\n":            "a\r\n.\r\n",
		"a\r\n\r\n":        "a\r\n\r\n.\r\n",
		"a\r\n.b\r\n":      "a\r\n..b\r\n.\r\n",
		"a\r\n.\r\nb":      "a\r\n..\r\nb\r\n.\r\n",
		"a\r\n...\r\n":     "a\r\n....\r\n.\r\n",
		"a.b\r\n. c\r\n":   "a.b\r\n.. c\r\n.\r\n",
		"a\nb\rc\r\n":      "a\nb\rc\r\n.\r\n",
		"a\n.b\r\n":        "a\n.b\r\n.\r\n",
		"a\r.b\r\n":        "a\r.b\r\n.\r\n",
		"a\n.\r\nb\r\n":    "a\n..\r\nb\r\n.\r\n",
		"a\n.\nb\r\n":      "a\n..\nb\r\n.\r\n",
		"a\r.\rb\r\n":      "a\r..\rb\r\n.\r\n",
		"a\r\n.\nb\r\n":    "a\r\n..\nb\r\n.\r\n",
		"a\n.":             "a\n..\r\n.\r\n",
		"a\r":              "a\r\r\n.\r\n",
		"a\n":              "a\n\r\n.\r\n",
		"\n":               "\n\r\n.\r\n",
		"\r\n":             "\r\n.\r\n",
		"\n.\r\n":          "\n..\r\n.\r\n",
		"S: x\r\n\r\n":     "S: x\r\n\r\n.\r\n",
		"\x00\xff\x80\r\n": "\x00\xff\x80\r\n.\r\n",
		"a\n\r\n.b":        "a\n\r\n..b\r\n.\r\n",
		"a\r\r\n.\r\n":     "a\r\r\n..\r\n.\r\n",
		"a\n..\r\n":        "a\n..\r\n.\r\n",
	} {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(in), "by octets": iotest.OneByteReader(strings.NewReader(in)),
		} {
			if got := wire(t, r); got != want {
				t.Errorf("%q %s:\n got %q\nwant %q", in, how, got, want)
			}
		}
	}
	long := strings.Repeat("x", 100_000) + "\r\n" + strings.Repeat(".\r\n", 50_000)
	if got := unstuff(wire(t, strings.NewReader(long))); got != long {
		t.Errorf("%d octets came out as %d", len(long), len(got))
	}
}

// unstuff is what a receiver that obeys RFC 5321 makes of the data.
func unstuff(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		line := s
		if i := strings.Index(s, "\r\n"); i >= 0 {
			line = s[:i+2]
		}
		s = s[len(line):]
		if line == ".\r\n" {
			if s != "" {
				return "data after the end: " + s
			}
			return b.String()
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	return "no end"
}

// Whatever the content: a strict receiver gets it back (but for the CRLF at the
// end and the dots that guard against lax ones), and neither a strict nor a lax
// receiver sees the end before the end.
func FuzzContent(f *testing.F) {
	for _, s := range []string{"", ".", "a\r\n.\r\nb", "a\n.\r\n", "a\r.\n", "\r\n.\n.\r.", "a\n\n.\n", "..\r\n..."} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, in string, chunk int) {
		got := wire(t, &chunks{s: in, n: chunk})
		if whole := wire(t, strings.NewReader(in)); whole != got {
			t.Fatalf("%q in chunks of %d is %q, whole %q", in, chunk, got, whole)
		}
		body, ok := strings.CutSuffix(got, ".\r\n")
		if !ok || body != "" && !strings.HasSuffix(body, "\r\n") {
			t.Fatalf("%q has no end: %q", in, got)
		}
		for _, end := range []string{"\r\n.\r\n", "\n.\n", "\n.\r\n", "\r.\r", "\r.\n", "\n.\r"} {
			if i := strings.Index(got, end); i >= 0 && i+len(end) < len(got)-1 && got[i:] != "\r\n.\r\n" && got[i:] != "\n.\r\n" {
				t.Fatalf("%q ends early, at %d: %q", in, i, got)
			}
		}
		want := in
		if in != "" && !strings.HasSuffix(in, "\r\n") {
			want += "\r\n"
		}
		if back := unstuff(got); unguarded(back) != unguarded(want) {
			t.Fatalf("%q came back as %q", in, back)
		}
	})
}

// unguarded takes away all dots behind a bare line end.
func unguarded(s string) string {
	var b strings.Builder
	bare := false
	for i := range len(s) {
		c := s[i]
		if c == '.' && bare {
			continue
		}
		bare = c == '\r' || c == '\n' && (i == 0 || s[i-1] != '\r')
		b.WriteByte(c)
	}
	return b.String()
}

type chunks struct {
	s string
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := min(len(c.s), max(1, c.n%7), len(p))
	copy(p, c.s[:n])
	c.s = c.s[n:]
	return n, nil
}
