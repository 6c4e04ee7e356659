package submission

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func read(s string, l Limits) (*Envelope, string, error) {
	r := bufio.NewReader(strings.NewReader(s))
	e, err := Read(r, l)
	rest, _ := io.ReadAll(r)
	return e, string(rest), err
}

func TestReadLeavesTheContentWhereItBegins(t *testing.T) {
	_, rest, err := read("sender: <>\r\nrecipient: a@b\n\r\n\nbody\r\n", Limits{})
	if err != nil || rest != "\nbody\r\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A bound is checked before memory is taken: what lies beyond it is not read.
func TestABlockBeyondItsBoundsIsNotReadOn(t *testing.T) {
	for name, in := range map[string]string{
		"line":       "sender: <" + strings.Repeat("a", 1<<20),
		"block":      strings.Repeat("x-a: "+strings.Repeat("b", 1000)+"\n", 1<<14),
		"recipients": "sender: <>\n" + strings.Repeat("recipient: a@b\n", 1_000_000),
	} {
		src := &counted{r: strings.NewReader(in)}
		_, err := Read(bufio.NewReader(src), Limits{})
		var e *Error
		if !errors.As(err, &e) || !e.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
		if src.n > DefaultBlock+8<<10 {
			t.Errorf("%s: %d octets were read", name, src.n)
		}
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestAnErrorOfTheReaderIsNotTheBlocks(t *testing.T) {
	for _, in := range []string{"", "sender: <>\n", "sender: <>\nrecipient: a@b\n\n"} {
		_, err := Read(bufio.NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(iotest.ErrTimeout))), Limits{})
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestAnErrorRepeatsNothingOfTheInput(t *testing.T) {
	for _, in := range []string{"s3cret: a\n", "helo_name: s3cret\x01\n", "s3cret\n", "sender: s3cret@\n", "recipient: <s3cret\n", "dsn-envelope-id: s3cret=\n"} {
		if _, _, err := read(in, Limits{}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestAppendRefusesWhatReadWould(t *testing.T) {
	for name, e := range map[string]Envelope{
		"no recipient": {},
		"line end":     {Client: Client{Helo: "a\nrecipient: x@y"}, Recipients: []Recipient{{Path: "a@b"}}},
		"sender":       {Sender: "a@b> x", Recipients: []Recipient{{Path: "a@b"}}},
		"recipient":    {Recipients: []Recipient{{Path: ""}}},
		"orcpt":        {Recipients: []Recipient{{Path: "a@b", ORCPT: "a\nb"}}},
	} {
		if b, err := e.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Input)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, _, err := read(in, Limits{Recipients: 20, Block: 16 << 10})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Fatalf("an error in several lines: %q", err)
			}
			return
		}
		b, err := e.Append(nil)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", e, err)
		}
		again, rest, err := read(string(b)+"x", Limits{Recipients: 20, Block: 64 << 10})
		if err != nil || !reflect.DeepEqual(again, e) || rest != "x" {
			t.Fatalf("%+v became\n%s\n%+v, %v", e, b, again, err)
		}
	})
}

func convert(t testing.TB, parts ...string) string {
	t.Helper()
	var out bytes.Buffer
	l := NewLineEnds(&out)
	for _, p := range parts {
		if n, err := io.WriteString(l, p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLineEnds(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"a":                 "a\r\n",
		"a\n":               "a\r\n",
		"a\r\n":             "a\r\n",
		"a\nb\r\n\nc":       "a\r\nb\r\n\r\nc\r\n",
		"10%\r20%\r30%\n":   "10% 20% 30%\r\n",
		"a\r\r\n":           "a \r\n",
		"a\r":               "a\r\n",
		"\r":                "\r\n",
		"\x00\xff\n":        "\x00\xff\r\n",
		"a\n.\nQUIT\n":      "a\r\n.\r\nQUIT\r\n",
		"a\r\n.\r\rb\n\r\n": "a\r\n.  b\r\n\r\n",
	} {
		if got := convert(t, in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	long := strings.Repeat("0123456789\n", chunkSize)
	if got := convert(t, long); got != strings.ReplaceAll(long, "\n", "\r\n") {
		t.Error("a long text came out changed")
	}
}

func FuzzLineEnds(f *testing.F) {
	f.Add("a\r\nb\rc\n", 2)
	f.Add("\r\r\n\n\r", 1)
	f.Fuzz(func(t *testing.T, in string, at int) {
		if at < 0 || at > len(in) {
			at = len(in) / 2
		}
		out := convert(t, in)
		if got := convert(t, in[:at], in[at:]); got != out {
			t.Fatalf("in two parts %q, in one %q", got, out)
		}
		if again := convert(t, out); again != out {
			t.Fatalf("%q became %q the second time", out, again)
		}
		if bare := strings.ReplaceAll(out, "\r\n", ""); strings.ContainsAny(bare, "\r\n") || in != "" && !strings.HasSuffix(out, "\r\n") {
			t.Fatalf("%q", out)
		}
	})
}
