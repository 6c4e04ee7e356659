package signfilter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"mtad/internal/dkimkey"
	"mtad/internal/filter"
	"mtad/internal/filter/scannertest"
	"mtad/internal/msgauth"
	"mtad/queue"
)

// records is a resolver with key records.
type records map[string]string

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	if txt, ok := r[name]; ok {
		return []string{txt}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (r records) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, &net.DNSError{} }

func (r records) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{}
}

func (r records) LookupAddr(context.Context, string) ([]string, error) { return nil, &net.DNSError{} }

func yes(*queue.Item) bool { return true }

// newFilter makes a filter with keys given as "selector domain from from".
func newFilter(t testing.TB, own func(*queue.Item) bool, keys ...string) (*Filter, records) {
	t.Helper()
	r := records{}
	o := Options{Own: own, Signing: msgauth.Signing{
		Headers: []string{"From", "To", "Subject", "Date", "Message-ID"}, Oversign: []string{"From"}, Canonicalization: "simple/simple",
	}}
	for _, k := range keys {
		f := strings.Fields(k)
		kind := dkimkey.Ed25519
		if strings.HasPrefix(f[0], "rsa") {
			kind = dkimkey.RSA
		}
		key, err := dkimkey.Generate(kind, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if r[dkimkey.Name(f[0], f[1])], err = dkimkey.Record(key.Public()); err != nil {
			t.Fatal(err)
		}
		o.Keys = append(o.Keys, Key{Signer: msgauth.Signer{Selector: f[0], Domain: f[1], Key: key}, From: f[2:]})
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f, r
}

// verified are the signatures of a message: selector=result.
func verified(t testing.TB, r records, message string) string {
	t.Helper()
	header, body, err := filter.ReadHeader(strings.NewReader(message), maxHeader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&msgauth.Checker{Resolver: r}).Check(context.Background(), msgauth.Session{}, header, body)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range got.Signatures {
		list = append(list, fmt.Sprint(s.Selector, "=", s.Result))
	}
	return strings.Join(list, " ")
}

func TestKeysAreChosenByTheAuthor(t *testing.T) {
	f, r := newFilter(t, yes, "own example.org", "rsa example.org example.org", "below example.org .example.org", "any example.com * example.net")
	for from, want := range map[string]string{
		"a@example.org":                "own=pass rsa=pass any=pass",
		"A <a@EXAMPLE.org>":            "own=pass rsa=pass any=pass",
		"a@mail.example.org":           "below=pass any=pass",
		"a@notexample.org":             "any=pass",
		"a@example.org, b@example.org": "own=pass rsa=pass any=pass",
		"a@example.org, b@example.net": "",
		"nobody":                       "",
	} {
		message := strings.Replace(scannertest.Ham(), "Sender <sender@example.org>", from, 1)
		o := scannertest.Try(t, f, message, scannertest.Setup{})
		if got := verified(t, r, o.Content); o.Err != nil || got != want || !strings.HasSuffix(o.Content, message) {
			t.Errorf("%s: got %s, want %s: %v %q", from, got, want, o.Err, o.Content)
		}
	}
}

func TestStrangersMessagesGoOnUnsigned(t *testing.T) {
	f, _ := newFilter(t, func(it *queue.Item) bool { return it.Envelope.Client.SASLUser != "" }, "s example.org")
	o := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{})
	if o.Content != scannertest.Ham() || !strings.Contains(o.Verdict.Reason, "somebody else") {
		t.Errorf("%q, %+v", o.Content, o.Verdict)
	}
}

func TestMessageThatIsSignedAgainHasEachSignatureOnce(t *testing.T) {
	f, r := newFilter(t, yes, "one example.org", "two example.org")
	once := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{}).Content
	changed := strings.Replace(once, "an ordinary", "a changed", 1)
	for range 2 {
		other := "DKIM-Signature: v=1; d=example.org; s=other; b=x\r\n"
		o := scannertest.Try(t, f, other+changed, scannertest.Setup{})
		if got := verified(t, r, o.Content); o.Err != nil || got != "one=pass two=pass other=permerror" {
			t.Errorf("%v, %s in %q", o.Err, got, o.Content)
		}
		changed = strings.Replace(strings.Replace(o.Content, other, "", 1), "a changed", "again a changed", 1)
	}
}

func TestOddMessagesGoOnUnsignedAndSaySo(t *testing.T) {
	f, _ := newFilter(t, yes, "s example.org")
	for name, message := range map[string]string{
		"fields":       "From: a@example.org\r\n" + strings.Repeat("X: y\r\n", 3000) + "\r\nbody\r\n",
		"header":       "From: a@example.org\r\n" + strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", 1200) + "\r\nbody\r\n",
		"empty lines":  "From: a@example.org\r\n\r\n" + strings.Repeat("\r\n", 50_000) + "x\r\n",
		"no header":    "\r\nbody\r\n",
		"empty header": "body\r\n",
	} {
		o := scannertest.Try(t, f, message, scannertest.Setup{})
		if o.Err != nil || o.Content != message || !strings.HasPrefix(o.Verdict.Reason, "not signed") {
			t.Errorf("%s: %v, %+v", name, o.Err, o.Verdict)
		}
	}
}

func TestLargeMessageIsSignedInBoundedMemory(t *testing.T) {
	f, _ := newFilter(t, yes, "one example.org", "two example.org")
	line := []byte(strings.Repeat("x", 76) + "\r\n")
	r := &long{head: []byte(scannertest.Ham()), line: line, left: 50 << 20}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := f.sign(r)
	runtime.ReadMemStats(&after)
	if err != nil || len(s.edits) != 2 || r.left > 0 {
		t.Fatalf("%d edits, %d octets unread, %v", len(s.edits), r.left, err)
	}
	if r.most > 1<<20 || after.HeapSys > before.HeapSys+(40<<20) {
		t.Errorf("asked for %d octets at a time; the heap grew by %d", r.most, after.HeapSys-before.HeapSys)
	}
}

// long is a message with a great many lines.
type long struct {
	head, line []byte
	left, most int
}

func (l *long) Read(p []byte) (int, error) {
	l.most = max(l.most, len(p))
	if len(l.head) > 0 {
		n := copy(p, l.head)
		l.head = l.head[n:]
		return n, nil
	}
	if l.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p, l.line)
	l.left -= n
	return n, nil
}

func TestReportIsSigned(t *testing.T) {
	f, r := newFilter(t, yes, "one example.org", "two example.org")
	fields, err := f.Report([]byte(scannertest.Ham()))
	if err != nil {
		t.Fatal(err)
	}
	if got := verified(t, r, string(fields)+scannertest.Ham()); got != "one=pass two=pass" {
		t.Errorf("%s: %q", got, fields)
	}
	if fields, err := f.Report([]byte("From: a@other.test\r\n\r\n")); err != nil || len(fields) > 0 {
		t.Errorf("another author: %q, %v", fields, err)
	}
	if !bytes.HasPrefix(fields, []byte("DKIM-Signature: ")) {
		t.Errorf("%q", fields)
	}
}
