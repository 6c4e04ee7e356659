package smtpd

import (
	"strings"
	"testing"
)

// smuggled is what an attacker hides behind a line end that one server takes
// for the end of data and the next does not.
const smuggled = "MAIL FROM:<admin@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nforged\r\n.\r\n"

// falseEnds are sequences that are no end of data (SMTP smuggling, 2023).
var falseEnds = map[string]string{
	"LF dot LF":           "\n.\n",
	"CR dot CR":           "\r.\r",
	"LF dot CRLF":         "\n.\r\n",
	"CR dot CRLF":         "\r.\r\n",
	"CRLF dot LF":         "\r\n.\n",
	"CRLF dot CR":         "\r\n.\r",
	"CRLF dot CR CRLF":    "\r\n.\r\r\n",
	"CR CRLF dot CR CRLF": "\r\r\n.\r\r\n",
	"LF LF dot LF":        "\n\n.\n\n",
	"LF CR dot LF CR":     "\n\r.\n\r",
	"CRLF NUL dot CRLF":   "\r\n\x00.\r\n",
	"CRLF dot NUL CRLF":   "\r\n.\x00\r\n",
	"CRLF dot space":      "\r\n. \r\n",
	"CRLF dot dot CRLF":   "\r\n..\r\n",
}

// bare says whether a sequence has a bare CR or LF.
func bare(s string) bool {
	s = strings.ReplaceAll(s, "\r\n", "")
	return strings.ContainsAny(s, "\r\n")
}

func TestSmugglingIsOneMessageOrNone(t *testing.T) {
	for name, end := range falseEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t)
			p := d.inData()
			p.send("Subject: x\r\n\r\nbait" + end + smuggled)
			if bare(end) {
				p.want("550 5.6.11")
				d.wantMessages(0)
			} else {
				p.want("250 2.0.0")
				d.wantMessages(1)
			}
			p.talk("> NOOP\n< 250\n> QUIT\n< 221\n< end")
		})
	}
}

func TestSmugglingNormalizedIsOneMessage(t *testing.T) {
	for name, end := range falseEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t, normalize)
			p := d.inData()
			p.send("bait" + end + smuggled)
			p.want("250 2.0.0")
			got := d.content(d.wantMessages(1)[0].ID)
			if bare(got) || !strings.HasSuffix(got, "forged\r\n") {
				t.Errorf("content %q", got)
			}
			p.talk("> QUIT\n< 221\n< end")
		})
	}
}

func TestSmugglingSplitOverSegments(t *testing.T) {
	for name, end := range falseEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t)
			p := d.inData()
			for _, c := range []byte("x" + end) {
				p.send(string([]byte{c}))
			}
			p.send("MAIL FROM:<a@b>\r\n.\r\n")
			if bare(end) {
				p.want("550 5.6.11")
			} else {
				p.want("250 2.0.0")
			}
			p.talk("> QUIT\n< 221\n< end")
		})
	}
}

func TestSmugglingByBDAT(t *testing.T) {
	for name, end := range falseEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t)
			p := d.ready()
			p.talk("> MAIL FROM:<a@b.example>\n< 250\n> RCPT TO:<b@example.org>\n< 250")
			first, second := "x"+end[:1], end[1:]+"MAIL FROM:<a@b>\r\n"
			p.send("BDAT " + itoa(len(first)) + "\r\n" + first + "BDAT " + itoa(len(second)) + " LAST\r\n" + second)
			got := p.reply()
			if bare(end) {
				p.want("550 5.6.11")
				d.wantMessages(0)
			} else {
				p.want("250 2.0.0")
				d.wantContent(first + second) // no dot is taken away
			}
			_ = got
			p.talk("> QUIT\n< 221\n< end")
		})
	}
}

func TestCommandsWithBareLineEndsEndTheSession(t *testing.T) {
	for name, raw := range map[string]string{
		"LF alone":               "NOOP\n",
		"CR inside":              "NOOP x\rMAIL FROM:<>\r\n",
		"LF inside a path":       "MAIL FROM:<a\nRCPT TO:<b@example.org>\r\n",
		"CR before CRLF":         "NOOP\r\r\n",
		"LF hides a command":     "NOOP\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nx\r\n.\r\n",
		"LF behind a long line":  "NOOP " + strings.Repeat("x", 10_000) + "\nMAIL FROM:<>\r\n",
		"CR in a HELO name":      "EHLO a\rb\r\n",
		"header behind the HELO": "EHLO a\nX-Injected: yes\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t)
			p := d.ready()
			p.send(raw)
			p.want("500 5.5.2")
			p.wantEnd()
			d.wantMessages(0)
		})
	}
}

func TestNormalizeTakesCommandsWithLF(t *testing.T) {
	p := openDoor(t, normalize).dial()
	p.talk("< 220\n> \"EHLO x\\n\"\n< 250\n> \"MAIL FROM:<>\\n\"\n< 250\n> \"NOOP a\\rb\\r\\n\"\n< 500 5.5.2\n> \"QUIT\\n\"\n< 221")
}
