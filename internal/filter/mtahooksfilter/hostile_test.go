package mtahooksfilter

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scannertest"
)

func newFilter(t testing.TB, o Options) *Filter {
	t.Helper()
	o.Name = "mx.test"
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// at is a Filter of a server that speaks to raw connections.
func at(t testing.TB, setup Setup, serve func(net.Conn)) *Filter {
	return newFilter(t, Options{Setup: setup, Server: hookclient.Options{URL: "http://127.0.0.1/x", Address: scannertest.Serve(t, serve)}})
}

// says reads each request of a connection and answers all of them alike.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(c, text); err != nil || !strings.Contains(text, "\r\n\r\n") || strings.Contains(text, "Connection: close") {
				return
			}
		}
	}
}

func answered(status, body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), strings.Join(append(fields, ""), "\r\n"), body)
}

const isJSON = "Content-Type: application/json"

func ok(body string) string { return answered("200 OK", body, isJSON) }

func endless(front, piece string) func(net.Conn) {
	return func(c net.Conn) {
		says(front + "Connection: close\r\n")(c)
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, piece)
		}
	}
}

func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 100 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	z.Close()
	return b.String()
}

func raw(message string) string {
	return `{"set":[{"path":"/rawMessage","value":"` + base64.StdEncoding.EncodeToString([]byte(message)) + `"}]}`
}

const accept = `{}`

