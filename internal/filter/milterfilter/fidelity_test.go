package milterfilter

import (
	"strings"
	"testing"

	"mtad/internal/filter"
	"mtad/internal/milter/miltertest"
)

// What a milter is shown puts the message together again, octet for octet, and the
// message itself stays as it is, whatever its shape.
func TestMilterIsShownEveryOctet(t *testing.T) {
	for name, content := range map[string]string{
		"ordinary":          plain,
		"awkward":           awkward,
		"8 bit":             "Subject: \xff\xfe\r\nX-\u00fc: no field\r\n\r\n\x80\x00\r\n",
		"no body":           "A: b\r\n\r\n",
		"no separator":      "A: b\r\n",
		"no line end":       "A: b",
		"no header":         "\r\nbody\r\n",
		"body at once":      "this is no field\r\nA: b\r\n",
		"bare line ends":    "A: b\n c\nD: e\r\n\r\nx\ny\rz\r\n",
		"lone dots":         "A: b\r\n\r\n.\r\n..\r\n",
		"colon and nothing": "A:\r\nB: \r\nC:  \r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := miltertest.Start(t, "tcp")
			s.Protocol = 1 << 20 // the white space behind the colon, too
			r := newRig(t, nil, at(s))
			if got := r.content(r.one(envelope(), content).ID); got != content {
				t.Errorf("became %q", got)
			}
			var b strings.Builder
			for _, p := range s.Seen() {
				switch p.Command {
				case 'L':
					field, value, _ := strings.Cut(strings.TrimSuffix(p.Data, "\x00"), "\x00")
					b.WriteString(field + ":" + value + "\n")
				case 'N':
					b.WriteString("\n")
				case 'B':
					b.WriteString(p.Data)
				}
			}
			// Line ends of the header section are the protocol's, and a separator is
			// always there.
			loose := func(s string) string {
				return strings.Trim(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n", "\n"), "\n")
			}
			if loose(b.String()) != loose(content) {
				t.Errorf("shown %q of %q", b.String(), content)
			}
		})
	}
}

func TestHeaderSectionBeyondTheBoundIsTooLarge(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	r := newRig(t, map[filter.Class]filter.Action{filter.OverSize: filter.Reject}, at(s))
	it := r.one(envelope(), strings.Repeat("X: "+strings.Repeat("x", 900)+"\r\n", 1300)+"\r\n")
	if it.Outcome == nil || !strings.HasPrefix(it.Outcome.Reply, "552 5.3.4") {
		t.Errorf("outcome %+v", it.Outcome)
	}
}

func TestFieldLongerThanAPacketIsShownCut(t *testing.T) {
	s := miltertest.Start(t, "tcp")
	r := newRig(t, nil, at(s))
	content := "X: " + strings.Repeat("x", 200000) + "\r\n\r\n"
	if got := r.content(r.one(envelope(), content).ID); got != content {
		t.Error("the message was cut, too")
	}
	for _, p := range s.Seen() {
		if len(p.Data) > 65535 {
			t.Errorf("a packet of %d octets", len(p.Data))
		}
	}
}
