package smtpfilter

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/scannertest"
)

// dialogue answers as an SMTP server does  and
// reads on. stages replaces the answer to a command by its name;
// "" is the greeting and "." the content.
func dialogue(stages map[string]func(c net.Conn), c net.Conn) {
	r := bufio.NewReader(c)
	say := func(stage, usual string) bool {
		if f := stages[stage]; f != nil {
			f(c)
			return false
		}
		_, err := io.WriteString(c, usual+"\r\n")
		return err == nil
	}
	if !say("", "220 scanner.test ESMTP") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.Fields(line + " .")[0])
		switch {
		case verb == "DATA":
			if !say(verb, "354 go ahead") {
				return
			}
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			if !say(".", "250 2.0.0 ok") {
				return
			}
		case !say(verb, "250 2.0.0 ok"):
			return
		}
	}
}

func says(s string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, s) }
}

// endless never stops until the other side hangs up.
func endless(s string) func(net.Conn) {
	return func(c net.Conn) {
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, strings.Repeat(s, 1<<10))
		}
	}
}

func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// A scanner that hangs, hangs up, talks nonsense or does not stop talking harms
// its own verdict only: the scan ends with a failure, whatever the stage.
func TestWhatIsNoAnswerIsAFailure(t *testing.T) {
	bad := map[string]struct {
		f func(net.Conn)
		// class at the stages before the content, and after it
		before, after filter.Class
	}{
		"hangs up":             {func(net.Conn) {}, filter.Unreachable, filter.Crash},
		"hangs up in a reply":  {says("25"), filter.Unreachable, filter.Crash},
		"another protocol":     {says("HTTP/1.1 200 OK\r\n\r\n"), filter.Protocol, filter.Protocol},
		"a code that is none":  {says("999 fine\r\n"), filter.Protocol, filter.Protocol},
		"no code":              {says("ok\r\n"), filter.Protocol, filter.Protocol},
		"two codes":            {says("250-a\r\n354 b\r\n"), filter.Protocol, filter.Protocol},
		"an endless line":      {endless("x"), filter.Protocol, filter.Protocol},
		"an endless reply":     {endless("250-x\r\n"), filter.Protocol, filter.Protocol},
		"an endless good line": {func(c net.Conn) { says("250 ")(c); endless("x")(c) }, filter.Protocol, filter.Protocol},
		"silence":              {silent, "", ""},
	}
	for _, stage := range []string{"", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		for name, b := range bad {
			t.Run(fmt.Sprintf("%s/%s", name, stageName(stage)), func(t *testing.T) {
				t.Parallel()
				want, setup := b.before, scannertest.Setup{}
				if stage == "." {
					want = b.after
				}
				if name == "silence" {
					setup.Timeout = 200 * time.Millisecond
				}
				f := hostile(t, func(c net.Conn) { dialogue(map[string]func(net.Conn){stage: b.f}, c) })
				o := scannertest.Try(t, f, scannertest.Ham(), setup)
				if o.Err == nil || name != "silence" && o.Class() != want {
					t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, want)
				}
			})
		}
	}
}

func stageName(s string) string {
	switch s {
	case "":
		return "greeting"
	case ".":
		return "end"
	}
	return s
}

// The connection may end anywhere within the content.
func TestScannerThatGoesAwayWithinTheMessageHasCrashed(t *testing.T) {
	large := scannertest.Header + "\r\n" + strings.Repeat("0123456789abcdef\r\n", 1<<19)
	f := hostile(t, func(c net.Conn) {
		dialogue(map[string]func(net.Conn){"DATA": func(c net.Conn) {
			says("354 go ahead\r\n")(c)
			_, _ = io.CopyN(io.Discard, c, 1<<20)
		}}, c)
	})
	if o := scannertest.Try(t, f, large, scannertest.Setup{}); o.Class() != filter.Crash {
		t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, filter.Crash)
	}
}

func hostile(t *testing.T, serve func(net.Conn)) *Filter {
	t.Helper()
	f, err := New(Options{Address: scannertest.Serve(t, serve), Hostname: "mx.example.net", Returns: &Returns{}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}
