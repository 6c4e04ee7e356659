package webhookfilter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

func newFilter(t testing.TB, o Options) *Filter {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// at is a Filter of a server that speaks to raw connections.
func at(t testing.TB, serve func(net.Conn)) *Filter {
	return newFilter(t, Options{Server: hookclient.Options{URL: "http://127.0.0.1/", Address: scannertest.Serve(t, serve)}})
}

const isJSON = "Content-Type: application/json"

func ok(body string) string { return scannertest.Answered("200 OK", body, isJSON) }

const fine = `{"disposition":"accept"}`

func TestWhatIsNoVerdictIsAFailureOfItsClass(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		want  filter.Class
	}{
		{"silence", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, filter.Timeout},
		{"closes at once", func(net.Conn) {}, filter.Crash},
		{"closes after the message", scannertest.Says(""), filter.Crash},
		{"answer cut short", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nContent-Length: 500\r\n\r\n" + fine), filter.Crash},
		{"chunk cut short", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + fine), filter.Crash},
		{"not HTTP", scannertest.Says("220 mx.test ESMTP\r\n"), filter.Protocol},
		{"500", scannertest.Says(scannertest.Answered("500 no", fine, isJSON)), filter.Protocol},
		{"401", scannertest.Says(scannertest.Answered("401 no", fine, isJSON)), filter.Protocol},
		{"404", scannertest.Says(scannertest.Answered("404 no", fine, isJSON)), filter.Protocol},
		{"204", scannertest.Says("HTTP/1.1 204 No Content\r\n\r\n"), filter.Protocol},
		{"201", scannertest.Says(scannertest.Answered("201 Created", fine, isJSON)), filter.Protocol},
		{"413", scannertest.Says(scannertest.Answered("413 large", fine, isJSON)), filter.OverSize},
		{"429", scannertest.Says(scannertest.Answered("429 slower", fine, isJSON)), filter.Unreachable},
		{"502", scannertest.Says(scannertest.Answered("502 gateway", fine, isJSON)), filter.Unreachable},
		{"503", scannertest.Says(scannertest.Answered("503 later", fine, isJSON)), filter.Unreachable},
		{"moved", scannertest.Says(scannertest.Answered("307 Temporary Redirect", fine, isJSON, "Location: http://127.0.0.1:1/")), filter.Protocol},
		{"found", scannertest.Says(scannertest.Answered("302 Found", fine, isJSON, "Location: /other")), filter.Protocol},
		{"empty", scannertest.Says(ok("")), filter.Protocol},
		{"null", scannertest.Says(ok("null")), filter.Protocol},
		{"list", scannertest.Says(ok("[]")), filter.Protocol},
		{"empty object", scannertest.Says(ok("{}")), filter.Protocol},
		{"empty disposition", scannertest.Says(ok(`{"disposition":""}`)), filter.Protocol},
		{"unknown disposition", scannertest.Says(ok(`{"disposition":"Accept"}`)), filter.Protocol},
		{"another case", scannertest.Says(ok(`{"Disposition":"accept"}`)), filter.Protocol},
		{"twice", scannertest.Says(ok(`{"disposition":"reject","disposition":"accept"}`)), filter.Protocol},
		{"misspelt", scannertest.Says(ok(`{"disposition":"accept","edit":[]}`)), filter.Protocol},
		{"two verdicts", scannertest.Says(ok(fine + fine)), filter.Protocol},
		{"half a verdict", scannertest.Says(ok(fine[:12])), filter.Protocol},
		{"an upload", scannertest.Says(ok(`{"disposition":"accept","edits":[{"op":"body_replace","upload":"1"}]}`)), filter.Protocol},
		{"a bad edit", scannertest.Says(ok(`{"disposition":"accept","edits":[{"op":"header_add","name":"X","value":"a\r\n\r\nb"}]}`)), filter.Protocol},
		{"not UTF-8", scannertest.Says(ok("{\"disposition\":\"accept\",\"reason\":\"\xff\"}")), filter.Protocol},
		{"deep", scannertest.Says(ok(strings.Repeat(`{"recipients":[`, 1000))), filter.Protocol},
		{"HTML", scannertest.Says(scannertest.Answered("200 OK", fine, "Content-Type: text/html")), filter.Protocol},
		{"no type", scannertest.Says(scannertest.Answered("200 OK", fine)), filter.Protocol},
		{"compressed", scannertest.Says(scannertest.Answered("200 OK", scannertest.Bomb(), isJSON, "Content-Encoding: gzip")), filter.Protocol},
		{"longer than it says", scannertest.Says(scannertest.Answered("200 OK", fine, isJSON, "Connection: close") + "xxxx"), ""},
		{"negative length", scannertest.Says("HTTP/1.1 200 OK\r\n" + isJSON + "\r\nContent-Length: -1\r\n\r\n" + fine), filter.Protocol},
		{"huge length", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nContent-Length: 9000000000000000000\r\n\r\n" + fine), filter.Crash},
		{"endless JSON", scannertest.Endless("HTTP/1.1 200 OK\r\n"+isJSON+"\r\nConnection: close\r\n\r\n{\"reason\":\"", strings.Repeat("x", 1<<16)), filter.Protocol},
		{"endless header", scannertest.Endless("HTTP/1.1 200 OK\r\n", strings.Repeat("x: y\r\n", 1<<12)), filter.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			setup := scannertest.Setup{}
			if tt.want == filter.Timeout {
				setup.Timeout = 200 * time.Millisecond
			}
			o := scannertest.Try(t, at(t, tt.serve), scannertest.Ham(), setup)
			if class := o.Class(); class != tt.want {
				t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, tt.want)
			}
		})
	}
}