func TestWhatIsNoAnswerIsAFailureOfItsClass(t *testing.T) {
	set := func(path, value string) string { return ok(`{"set":[{"path":"` + path + `","value":` + value + `}]}`) }
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		want  filter.Class
	}{
		{"silence", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, filter.Timeout},
		{"closes at once", func(net.Conn) {}, filter.Crash},
		{"closes after the message", says(""), filter.Crash},
		{"answer cut short", says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nContent-Length: 500\r\n\r\n" + accept), filter.Crash},
		{"message cut short", says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nContent-Length: 900000\r\n\r\n" + raw(strings.Repeat("x", 200_000))), filter.Crash},
		{"not HTTP", says("220 mx.test ESMTP\r\n"), filter.Protocol},
		{"400", says(answered("400 no", `{"error":{"code":"X"}}`, isJSON)), filter.Protocol},
		{"401", says(answered("401 no", accept, isJSON)), filter.Protocol},
		{"404 without a registration", says(answered("404 no", accept, isJSON)), filter.Protocol},
		{"413", says(answered("413 large", accept, isJSON)), filter.OverSize},
		{"429", says(answered("429 slower", accept, isJSON)), filter.Unreachable},
		{"503", says(answered("503 later", accept, isJSON)), filter.Unreachable},
		{"500", says(answered("500 no", accept, isJSON)), filter.Protocol},
		{"moved", says(answered("308 Permanent Redirect", accept, isJSON, "Location: http://127.0.0.1:1/")), filter.Protocol},
		{"empty", says(ok("")), filter.Protocol},
		{"null", says(ok("null")), filter.Protocol},
		{"string", says(ok(`"accept"`)), filter.Protocol},
		{"half an object", says(ok(`{"set":[`)), filter.Protocol},
		{"two objects", says(ok(accept + accept)), filter.Protocol},
		{"unknown operation", says(ok(`{"replace":[]}`)), filter.Protocol},
		{"unknown member", says(ok(`{"set":[{"path":"/action","value":"accept","if":1}]}`)), filter.Protocol},
		{"set twice", says(ok(`{"set":[{"path":"/action","value":"reject"}],"set":null}`)), filter.Protocol},
		{"no value", says(ok(`{"set":[{"path":"/action"}]}`)), filter.Protocol},
		{"no path", says(ok(`{"set":[{"value":1}]}`)), filter.Protocol},
		{"unknown action", says(set("/action", `"Accept"`)), filter.Protocol},
		{"action null", says(set("/action", `null`)), filter.Protocol},
		{"action a number", says(set("/action", `1`)), filter.Protocol},
		{"accepts and refuses", says(set("/response", `{"code":550}`)), filter.Protocol},
		{"rejects with 354", says(ok(`{"set":[{"path":"/action","value":"reject"},{"path":"/response/code","value":354}]}`)), filter.Protocol},
		{"unknown path", says(set("/queue/id", `"x"`)), filter.Protocol},
		{"field that is not there", says(set("/message/headers/99/value", `"x"`)), filter.Protocol},
		{"field by a wild number", says(ok(`{"delete":[{"path":"/message/headers/-1"}]}`)), filter.Protocol},
		{"field by a huge number", says(ok(`{"delete":[{"path":"/message/headers/99999999999999999999"}]}`)), filter.Protocol},
		{"field beyond the end", says(ok(`{"add":[{"path":"/message/headers","index":8,"value":{"name":"A","value":"b"}}]}`)), filter.Protocol},
		{"field at a negative place", says(ok(`{"add":[{"path":"/message/headers","index":-1,"value":{"name":"A","value":"b"}}]}`)), filter.Protocol},
		{"field that ends the header section", says(ok(`{"add":[{"path":"/message/headers","value":{"name":"A","value":"b\r\n\r\nc"}}]}`)), filter.Protocol},
		{"field with a bad name", says(ok(`{"add":[{"path":"/message/headers","value":{"name":"A: b\r\nC","value":"d"}}]}`)), filter.Protocol},
		{"recipient that is none", says(ok(`{"add":[{"path":"/envelope/to","value":{"address":null}}]}`)), filter.Protocol},
		{"recipient with a line end", says(ok(`{"add":[{"path":"/envelope/to","value":{"address":"a@b\r\nRCPT TO:<x@y>"}}]}`)), filter.Protocol},
		{"recipient that is not there", says(ok(`{"delete":[{"path":"/envelope/to/1"}]}`)), filter.Protocol},
		{"message that is no base64", says(set("/rawMessage", `"!!!!"`)), filter.Protocol},
		{"long message that is no base64", says(set("/rawMessage", `"`+strings.Repeat("!", 100_000)+`"`)), filter.Protocol},
		{"message with padding within", says(set("/rawMessage", `"`+strings.Repeat("QQ==", 50_000)+`"`)), filter.Protocol},
		{"message that is null", says(set("/rawMessage", `null`)), filter.Protocol},
		{"message that is empty", says(set("/rawMessage", `""`)), filter.Protocol},
		{"message twice", says(ok(`{"set":[{"path":"/rawMessage","value":"QQ=="},{"path":"/rawMessage","value":"QQ=="}]}`)), filter.Protocol},
		{"long message twice", says(ok(`{"set":[{"path":"/rawMessage","value":"` + strings.Repeat("QUFB", 50_000) + `"},{"path":"/rawMessage","value":"` + strings.Repeat("QUFB", 50_000) + `"}]}`)), filter.Protocol},
		{"long string elsewhere", says(ok(`{"add":[{"path":"/message/headers","value":{"name":"A","value":"` + strings.Repeat("QUFB", 50_000) + `"}}]}`)), filter.Protocol},
		{"message that is too large", says(ok(raw(strings.Repeat("x", 2<<20)))), filter.Protocol},
		{"patch with a test", says(ok(`[{"op":"test","path":"/action","value":"accept"}]`)), filter.Protocol},
		{"patch with a move", says(ok(`[{"op":"move","path":"/message/headers/0","from":"/message/headers/1"}]`)), filter.Protocol},
		{"patch beyond the end", says(ok(`[{"op":"add","path":"/message/headers/99","value":{"name":"A","value":"b"}}]`)), filter.Protocol},
		{"many operations", says(ok(`{"delete":[` + strings.Repeat(`{"path":"/action"},`, 2000) + `{"path":"/action"}]}`)), filter.Protocol},
		{"many fields", says(ok(`{"add":[` + strings.Repeat(`{"path":"/message/headers","value":{"name":"A","value":"b"}},`, 600) + `{"path":"/message/headers","value":{"name":"A","value":"b"}}]}`)), filter.Protocol},
		{"HTML", says(answered("200 OK", accept, "Content-Type: text/html")), filter.Protocol},
		{"compressed", says(answered("200 OK", bomb(), isJSON, "Content-Encoding: gzip")), filter.Protocol},
		{"endless JSON", endless("HTTP/1.1 200 OK\r\n"+isJSON+"\r\nConnection: close\r\n\r\n{", strings.Repeat(" ", 1<<16)), filter.Protocol},
		{"endless message", endless("HTTP/1.1 200 OK\r\n"+isJSON+"\r\nConnection: close\r\n\r\n"+`{"set":[{"path":"/rawMessage","value":"`, strings.Repeat("QUFB", 1<<14)), filter.Protocol},
		{"endless header", endless("HTTP/1.1 200 OK\r\n", strings.Repeat("x: y\r\n", 1<<12)), filter.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			setup := scannertest.Setup{}
			if tt.want == filter.Timeout {
				setup.Timeout = 200 * time.Millisecond
			}
			o := scannertest.Try(t, at(t, Endpoint, tt.serve), scannertest.Ham(), setup)
			if class := o.Class(); class != tt.want {
				t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, tt.want)
			}
		})
	}
}

