package smtpclient

import (
	"bufio"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a peer sends: a reply has a code of 200 to 599 and a bounded, clean
// text, and reading ends.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"220 hi\r\n", "250-a\r\n250 b\r\n", "250\n", "550 5.1.1 no\r\n", "550-5.1.1 no\r\n550 5.1.1 more\r\n", "550 4.1.1 no\r\n",
		"25", "250-", "250-a\r\n550 b\r\n", "\x00\r\n", "250 \xff\x01\r\n", strings.Repeat("250-x\r\n", 300), strings.Repeat("2", 5000),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := bufio.NewReaderSize(strings.NewReader(s), maxLine)
		for range 100 {
			reply, err := readReply(r)
			if err != nil {
				return
			}
			if reply.Code < 200 || reply.Code > 599 || len(reply.Text) > maxText+maxLines+3*maxText {
				t.Fatalf("%+v", reply)
			}
			if !utf8.ValidString(reply.Text) || strings.ContainsAny(reply.Text, "\r\x00\x1b\x7f") {
				t.Fatalf("text %q", reply.Text)
			}
			if reply.Enhanced != "" && int(reply.Enhanced[0]-'0') != reply.Code/100 {
				t.Fatalf("%+v", reply)
			}
			parseExtensions(reply)
		}
	})
}

// Whatever the envelope holds: each command is one line.
func FuzzCommandLines(f *testing.F) {
	f.Add("a@x.test", "b@y.test", "rfc822;b@y.test", "id")
	f.Add("a>\r\nRSET", `"a>b"@y.test`, "utf-8;ü", "\r\n")
	f.Add("", "ü@x.test", "utf-8;\u2028", "+")
	f.Fuzz(func(t *testing.T, from, to, orcpt, envid string) {
		c := &Conn{ext: Extensions{DSN: true, Size: true, SMTPUTF8: true}}
		tx := &Transaction{ReversePath: from, Recipients: []Recipient{{Path: to, ORCPT: orcpt, Notify: 6}}, EnvID: envid, SMTPUTF8: true, Return: "FULL", Size: 5}
		x := &exchange{c: c, t: tx, out: &Outcome{Results: make([]Result, 1)}}
		if !x.checkPaths() {
			return
		}
		for _, line := range []string{string(c.mailLine(nil, tx)), string(c.rcptLine(nil, tx, &tx.Recipients[0]))} {
			if i := strings.IndexAny(line, "\r\n\x00"); i != len(line)-2 || !strings.HasSuffix(line, "\r\n") || !utf8.ValidString(line) {
				t.Fatalf("%q", line)
			}
		}
	})
}
