package mailscanner

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
)

func reader(s string) *bufio.Reader    { return bufio.NewReader(strings.NewReader(s)) }
func writer(w io.Writer) *bufio.Writer { return bufio.NewWriter(w) }
func written(e *envelope) (lines string) {
	var b strings.Builder
	w := writer(&b)
	e.write(w)
	_ = w.Flush()
	return b.String()
}
func paths(edits []filterproto.Edit) (out []string) {
	for _, e := range edits {
		out = append(out, fmt.Sprintf("%s %s", e.Op, e.Value))
	}
	return out
}

var testTime = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

func TestEnvelopeThatComesBackNeedsNoEdit(t *testing.T) {
	for _, e := range []filterproto.Envelope{
		oneRecipient,
		{Recipients: []filterproto.Recipient{{Path: "postmaster"}}},
		{ReversePath: "A@example.org", Recipients: []filterproto.Recipient{{Path: "b@x.example"}, {Path: "B@x.example"}, {Path: `"a>b"@x.example`}, {Path: `"a<b"@x.example`}, {Path: `"a_b"@x.example`}}},
		{ReversePath: `"<>"@example.org`, Recipients: []filterproto.Recipient{{Path: `"O<"@x.example`}, {Path: "дом@example.org"}}},
	} {
		sent := newEnvelope(&e)
		text := written(sent)
		if n := strings.Count(text, "\n"); n != len(e.Recipients)+1 || strings.Count(text, "<") != n || strings.Count(text, ">") != n {
			t.Errorf("written as %q", text)
		}
		for _, text := range []string{text, strings.ToLower(strings.NewReplacer("O<", "\x00", "S<", "\x01").Replace(text))} {
			back, err := readEnvelope(reader(strings.NewReplacer("\x00", "O<", "\x01", "S<").Replace(text)))
			if err != nil {
				t.Fatal(err)
			}
			if edits := sent.edits(back); len(edits) > 0 {
				t.Errorf("%q: %v", text, paths(edits))
			}
		}
	}
}

func TestRecipientsThatComeAndGoBecomeEdits(t *testing.T) {
	sent := newEnvelope(&filterproto.Envelope{ReversePath: "a@x.example", Recipients: []filterproto.Recipient{{Path: "b@x.example"}, {Path: `"c>"@x.example`}}})
	back, err := readEnvelope(reader("O<new@x.example>\nO<new@x.example>\nO<b@x.example>\nS<>\nE<NOTIFY=NEVER>\nSubject: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `reverse_path_set |recipient_add new@x.example|recipient_delete "c>"@x.example`
	if got := strings.Join(paths(sent.edits(back)), "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// MailScanner takes the client's address from the first brackets in the first
// parentheses of the first Received field.
func TestPeerCannotSayItsOwnAddress(t *testing.T) {
	for _, c := range []struct {
		info filterproto.ClientInfo
		want string
	}{
		{filterproto.ClientInfo{Address: "192.0.2.1", Helo: "x (y [127.0.0.1])", Name: "a\n\tb (c [127.0.0.1])"}, "[192.0.2.1]"},
		{filterproto.ClientInfo{Address: "2001:db8::1", Helo: "[IPv6:::1]", Name: "[127.0.0.1]("}, "[IPv6:2001:db8::1]"},
		{filterproto.ClientInfo{Address: "::ffff:192.0.2.1"}, "[192.0.2.1]"},
		{filterproto.ClientInfo{Helo: strings.Repeat("x", 9999)}, "[127.0.0.1]"},
	} {
		text := string(preamble(testName, c.info, testTime))
		line, _, _ := strings.Cut(text, "\n")
		_, inside, _ := strings.Cut(line, "(")
		if !strings.HasSuffix(line, " "+c.want+")") || strings.ContainsAny(strings.TrimSuffix(inside, c.want+")"), "()") || strings.Count(text, "\n") != 4 {
			t.Errorf("%+v: %q", c.info, text)
		}
		if len(text) > 2048 {
			t.Errorf("%d octets", len(text))
		}
	}
}

func TestNameIsOneThatMailScannerKeeps(t *testing.T) {
	for _, id := range []string{"0SADCGS0G0000", "0SADCGS0G0000-2", "A", strings.Repeat("A", 40)} {
		for _, n := range []uint64{1, 1 << 63} {
			name := newName(id, "ABCDEFGH", n)
			if owner, ok := ownerOf(name); !ok || owner != "ABCDEFGH" || len(name) > 32 {
				t.Errorf("%s: %q, %t", name, owner, ok)
			}
		}
	}
	if name, ok := ofTemp("temp-123-" + testName); !ok || name != testName {
		t.Errorf("%q, %t", name, ok)
	}
	for _, file := range []string{"temp-" + testName, testName, "temp-mtad-ABCDEFGH", "temp--" + testName} {
		if name, ok := ofTemp(file); ok {
			t.Errorf("%s: %s", file, name)
		}
	}
}