func TestNobodyThereIsUnreachable(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	for name, url := range map[string]string{"nobody listens": "http://" + scannertest.FreeAddr(t) + "/", "a certificate of nobody's": server.URL} {
		if o := scannertest.Try(t, newFilter(t, Options{Server: hookclient.Options{URL: url}}), scannertest.Ham(), scannertest.Setup{}); o.Class() != filter.Unreachable {
			t.Errorf("%s: %+v, %v", name, o.Verdict, o.Err)
		}
	}
}

// An answer that comes before the message was read is not one about the message.
func TestAnswerBeforeTheMessageIsNone(t *testing.T) {
	message := scannertest.Header + "\r\n" + strings.Repeat("0123456789abcdef\r\n", 1<<20)
	f := at(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 100))
		_, _ = io.WriteString(c, ok(fine))
		_, _ = io.CopyN(io.Discard, c, 1<<20)
	})
	if o := scannertest.Try(t, f, message, scannertest.Setup{}); o.Err == nil {
		t.Errorf("got %+v", o.Verdict)
	}
}

func TestRequestHasEnvelopeAndOctetsAndIsSigned(t *testing.T) {
	key := []byte("0123456789abcdef")
	now := time.Unix(1_800_000_000, 0)
	message := "Subject: \xff\r\n\r\n" + strings.Repeat("line\r\n", 100_000) + "\x00\n"
	env := scannertest.Envelope()
	env.Recipients = append(env.Recipients, queue.Recipient{Path: "gone@example.net", Status: queue.Failed}, queue.Recipient{Path: "second@example.net"})
	f := newFilter(t, Options{Key: key, Now: func() time.Time { return now }, Server: hookclient.Options{
		URL: "http://handler.test/a?b=c", Authorization: "Bearer x",
		Address: scannertest.Serve(t, func(c net.Conn) {
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(c, ok(asSeen(t, req, body, key, message)))
		})}})
	o := scannertest.Try(t, f, message, scannertest.Setup{Envelope: &env})
	if o.Err != nil || o.Verdict.Reason != "seen" {
		t.Errorf("%+v, %v", o.Verdict, o.Err)
	}
}

