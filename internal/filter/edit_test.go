package filter

import (
	"context"
	"io"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/queue"

	"pgregory.net/rapid"
)

func add(name, value string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.HeaderAdd, Name: name, Value: value}
}

func insert(i int, name, value string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.HeaderInsert, Name: name, Value: value, Index: i}
}

func change(i int, name, value string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.HeaderChange, Name: name, Value: value, Index: i}
}

func remove(i int, name string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.HeaderDelete, Name: name, Index: i}
}

func body(b string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.BodyReplace, Body: []byte(b)}
}

func message(b string) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.MessageReplace, Body: []byte(b)}
}

func TestEditsWorkOnExactOctets(t *testing.T) {
	for _, c := range []struct {
		name, in string
		edits    []filterproto.Edit
		want     string
	}{
		{"add goes to the end of the header section", "A: 1\r\n\r\nbody", []filterproto.Edit{add("X", "y")}, "A: 1\r\nX: y\r\n\r\nbody"},
		{"two adds keep their order", "A: 1\r\n\r\n", []filterproto.Edit{add("X", "1"), add("X", "2")}, "A: 1\r\nX: 1\r\nX: 2\r\n\r\n"},
		{"insert 0 goes on top", "A: 1\r\n\r\n", []filterproto.Edit{insert(0, "X", "y")}, "X: y\r\nA: 1\r\n\r\n"},
		{"insert counts fields, not lines", "A: 1\r\n 2\r\nB: 3\r\n\r\n", []filterproto.Edit{insert(1, "X", "y")}, "A: 1\r\n 2\r\nX: y\r\nB: 3\r\n\r\n"},
		{"insert beyond the end appends", "A: 1\r\n\r\n", []filterproto.Edit{insert(99, "X", "y")}, "A: 1\r\nX: y\r\n\r\n"},
		{"change replaces the second of a name", "A: 1\r\nB: x\r\na: 2\r\n\r\n", []filterproto.Edit{change(2, "A", "9")}, "A: 1\r\nB: x\r\nA: 9\r\n\r\n"},
		{"change of a missing field appends", "A: 1\r\n\r\nb", []filterproto.Edit{change(1, "X", "y")}, "A: 1\r\nX: y\r\n\r\nb"},
		{"change of a folded field takes all its lines", "A: 1\r\n\t2\r\n 3\r\nB: x\r\n\r\n", []filterproto.Edit{change(1, "A", "9")}, "A: 9\r\nB: x\r\n\r\n"},
		{"delete one", "A: 1\r\nA: 2\r\nA: 3\r\n\r\n", []filterproto.Edit{remove(2, "a")}, "A: 1\r\nA: 3\r\n\r\n"},
		{"delete all", "A: 1\r\nB: 2\r\nA: 3\r\n\r\n", []filterproto.Edit{remove(0, "A")}, "B: 2\r\n\r\n"},
		{"delete of a missing field changes nothing", "A: 1\r\n\r\n", []filterproto.Edit{remove(1, "X")}, "A: 1\r\n\r\n"},
		{"odd white space of others stays", "A:1\r\nB :2\r\nC:\t 3 \r\n \r\n\tx\r\n\r\nbody\r\n", []filterproto.Edit{add("X", "y")}, "A:1\r\nB :2\r\nC:\t 3 \r\n \r\n\tx\r\nX: y\r\n\r\nbody\r\n"},
		{"obsolete space before the colon is part of no name", "B :2\r\n\r\n", []filterproto.Edit{change(1, "B", "9")}, "B: 9\r\n\r\n"},
		{"white space at the start of a value is kept", "\r\n", []filterproto.Edit{add("X", "\ty"), add("Y", " z")}, "X:\ty\r\nY: z\r\n\r\n"},
		{"an empty value", "\r\n", []filterproto.Edit{add("X", "")}, "X: \r\n\r\n"},
		{"a folded value", "A: 1\r\n\r\n", []filterproto.Edit{add("X", "y\n\tz\r\n q")}, "A: 1\r\nX: y\r\n\tz\r\n q\r\n\r\n"},
		{"a message of LF only stays one", "A: 1\n\nbody\n", []filterproto.Edit{add("X", "y\r\n z")}, "A: 1\nX: y\n z\n\nbody\n"},
		{"an LF-only message without fields", "\nbody\n", []filterproto.Edit{add("X", "y")}, "X: y\n\nbody\n"},
		{"no separator, no final newline: the last field is ended", "A: 1", []filterproto.Edit{add("X", "y")}, "A: 1\r\nX: y\r\n"},
		{"no separator: insert leaves the end alone", "A: 1", []filterproto.Edit{insert(0, "X", "y")}, "X: y\r\nA: 1"},
		{"an empty message", "", []filterproto.Edit{add("X", "y")}, "X: y\r\n"},
		{"a body without a header section", "hello there\r\n\r\nmore", []filterproto.Edit{add("X", "y")}, "X: y\r\nhello there\r\n\r\nmore"},
		{"a line that is no field ends the header section", "A: 1\r\nnot a field\r\nX: forged\r\n\r\nb", []filterproto.Edit{remove(0, "X"), add("X", "ours")}, "A: 1\r\nX: ours\r\nnot a field\r\nX: forged\r\n\r\nb"},
		{"a continuation with nothing to continue", " x\r\nA: 1\r\n\r\n", []filterproto.Edit{insert(0, "X", "y")}, " x\r\nX: y\r\nA: 1\r\n\r\n"},
		{"an mbox line on top is left there", "From a Mon Jan 1\r\nA: 1\r\n\r\nb", []filterproto.Edit{insert(0, "X", "y"), remove(1, "A")}, "From a Mon Jan 1\r\nX: y\r\n\r\nb"},
		{"a From field is no mbox line", "From: a\r\n\r\n", []filterproto.Edit{insert(0, "X", "y")}, "X: y\r\nFrom: a\r\n\r\n"},
		{"bare CR, NUL and 8-bit octets are octets", "A: \x00\r\xff\r\n\r\n\x00\r", []filterproto.Edit{add("X", "\xe4")}, "A: \x00\r\xff\r\nX: \xe4\r\n\r\n\x00\r"},
		{"body replace keeps the header section", "A:1\r\n\r\nold", []filterproto.Edit{body("new\n")}, "A:1\r\n\r\nnew\n"},
		{"body replace by nothing", "A:1\r\n\r\nold", []filterproto.Edit{body("")}, "A:1\r\n\r\n"},
		{"body replace without a separator makes one", "A: 1\r\n", []filterproto.Edit{body("b")}, "A: 1\r\n\r\nb"},
		{"body replace of an unended field", "A: 1", []filterproto.Edit{body("b")}, "A: 1\r\n\r\nb"},
		{"body replace where a line that is no field ends the header", "A: 1\nx y\n", []filterproto.Edit{body("b")}, "A: 1\n\nb"},
		{"body replace in an empty message", "", []filterproto.Edit{body("b")}, "\r\nb"},
		{"the last body counts", "\r\nx", []filterproto.Edit{body("1"), add("X", "y"), body("2")}, "X: y\r\n\r\n2"},
		{"message replace", "A: 1\r\n\r\nold", []filterproto.Edit{add("X", "y"), message("B: 2\n\nnew")}, "B: 2\n\nnew"},
		{"header edits after message replace", "A: 1\r\n\r\nold", []filterproto.Edit{message("B: 2\n\nnew"), add("X", "y"), remove(1, "B")}, "X: y\n\nnew"},
		{"body after message replace", "A: 1\r\n\r\nold", []filterproto.Edit{message("B: 2\r\n\r\nnew"), body("newer")}, "B: 2\r\n\r\nnewer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, oneFilter(Definition{}))
			id := r.commit(c.in)
			r.judge("f", r.claim("f").Token, accept(c.edits...))
			if got := r.content(id); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if it := r.get(id); c.in == c.want && len(it.Generations) != 1 {
				t.Errorf("%d generations for edits that change nothing", len(it.Generations))
			}
			old := read(t, r, id, 0)
			if old != c.in {
				t.Errorf("generation 0 is %q, want %q", old, c.in)
			}
		})
	}
}

