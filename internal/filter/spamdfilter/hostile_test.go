package spamdfilter

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scannertest"
)

const good = "SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nSpam: False ; 0.1 / 5.0\r\n\r\nA,B"

// says reads a request to its half-close and answers.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, text)
	}
}

func TestWhatIsNoAnswerIsAFailureOfItsClass(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		serve        func(net.Conn)
		want         filter.Class
	}{
		{"nothing", "", says(""), filter.Crash},
		{"silence", "", func(c net.Conn) { _, _ = io.Copy(io.Discard, c); _, _ = io.Copy(io.Discard, stalled{c}) }, filter.Timeout},
		{"closes within the message", "", func(c net.Conn) { _, _ = c.Read(make([]byte, 10)) }, filter.Crash},
		{"status alone", "", says("SPAMD/1.1 0 EX_OK\r\n"), filter.Crash},
		{"head alone", "", says(good[:strings.Index(good, "A,B")]), filter.Crash},
		{"short payload", "", says(good[:len(good)-1]), filter.Crash},
		{"long payload", "", says(good + "C"), filter.Protocol},
		{"another program", "", says("220 mail ESMTP\r\n\r\n"), filter.Protocol},
		{"error", "", says("SPAMD/1.0 76 Bad header line: (EOF during headers)\r\n"), filter.Protocol},
		{"error with a good head", "", says(strings.Replace(good, "0 EX_OK", "74 EX_IOERR", 1)), filter.Protocol},
		{"its time is over", "", says("SPAMD/1.0 79 Timeout: (30 second timeout while trying to SYMBOLS)\r\n"), filter.Timeout},
		{"no verdict", "", says("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n"), filter.Protocol},
		{"no length", "", says("SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0.1 / 5.0\r\n\r\nA,B"), filter.Protocol},
		{"length twice", "", says("SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nContent-length: 3\r\nSpam: False ; 0.1 / 5.0\r\n\r\nA,B"), filter.Protocol},
		{"negative length", "", says(strings.Replace(good, "h: 3", "h: -3", 1)), filter.Protocol},
		{"neither true nor false", "", says(strings.Replace(good, "False", "Perhaps", 1)), filter.Protocol},
		{"no number", "", says(strings.Replace(good, "0.1", "nan", 1)), filter.Protocol},
		{"infinite", "", says(strings.Replace(good, "0.1", "-inf", 1)), filter.Protocol},
		{"long line", "", says("SPAMD/1.1 0 EX_OK\r\nX: " + strings.Repeat("x", 20_000)), filter.Protocol},
		{"many lines", "", says("SPAMD/1.1 0 EX_OK\r\n" + strings.Repeat("X: x\r\n", 1000)), filter.Protocol},
		{"symbols without end", "", says("SPAMD/1.1 0 EX_OK\r\nContent-length: 9999999\r\nSpam: False ; 0.1 / 5.0\r\n\r\n" + strings.Repeat("A,", 1<<20)), filter.Protocol},
		{"control characters", "", says("SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\nSpam: True ; 9 / 5\r\n\r\nA\r\nB:"), filter.Protocol},
		{"huge message", "process", says("SPAMD/1.1 0 EX_OK\r\nContent-length: 99999999999\r\nSpam: False ; 0.1 / 5.0\r\n\r\n"), filter.Protocol},
		{"message cut short", "process", says("SPAMD/1.1 0 EX_OK\r\nContent-length: 900\r\nSpam: False ; 0.1 / 5.0\r\n\r\nA: b\r\n\r\nbody"), filter.Crash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			setup := scannertest.Setup{}
			if tt.name == "silence" {
				setup.Timeout = 200 * time.Millisecond
			}
			f := newFilter(t, Options{Address: scannertest.Serve(t, tt.serve), Method: tt.method})
			if o := scannertest.Try(t, f, scannertest.Ham(), setup); o.Class() != tt.want {
				t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, tt.want)
			}
		})
	}
}

// stalled reads until the connection is broken, whatever the peer closed.
type stalled struct{ net.Conn }

func (s stalled) Read(p []byte) (int, error) {
	// A peer that half-closed reads as EOF; a write tells when it is gone.
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if _, err := s.Conn.Write([]byte(" ")); err != nil {
			tick.Stop()
			return 0, io.EOF
		}
	}
}

func TestRequestIsAsSpamdWantsIt(t *testing.T) {
	got := make(chan string, 1)
	f := newFilter(t, Options{User: "alice", Address: scannertest.Serve(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		got <- string(b)
		_, _ = io.WriteString(c, good)
	})})
	o := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{})
	if o.Err != nil || o.Verdict.Disposition != filterproto.Accept {
		t.Fatal(o.Err)
	}
	front := "Return-Path: <sender@example.org>\r\n" + scannertest.Trace
	if want := head("SYMBOLS", "alice", int64(len(front+scannertest.Ham()))) + front + scannertest.Ham(); <-got != want {
		t.Errorf("want %q", want)
	}
	if !strings.HasPrefix(head("SYMBOLS", "alice", 7), "SYMBOLS SPAMC/1.5\r\nContent-length: 7\r\nUser: alice\r\n\r\n") {
		t.Error(head("SYMBOLS", "alice", 7))
	}
}

func TestDiffMakesOneOfTheOther(t *testing.T) {
	fields := func(s string) (list []filter.Field) {
		for _, c := range s {
			list = append(list, filter.Field{Name: string(c), Value: []byte(" v")})
		}
		return list
	}
	for _, tt := range [][2]string{{"abc", "abc"}, {"abc", "xabc"}, {"aabc", "abc"}, {"abc", "axc"}, {"", "ab"}, {"ab", ""}, {"abcab", "bcxab"}, {"aaaa", "aa"}} {
		edits, err := diff(fields(tt[0]), fields(tt[1]))
		if err != nil {
			t.Fatal(err)
		}
		list := tt[0]
		for _, e := range edits {
			if e.Op == filterproto.HeaderInsert {
				list = list[:e.Index] + e.Name + list[e.Index:]
				continue
			}
			for i, n := 0, 0; i < len(list); i++ {
				if list[i:i+1] == e.Name {
					if n++; n == e.Index {
						list = list[:i] + list[i+1:]
						break
					}
				}
			}
		}
		if list != tt[1] {
			t.Errorf("%s to %s: got %s by %+v", tt[0], tt[1], list, edits)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{good, "SPAMD/1.0 76 Bad header line\r\n", "SPAMD/1.1 0 EX_OK\r\n\r\n", "SPAMD/1.1 0 EX_OK\nSpam: True ; 1e3 / 5\nContent-length: 0\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(b), 16<<10)
		a, err := readAnswer(r)
		if err != nil {
			return
		}
		if !finite(a.score) || a.length < 0 || !bytes.Contains(b, []byte("EX_OK")) {
			t.Errorf("%q gives %+v", b, a)
		}
		if got, err := io.ReadAll(&payload{r: r, left: a.length}); err == nil && int64(len(got)) != a.length {
			t.Errorf("payload of %d octets, announced %d", len(got), a.length)
		}
		list, err := readSymbols(bytes.NewReader(b))
		if err == nil && strings.ContainsAny(status(a, list), "\x00") {
			t.Errorf("NUL in %q", list)
		}
	})
}
