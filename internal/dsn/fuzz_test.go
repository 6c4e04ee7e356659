package dsn

import (
	"strings"
	"testing"

	"mtad/internal/smtp"
	"mtad/queue"
)

// FuzzReport: whatever octets the original, envelope and replies have, the report
// is valid MIME with its parts, nobody's field is in it, and it is bounded.
func FuzzReport(f *testing.F) {
	f.Add(simple, "a@example.com", "b@example.net", "550 5.1.1 no", "mx.example.net", "rfc822;x@example.net", "id", uint8(0))
	f.Add("a\nb\r\r\n\x00\xff", "j\u00fc@example.com", "\xffb", "\r\nBcc: x", "[192.0.2.1]\n", "x;;", "\x01", uint8(7))
	f.Add(strings.Repeat("y", 70000), "\"q q\"@example.com", strings.Repeat("z", 3000), strings.Repeat("w ", 999), "", "utf-8;\u00e9", "=_", uint8(14))
	f.Fuzz(func(t *testing.T, content, from, rcpt, reply, remote, orcpt, envid string, flags uint8) {
		rc := queue.Recipient{
			Path: rcpt, OrigPath: orcpt, ORCPT: orcpt, LastReply: reply, LastRemote: remote, NextHop: remote,
			Notify: queue.NotifyFailure | queue.NotifyDelay | queue.NotifySuccess, Status: queue.RecipientStatus(flags >> 4 & 3),
		}
		it := item(from, rc)
		it.Envelope.EnvID, it.Envelope.Client.Helo, it.Envelope.SMTPUTF8 = envid, remote, flags&4 != 0
		if flags&8 != 0 {
			it.Envelope.Return = "HDRS"
		}
		kind := Kind(flags&3)%3 + 1
		if !Wanted(&it, kind, 0) {
			return
		}
		s := (&box{content: content}).report(t, it, kind, 0)
		p, err := parse(s.raw)
		if err != nil {
			t.Fatalf("%v\n%q", err, s.raw)
		}
		if len(p.parts) != 3 || len(p.perRecipient) != 1 || len(p.header) > 11 {
			t.Fatalf("%d parts, %d recipients, %d fields\n%q", len(p.parts), len(p.perRecipient), len(p.header), s.raw)
		}
		if len(s.raw) > 4*DefaultMaxFull {
			t.Fatalf("%d octets", len(s.raw))
		}
		if s.env.Body == queue.Body7Bit && !smtp.IsASCII(string(s.raw)) {
			t.Fatalf("8-bit octets under BODY=7BIT\n%q", s.raw)
		}
	})
}