func read(t *testing.T, r *rig, id queue.ID, n int) string {
	t.Helper()
	c, err := r.q.Open(context.Background(), queue.OpenSpec{ID: id, Generation: n})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// messageGen draws messages of every shape, broken ones too.
func messageGen() *rapid.Generator[string] {
	line := rapid.SampledFrom([]string{
		"A: 1", "B:2", "a : 3", " folded", "\tfolded", "no field", "", "From x", ">From y: z", "X: \x00\xff", ":", "A", "C:\r",
	})
	eol := rapid.SampledFrom([]string{"\r\n", "\r\n", "\n", ""})
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(0, 8).Draw(t, "lines") {
			b.WriteString(line.Draw(t, "line"))
			b.WriteString(eol.Draw(t, "eol"))
		}
		return b.String()
	})
}

func sectionOf(msg string) (section, string) {
	n, _ := headerEnd([]byte(msg), true)
	return parseSection([]byte(msg)[:n], []byte(msg)[n:]), msg[n:]
}

func TestCuttingIsLossless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := messageGen().Draw(t, "message")
		s, rest := sectionOf(msg)
		if got := string(s.bytes()) + rest; got != msg {
			t.Fatalf("%q came back as %q", msg, got)
		}
	})
}

// The one octet sequence that may change elsewhere is the missing line end of
// the header section's last field.
func ended(msg string) string {
	s, rest := sectionOf(msg)
	h := string(s.bytes())
	if h != "" && !strings.HasSuffix(h, "\n") {
		h += s.eol
	}
	return h + rest
}