const (
	document = `{"version":"1.0","serialization":["json"],"endpoints":{"registration":"/register"},
		"capabilities":{"inbound":{"stages":["data"],"fetchProperties":["/rawMessage","/stage"],"updateProperties":["/action"]}}}`
	registeredAs = `{"registrationId":"r1","status":"active","expiresAt":null,"hookEndpoint":"/hook",
		"negotiated":{"serialization":"json","inbound":{"stages":["data"],"properties":["/stage","/rawMessage"]}},"endpoints":{}}`
)

// scripted answers by path.
func scripted(answers map[string]string) func(net.Conn) {
	return func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			text, ok := answers[req.URL.Path]
			if !ok {
				text = answered("404 Not Found", "{}", isJSON)
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

func created(body string) string { return answered("201 Created", body, isJSON) }

func TestWhatIsNoRegistrationIsAFailure(t *testing.T) {
	replaced := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("no %s in %s", old, s)
		}
		return strings.Replace(s, old, new, 1)
	}
	for name, answers := range map[string]map[string]string{
		"no document":                {},
		"a document that is none":    {wellKnown: ok("[]")},
		"another version":            {wellKnown: ok(replaced(document, "1.0", "2.0"))},
		"CBOR alone":                 {wellKnown: ok(replaced(document, `"json"`, `"cbor"`))},
		"another stage":              {wellKnown: ok(replaced(document, `"data"`, `"rcpt"`))},
		"endless document":           {wellKnown: ok(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)},
		"registration elsewhere":     {wellKnown: ok(replaced(document, "/register", "http://127.0.0.1:1/register"))},
		"registration at a host":     {wellKnown: ok(replaced(document, "/register", "//evil.test/register"))},
		"registration of a file":     {wellKnown: ok(replaced(document, "/register", "file:///etc/passwd"))},
		"moved":                      {wellKnown: answered("302 Found", document, isJSON, "Location: /register")},
		"no registration":            {wellKnown: ok(document)},
		"registration is refused":    {wellKnown: ok(document), "/register": answered("403 no", "{}", isJSON)},
		"registration is not 201":    {wellKnown: ok(document), "/register": ok(registeredAs)},
		"no ID":                      {wellKnown: ok(document), "/register": created(replaced(registeredAs, "r1", ""))},
		"ID with a line end":         {wellKnown: ok(document), "/register": created(replaced(registeredAs, "r1", `a\r\nEvil: b`))},
		"ID that is too long":        {wellKnown: ok(document), "/register": created(replaced(registeredAs, "r1", strings.Repeat("x", 256)))},
		"suspended":                  {wellKnown: ok(document), "/register": created(replaced(registeredAs, "active", "suspended"))},
		"over":                       {wellKnown: ok(document), "/register": created(replaced(registeredAs, `"expiresAt":null`, `"expiresAt":"2020-01-01T00:00:00Z"`))},
		"hook elsewhere":             {wellKnown: ok(document), "/register": created(replaced(registeredAs, "/hook", "https://127.0.0.1/hook"))},
		"hook at another port":       {wellKnown: ok(document), "/register": created(replaced(registeredAs, "/hook", "http://127.0.0.1:81/hook"))},
		"deregistration elsewhere":   {wellKnown: ok(document), "/register": created(replaced(registeredAs, `"endpoints":{}`, `"endpoints":{"deregistration":"http://evil.test/"}`))},
		"CBOR is agreed":             {wellKnown: ok(document), "/register": created(replaced(registeredAs, `"serialization":"json"`, `"serialization":"cbor"`))},
		"forgotten each time":        {wellKnown: ok(document), "/register": created(registeredAs), "/hook": answered("410 Gone", "{}", isJSON)},
		"changes what it may not":    {wellKnown: ok(document), "/register": created(registeredAs), "/hook": ok(raw("x\r\n"))},
		"changes its neighbour, too": {wellKnown: ok(document), "/register": created(registeredAs), "/hook": ok(`{"set":[{"path":"/actions","value":"reject"}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if o := scannertest.Try(t, at(t, Discovery, scripted(answers)), scannertest.Ham(), scannertest.Setup{}); o.Class() != filter.Protocol {
				t.Errorf("%+v, %v", o.Verdict, o.Err)
			}
		})
	}
}

func TestMessageBeyondTheScannersLimitIsNotSent(t *testing.T) {
	f := at(t, Discovery, scripted(map[string]string{
		wellKnown: ok(strings.Replace(document, `"version"`, `"limits":{"maxMessageSize":10},"version"`, 1)), "/register": created(registeredAs)}))
	if o := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{}); o.Class() != filter.OverSize {
		t.Errorf("%+v, %v", o.Verdict, o.Err)
	}
}
