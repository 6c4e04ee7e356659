package smtpd

import (
	"bytes"
	"strings"
	"testing"
)

// decodeIn decodes data that comes in pieces of the given sizes, over and over.
func decodeIn(d decoder, data []byte, sizes ...int) (out []byte, taken int, done bool, f fault) {
	emit := func(p []byte) { out = append(out, p...) }
	for i := 0; taken < len(data) && !done; i++ {
		n := len(data) - taken
		if len(sizes) > 0 {
			n = min(n, max(1, sizes[i%len(sizes)]))
		}
		var used int
		used, done = d.decode(bytes.Clone(data[taken:taken+n]), emit)
		taken += used
	}
	return out, taken, done, d.fault
}

// stuff is the sender's side: RFC 5321 §4.5.2.
func stuff(content []byte) []byte {
	b := bytes.ReplaceAll(append([]byte("\r\n"), content...), []byte("\r\n."), []byte("\r\n.."))[2:]
	return append(b, ".\r\n"...)
}

// plain decodes as the RFC says it, in the simplest way.
func plain(data []byte) (content []byte, taken int, done bool) {
	lines := bytes.SplitAfter(data, []byte("\r\n"))
	for _, l := range lines {
		taken += len(l)
		if string(l) == ".\r\n" {
			return content, taken, true
		}
		content = append(content, bytes.TrimPrefix(l, []byte("."))...)
	}
	return content, taken, false
}

// normalized is the policy's other definition.
func normalized(content []byte) string {
	var b strings.Builder
	for i, part := range strings.Split(string(content), "\r\n") {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(part, "\r", " "), "\n", "\r\n"))
	}
	return b.String()
}

func TestDecoder(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"empty", ".\r\n", ""},
		{"one line", "a\r\n.\r\n", "a\r\n"},
		{"dot at the start", "..a\r\n.\r\n", ".a\r\n"},
		{"dot without stuffing", ".a\r\n.\r\n", "a\r\n"},
		{"line of two dots", "..\r\n.\r\n", ".\r\n"},
		{"many dots", "..\r\n..\r\nx\r\n...\r\n.\r\n", ".\r\n.\r\nx\r\n..\r\n"},
		{"dot inside", "a.\r\n.\r\n", "a.\r\n"},
		{"empty lines", "\r\n\r\n.\r\n", "\r\n\r\n"},
	} {
		for _, sizes := range [][]int{nil, {1}, {2}, {3}, {1, 4}} {
			got, n, done, f := decodeIn(decoder{dots: true, maxLine: 100}, []byte(c.in+"QUIT\r\n"), sizes...)
			if string(got) != c.out || n != len(c.in) || !done || f != noFault {
				t.Errorf("%s in %v: %q, %d octets, done %v, fault %v", c.name, sizes, got, n, done, f)
			}
		}
	}
}

func TestDecoderNormalizes(t *testing.T) {
	for in, out := range map[string]string{
		"a\nb\r\n.\r\n":      "a\r\nb\r\n",
		"a\rb\r\n.\r\n":      "a b\r\n",
		"a\r\r\n.\r\n":       "a \r\n",
		"a\n.\nb\r\n.\r\n":   "a\r\n.\r\nb\r\n",
		"a\r\n.\nb\r\n.\r\n": "a\r\n\r\nb\r\n",
		"a\r\n.\rb\r\n.\r\n": "a\r\n b\r\n",
		"a\n..b\r\n.\r\n":    "a\r\n..b\r\n",
	} {
		for _, sizes := range [][]int{nil, {1}, {2}, {3}} {
			got, _, done, f := decodeIn(decoder{dots: true, normalize: true, maxLine: 100}, []byte(in), sizes...)
			if string(got) != out || !done || f != noFault {
				t.Errorf("%q in %v: %q, done %v, fault %v; want %q", in, sizes, got, done, f, out)
			}
		}
	}
}

func TestDecoderBoundsLines(t *testing.T) {
	for n, want := range map[int]fault{9: noFault, 10: noFault, 11: longLine} {
		for _, sizes := range [][]int{nil, {1}, {4}, {11}, {12}} {
			in := []byte("\r\n" + strings.Repeat("x", n) + "\r\n.\r\n")
			if _, _, done, f := decodeIn(decoder{dots: true, maxLine: 10}, in, sizes...); f != want || !done {
				t.Errorf("line of %d in %v: fault %v, done %v", n, sizes, f, done)
			}
		}
	}
}

func TestDecoderDoesNotAllocate(t *testing.T) {
	in := stuff(bytes.Repeat([]byte("0123456789 some text in a line of ordinary length\r\n.dot\r\n"), 100))
	buf := make([]byte, len(in))
	emit := func([]byte) {}
	d := decoder{}
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, in)
		d = decoder{dots: true, maxLine: 1000}
		if _, done := d.decode(buf, emit); !done {
			t.Fatal("no end")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// However the input is split, the result is the same, and it is the RFC's.
func FuzzDecoder(f *testing.F) {
	for _, end := range falseEnds {
		f.Add([]byte("a"+end+"b\r\n.\r\nrest"), byte(1), byte(3), false)
		f.Add([]byte("a"+end+"b\r\n.\r\nrest"), byte(2), byte(1), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, s1, s2 byte, norm bool) {
		d := decoder{dots: true, normalize: norm, maxLine: 1 << 20}
		whole, n, done, flt := decodeIn(d, data)
		parts, n2, done2, flt2 := decodeIn(d, data, int(s1), int(s2))
		if n != n2 || done != done2 || flt != flt2 || flt == noFault && !bytes.Equal(whole, parts) {
			t.Fatalf("%q: whole %q %d %v %v, in pieces %q %d %v %v", data, whole, n, done, flt, parts, n2, done2, flt2)
		}
		content, taken, ended := plain(data)
		if n != taken || done != ended {
			t.Fatalf("%q: took %d, done %v; want %d, %v", data, n, done, taken, ended)
		}
		if !done {
			return
		}
		switch {
		case norm && string(whole) != normalized(content):
			t.Fatalf("%q: %q, want %q", data, whole, normalized(content))
		case !norm && bare(string(data[:n])) != (flt != noFault):
			t.Fatalf("%q: fault %v", data, flt)
		case !norm && flt == noFault && !bytes.Equal(whole, content):
			t.Fatalf("%q: %q, want %q", data, whole, content)
		}
	})
}

// What a sender stuffs comes out as it was, and the next command is untouched.
func FuzzDecoderRoundTrip(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\n.\r\n..\r\nbody\r\n"), byte(7))
	f.Add([]byte(""), byte(1))
	f.Fuzz(func(t *testing.T, content []byte, size byte) {
		content = bytes.ReplaceAll(bytes.ReplaceAll(content, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\r\n")) {
			content = append(content, "\r\n"...)
		}
		wire := stuff(content)
		got, n, done, flt := decodeIn(decoder{dots: true, maxLine: 1 << 20}, append(bytes.Clone(wire), "QUIT"...), int(size))
		if !bytes.Equal(got, content) || n != len(wire) || !done || flt != noFault {
			t.Fatalf("%q: %q, %d, %v, %v", content, got, n, done, flt)
		}
	})
}
