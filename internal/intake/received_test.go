package intake

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

func count(content string, size int) int {
	c := receivedCounter{max: 1 << 30}
	for p := []byte(content); len(p) > 0; {
		n := min(size, len(p))
		c.scan(p[:n])
		p = p[n:]
	}
	return c.n
}

func TestReceivedFieldsAreCounted(t *testing.T) {
	for content, want := range map[string]int{
		"":                                     0,
		"Received: a\r\n":                      1,
		"RECEIVED:a\r\nreceived:b\r\nX: y\r\n": 2,
		"Received : a\r\nReceivedX: b\r\n":     0,
		"X: Received: a\r\n":                   0,
		" Received: folded\r\n":                0,
		"\r\nReceived: in the body\r\n":        0,
		"\nReceived: in the body\n":            0,
		"Received: a\n\nReceived: b\n":         1,
		"no header\r\nReceived: a\r\n":         1,
		"\rReceived: a\r\nReceived: b\r\n":     1,
		"Receive\r\nd: a\r\n":                  0,
		"Received: a":                          1,
	} {
		for _, size := range []int{1, 2, 5, 1000} {
			if got := count(content, size); got != want {
				t.Errorf("%q by %d: %d, want %d", content, size, got, want)
			}
		}
	}
}

func TestReceivedFieldsAreLookedForInABoundedPart(t *testing.T) {
	content := strings.Repeat("X: y\r\n", scanLimit/6+1) + "Received: a\r\n"
	if got := count(content, 4096); got != 0 {
		t.Errorf("%d counted behind %d octets", got, scanLimit)
	}
}

// However the content is split, the count is the same, and that of a plain
// reading.
func FuzzReceivedCounter(f *testing.F) {
	f.Add([]byte("Received: a\r\nX: y\r\n\r\nReceived: b\r\n"), byte(3))
	f.Fuzz(func(t *testing.T, content []byte, size byte) {
		want := 0
		for line := range bytes.SplitSeq(content, []byte("\n")) {
			if l := len(line); l == 0 || l == 1 && line[0] == '\r' {
				break
			}
			if len(line) >= 9 && strings.EqualFold(string(line[:9]), "Received:") {
				want++
			}
		}
		if got := count(string(content), max(1, int(size))); got != want {
			t.Fatalf("%q by %d: %d, want %d", content, size, got, want)
		}
	})
}

var at = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

func TestReceived(t *testing.T) {
	one := &queue.Envelope{Recipients: []queue.Recipient{{Path: "b@example.org"}}}
	two := &queue.Envelope{Recipients: make([]queue.Recipient, 2)}
	for _, c := range []struct {
		name   string
		client queue.Client
		env    *queue.Envelope
		want   string
	}{
		{"plain", queue.Client{Helo: "client.example", Name: "mail.client.example", Address: "192.0.2.7", Protocol: "ESMTP"}, one,
			"from client.example (mail.client.example [192.0.2.7])\r\n\tby mx.example.org with ESMTP\r\n\tid ID\r\n\tfor <b@example.org>; Sun, 22 Nov 2026 20:00:00 +0000\r\n"},
		{"several recipients", queue.Client{Helo: "c.example", Name: "unknown", Address: "192.0.2.7", Protocol: "SMTP"}, two,
			"from c.example (unknown [192.0.2.7])\r\n\tby mx.example.org with SMTP\r\n\tid ID; Sun, 22 Nov 2026 20:00:00 +0000\r\n"},
		{"TLS and IPv6", queue.Client{Helo: "[IPv6:2001:db8::7]", Address: "2001:db8::7", Protocol: "ESMTPS", TLSProtocol: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256"}, two,
			"from [IPv6:2001:db8::7] (unknown [IPv6:2001:db8::7])\r\n\tby mx.example.org with ESMTPS (TLSv1.3 TLS_AES_128_GCM_SHA256)\r\n\tid ID; Sun, 22 Nov 2026 20:00:00 +0000\r\n"},
		{"HELO that is no name", queue.Client{Helo: "my pc (x)", Address: "192.0.2.7", Protocol: "SMTP"}, two,
			"from [192.0.2.7] (unknown [192.0.2.7] helo=my?pc??x?)\r\n\tby mx.example.org with SMTP\r\n\tid ID; Sun, 22 Nov 2026 20:00:00 +0000\r\n"},
		{"no client", queue.Client{Protocol: "HTTP"}, two,
			"by mx.example.org with HTTP\r\n\tid ID; Sun, 22 Nov 2026 20:00:00 +0000\r\n"},
	} {
		if got := string(Received("mx.example.org", &c.client, c.env, "ID", at)); got != "Received: "+c.want {
			t.Errorf("%s:\n%q, want\n%q", c.name, got, "Received: "+c.want)
		}
	}
}

// Nothing that a door passes on can add a line, a comment or a clause.
func FuzzReceived(f *testing.F) {
	f.Add("a\r\nX: y", "b)", "[1.2.3.4]\r\n", "ESMTP (", "TLS\n", "c@d>\r\n")
	f.Add("[IPv6:::1]", "x", "::1", "SMTP", "TLSv1.3", `"a b"@c`)
	f.Fuzz(func(t *testing.T, helo, name, address, protocol, tls, path string) {
		c := &queue.Client{Helo: helo, Name: name, Address: address, Protocol: protocol, TLSProtocol: tls, TLSCipher: name}
		env := &queue.Envelope{Recipients: []queue.Recipient{{Path: path}}}
		b := string(Received("mx.example.org", c, env, "ID", at))
		lines := strings.Split(b, "\r\n")
		if len(b) > queue.MaxTrace || len(lines) > 5 || lines[len(lines)-1] != "" || strings.ContainsAny(strings.Join(lines, ""), "\r\n\x00") {
			t.Fatalf("%q", b)
		}
		for i, l := range lines[:len(lines)-1] {
			if (i == 0) != strings.HasPrefix(l, "Received: ") || i > 0 && !strings.HasPrefix(l, "\t") || len(l) > 998 {
				t.Fatalf("%q", b)
			}
		}
		clauses, _, _ := strings.Cut(b, "\tfor <")
		if strings.Count(clauses, "(") != strings.Count(clauses, ")") || strings.Count(clauses, "(") > 2 || strings.Count(clauses, ";") > 1 {
			t.Fatalf("%q", b)
		}
	})
}