func TestAnEditAndItsInverseGiveTheSameOctets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := messageGen().Draw(t, "message")
		s, rest := sectionOf(msg)
		n := len(s.fields)
		e := rapid.SampledFrom([]filterproto.Edit{add("New", "x\r\n y"), insert(0, "New", "x"), insert(1, "New", ""), insert(100, "New", "\tz")}).Draw(t, "edit")
		s.apply(e)
		if len(s.fields) != n+1 {
			t.Fatalf("%d fields, want %d", len(s.fields), n+1)
		}
		// What is written is what a reader of the new message sees.
		again, restAgain := sectionOf(string(s.bytes()) + rest)
		if restAgain != rest || again.find("New", 1) < 0 {
			t.Fatalf("%q with %+v is read as %q, rest %q", msg, e, again.fields, restAgain)
		}
		again.apply(remove(1, "New"))
		if got := string(again.bytes()) + rest; got != msg && got != ended(msg) {
			t.Fatalf("%q with %+v and back is %q", msg, e, got)
		}
	})
}

func TestFieldsThatNoEditNamesStayAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg := messageGen().Draw(t, "message")
		s, _ := sectionOf(msg)
		before := fieldsBut(s, "A")
		edits := rapid.SliceOfN(rapid.SampledFrom([]filterproto.Edit{
			add("A", "x"), insert(2, "A", "y"), change(1, "A", "z"), change(2, "a", "q"), remove(1, "A"), remove(0, "A"),
		}), 1, 10).Draw(t, "edits")
		for _, e := range edits {
			s.apply(e)
		}
		again, _ := sectionOf(string(s.bytes()))
		if got := fieldsBut(again, "A"); got != before {
			t.Fatalf("%q with %+v: other fields %q, want %q", msg, edits, got, before)
		}
	})
}

func fieldsBut(s section, name string) string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(string(s.junk), "\r\n") + "|")
	for _, f := range s.fields {
		if !isNamed(f, name) {
			b.WriteString(strings.TrimRight(string(f), "\r\n") + "|")
		}
	}
	return b.String()
}

// The header section is found the same way whatever the pieces it arrives in.
func FuzzHeaderSection(f *testing.F) {
	for _, s := range []string{plain, "", "\n", "A", "A:", "From x\nA: 1\n\n", "A: 1\r\n b\r\n\r\nc", " x", "From ", ">Fro"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, msg []byte, cut int) {
		whole, complete := headerEnd(msg, true)
		if !complete || whole < 0 || whole > len(msg) {
			t.Fatalf("headerEnd(%q) = %d, %v", msg, whole, complete)
		}
		if cut >= 0 && cut < len(msg) {
			n, complete := headerEnd(msg[:cut], false)
			if complete && n != whole || n > whole {
				t.Fatalf("from the first %d octets %d (%v), from all %d: %q", cut, n, complete, whole, msg)
			}
		}
		s := parseSection(msg[:whole], msg[whole:])
		if got := string(s.bytes()); got != string(msg[:whole]) {
			t.Fatalf("%q came back as %q", msg[:whole], got)
		}
		head, err := readHeader(strings.NewReader(string(msg)), len(msg))
		if err != nil || string(head.header) != string(msg[:whole]) {
			t.Fatalf("read %+v, %v; want %q", head, err, msg[:whole])
		}
	})
}