func asSeen(t *testing.T, req *http.Request, body, key []byte, message string) string {
	line, content, _ := bytes.Cut(body, []byte("\n"))
	var m filterproto.MessageInfo
	if err := json.Unmarshal(line, &m); err != nil {
		t.Error(err)
	}
	if string(content) != message || m.Size != int64(len(message)) || string(m.Trace) != scannertest.Trace {
		t.Errorf("%d octets, %+v", len(content), m)
	}
	if m.Stage != "f" || m.Envelope.ReversePath != "sender@example.org" || len(m.Envelope.Recipients) != 2 || m.Envelope.Client.Address != "192.0.2.1" {
		t.Errorf("%+v", m)
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte("1800000000."))
	h.Write(body)
	for name, want := range map[string]string{
		"Mtad-Signature": "t=1800000000,v1=" + hex.EncodeToString(h.Sum(nil)), "Authorization": "Bearer x", "Content-Type": MediaType,
		"Content-Length": fmt.Sprint(len(body)), "Accept-Encoding": "",
	} {
		if got := req.Header.Get(name); got != want && name != "Content-Length" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if req.ContentLength != int64(len(body)) || req.RequestURI != "/a?b=c" || req.Host != "handler.test" {
		t.Errorf("%s %s %d", req.Host, req.RequestURI, req.ContentLength)
	}
	return `{"disposition":"accept","reason":"seen"}`
}

func TestVerdictIsCarriedOut(t *testing.T) {
	verdict := `{"disposition":"accept","score":2.5,"symbols":["A"],"quarantine":{"reason":"look"},"edits":[
		{"op":"header_insert","name":"X-Top","value":"1"},{"op":"body_replace","body":"bmV3DQo="},
		{"op":"reverse_path_set","value":"x@example.org"},{"op":"recipient_add","value":"y@example.net","params":"NOTIFY=NEVER"}]}`
	o := scannertest.Try(t, at(t, scannertest.Says(ok(verdict))), scannertest.Ham(), scannertest.Setup{})
	if o.Err != nil || o.Content != "X-Top: 1\r\n"+scannertest.Header+"\r\nnew\r\n" {
		t.Errorf("%v, %q", o.Err, o.Content)
	}
	if o.Item.Hold == nil || o.Item.Hold.Reason != "look" || o.Item.Envelope.ReversePath != "x@example.org" || len(o.Verdict.Edits) != 4 {
		t.Errorf("%+v", o.Item)
	}
}

// A connection that the server closed while nobody used it is no failure of the
// next message.
func TestConnectionClosedWhileIdleIsNotedBeforeAMessageIsLost(t *testing.T) {
	conns := make(chan net.Conn, 10)
	f := at(t, func(c net.Conn) {
		conns <- c
		scannertest.Says(ok(fine))(c)
	})
	for i := range 5 {
		if o := scannertest.Try(t, filter.KindFunc(f.Scan), scannertest.Ham(), scannertest.Setup{}); o.Err != nil {
			t.Fatalf("message %d: %v", i, o.Err)
		}
		(<-conns).Close()
	}
}

func TestConnectionsAreKept(t *testing.T) {
	conns := make(chan net.Conn, 10)
	f := at(t, func(c net.Conn) { conns <- c; scannertest.Says(ok(fine))(c) })
	for range 3 {
		if o := scannertest.Try(t, filter.KindFunc(f.Scan), scannertest.Ham(), scannertest.Setup{}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections", len(conns))
	}
}

func FuzzVerdict(f *testing.F) {
	for _, s := range []string{fine, `{"disposition":"reject","reply":{"code":550,"text":"x"}}`, `{}`, `{"Disposition":"accept"}`, `[]`, `{"disposition":"accept","disposition":"reject"}`,
		`{"disposition":"accept","recipients":[{"recipients":["a@b"],"verdict":{"disposition":"discard"}}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if err != nil {
			if v.Disposition != "" {
				t.Errorf("%q is refused, and a verdict", b)
			}
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		w, err := parse(again)
		if third, _ := json.Marshal(w); err != nil || !bytes.Equal(third, again) {
			t.Errorf("%s is read as %s, %v", again, third, err)
		}
	})
}

// Memory is bounded: a message goes out in pieces, signed or not.
func TestMessagesAreNeverWholeInMemory(t *testing.T) {
	const size = 12 << 20
	address := scannertest.Serve(t, scannertest.Says(ok(fine)))
	f := newFilter(t, Options{Key: []byte("0123456789abcdef"), Server: hookclient.Options{URL: "http://127.0.0.1/", Address: address}})
	var spent uint64
	kind := filter.KindFunc(func(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
		before := allocated()
		c, err := m.Open(ctx, false) // the queue of the test copies the message
		if err != nil {
			return filterproto.Verdict{}, err
		}
		c.Close()
		open := allocated() - before
		v, err := f.Scan(ctx, m)
		spent = allocated() - before - 3*open // once to sign it
		return v, err
	})
	if o := scannertest.Try(t, kind, strings.Repeat("0123456789abcde\n", size/16), scannertest.Setup{}); o.Err != nil || spent > size/4 {
		t.Errorf("%d octets for a message of %d, %v", spent, size, o.Err)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestServerIsVerifiedWithTheCAOfTheConfiguration(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, fine)
	}))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	address := strings.TrimPrefix(server.URL, "https://")
	for url, want := range map[string]filter.Class{server.URL: "", "https://example.com/": "", "https://example.org/": filter.Unreachable} {
		f := newFilter(t, Options{Server: hookclient.Options{URL: url, Address: address, CA: ca}})
		if o := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{}); o.Class() != want {
			t.Errorf("%s: %+v, %v", url, o.Verdict, o.Err)
		}
	}
}
