package smtpd

import (
	"strings"
	"testing"

	"mtad/internal/intake"
)

const toUs = "> MAIL FROM:<a@client.example>\n< 250\n> RCPT TO:<b@example.org>\n< 250\n"

func TestBDAT(t *testing.T) {
	for name, c := range map[string]struct{ script, content string }{
		"one chunk":                     {`> "BDAT 4 LAST\r\nab\r\n"` + "\n< 250 2.0.0 ok, queued", "ab\r\n"},
		"in any case":                   {`> "bdat 4 last\r\nab\r\n"` + "\n< 250 2.0.0 ok, queued", "ab\r\n"},
		"dots are content":              {`> "BDAT 7 LAST\r\n.\r\n..\r\n"` + "\n< 250 2.0.0 ok, queued", ".\r\n..\r\n"},
		"several":                       {`> "BDAT 3\r\nab\rBDAT 1\r\n\nBDAT 0 LAST\r\n"` + "\n< 250 2.0.0\n< 250 2.0.0\n< 250 2.0.0 ok, queued", "ab\r\n"},
		"empty":                         {`> "BDAT 0 LAST\r\n"` + "\n< 250 2.0.0 ok, queued", ""},
		"no line end at the end":        {`> "BDAT 2 LAST\r\nab"` + "\n< 250 2.0.0 ok, queued", "ab"},
		"commands follow at once":       {`> "BDAT 4 LAST\r\nab\r\nNOOP\r\nRSET\r\n"` + "\n< 250 2.0.0 ok, queued\n< 250\n< 250", "ab\r\n"},
		"CR at the very end":            {`> "BDAT 3 LAST\r\nab\r"` + "\n< 550 5.6.11", "-"},
		"LF split from no CR":           {`> "BDAT 1\r\naBDAT 1 LAST\r\n\n"` + "\n< 250\n< 550 5.6.11", "-"},
		"RSET drops the chunks":         {`> "BDAT 4\r\nab\r\nRSET\r\n"` + "\n< 250\n< 250\n> DATA\n< 503", "-"},
		"QUIT drops the chunks":         {`> "BDAT 4\r\nab\r\nQUIT\r\n"` + "\n< 250\n< 221\n< end", "-"},
		"DATA in between":               {`> "BDAT 4\r\nab\r\nDATA\r\n"` + "\n< 250\n< 503 5.5.1", "-"},
		"MAIL in between":               {`> "BDAT 4\r\nab\r\nMAIL FROM:<>\r\n"` + "\n< 250\n< 503 5.5.1", "-"},
		"RCPT in between":               {`> "BDAT 4\r\nab\r\nRCPT TO:<b@example.org>\r\n"` + "\n< 250\n< 503 5.5.1", "-"},
		"no size":                       {"> BDAT\n< 501 5.5.4\n< end", "-"},
		"negative size":                 {"> BDAT -1\n< 501 5.5.4\n< end", "-"},
		"size that is no number":        {"> BDAT 4x LAST\n< 501 5.5.4\n< end", "-"},
		"size beyond 64 bits":           {"> BDAT 99999999999999999999\n< 501 5.5.4\n< end", "-"},
		"size beyond all bounds":        {"> BDAT 9223372036854775807\n< 552 5.3.4\n< end", "-"},
		"a word that is not LAST":       {"> BDAT 4 FIRST\n< 501 5.5.4\n< end", "-"},
		"commands in a refused chunk":   {`> "RSET\r\nBDAT 12\r\nMAIL FROM:<>NOOP\r\n"` + "\n< 250\n< 503 5.5.1\n< 250", "-"},
		"chunk in a session with BDAT":  {`> "BDAT 4\r\nab\r\nEHLO x\r\nBDAT 2 LAST\r\nab"` + "\n< 250\n< 250\n< 503 5.5.1\n> NOOP\n< 250", "-"},
		"the next message is by itself": {`> "BDAT 1\r\n\n"` + "\n< 550\n> RSET\n< 250\n" + toUs + `> "BDAT 3 LAST\r\nc\r\n"` + "\n< 250 2.0.0 ok, queued", "c\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t)
			p := d.ready()
			p.talk(toUs + c.script)
			if c.content == "-" {
				d.wantMessages(0)
			} else {
				d.wantContent(c.content)
			}
		})
	}
}

func TestBDATWithoutRecipientReadsItsChunk(t *testing.T) {
	d := openDoor(t)
	p := d.ready()
	p.talk("> MAIL FROM:<>\n< 250\n" + `> "BDAT 6 LAST\r\nQUIT\r\n"` + "\n< 554 5.5.1\n> NOOP\n< 250")
}

func TestBDATBeyondTheSizeIsReadAndRefused(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *intake.Options) { o.Limits.Size = 1000 })
	p := d.ready()
	p.talk(toUs)
	p.send("BDAT 998\r\n" + strings.Repeat("x", 998) + "BDAT 2 LAST\r\n\r\n")
	p.talk("< 250\n< 250 2.0.0 ok, queued\n" + toUs)
	p.send("BDAT 999\r\n" + strings.Repeat("x", 999) + "BDAT 2 LAST\r\n\r\nNOOP\r\n")
	p.talk("< 250\n< 552 5.3.4\n< 250")
	d.wantMessages(1)
}
