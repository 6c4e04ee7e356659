package smtpclient

import (
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"

	"mtad/internal/smtp"
)

// forwardTo runs Forward against a peer that offers and answers what is said, and
// returns its commands.
func forwardTo(t *testing.T, offer, reply string, attrs ...smtp.Attr) (lines, told []string, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := textproto.NewConn(theirs)
		defer c.Close()
		_ = c.PrintfLine("220 x")
		_, _ = c.ReadLine()
		_ = c.PrintfLine("250-x\r\n250 %s", offer)
		for {
			line, err := c.ReadLine()
			if err != nil {
				return
			}
			lines = append(lines, line)
			if c.PrintfLine("%s", reply) != nil {
				return
			}
		}
	}()
	conn, derr := Open(t.Context(), ours, Options{TLS: TLSNone})
	if derr != nil {
		t.Fatal(derr)
	}
	told, err = conn.Forward(attrs)
	conn.Close()
	<-done
	return lines, told, err
}

func TestForwardSaysWhatThePeerOffers(t *testing.T) {
	attrs := []smtp.Attr{
		{Name: "NAME", Unavailable: true}, {Name: "ADDR", Value: "IPV6:2001:db8::1"}, {Name: "HELO", Value: "a b+c=d\r\nQUIT"},
		{Name: "PROTO", Value: strings.Repeat("\x01", 200)}, {Name: "IDENT", Value: "Q1.x"},
	}
	lines, told, err := forwardTo(t, "XFORWARD name ADDR HELO PROTO", "250 ok", attrs...)
	want := "[XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 HELO=a+20b+2Bc+3Dd+0D+0AQUIT PROTO=[UNAVAILABLE]]"
	if err != nil || fmt.Sprint(lines) != want || fmt.Sprint(told) != "[NAME ADDR HELO PROTO]" {
		t.Errorf("said %v, told %v, %v; want %s", lines, told, err, want)
	}
	if lines, told, err := forwardTo(t, "SIZE", "250 ok", attrs...); err != nil || lines != nil || told != nil {
		t.Errorf("said %v, told %v, %v to a peer that does not know it", lines, told, err)
	}
	if _, told, err := forwardTo(t, "XFORWARD IDENT", "550 no", attrs...); err != nil || told != nil {
		t.Errorf("told %v, %v by a refusal", told, err)
	}
	if _, _, err := forwardTo(t, "XFORWARD IDENT", "nonsense", attrs...); err == nil {
		t.Error("no error after nonsense")
	}
}

func TestForwardKeepsLinesShort(t *testing.T) {
	var attrs []smtp.Attr
	for _, name := range []string{"NAME", "ADDR", "HELO", "IDENT"} {
		attrs = append(attrs, smtp.Attr{Name: name, Value: strings.Repeat("x", 255)})
	}
	lines, told, err := forwardTo(t, "XFORWARD NAME ADDR HELO IDENT", "250 ok", attrs...)
	if err != nil || len(told) != 4 || len(lines) != 4 {
		t.Errorf("%d lines, told %v, %v", len(lines), told, err)
	}
	for _, l := range lines {
		if len(l) > forwardLine {
			t.Errorf("a line of %d octets", len(l))
		}
	}
}
