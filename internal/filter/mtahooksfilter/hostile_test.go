package mtahooksfilter

import (
	"bufio"
	"encoding/base64"
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

const isJSON = "Content-Type: application/json"

func ok(body string) string { return scannertest.Answered("200 OK", body, isJSON) }

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
		{"closes after the message", scannertest.Says(""), filter.Crash},
		{"answer cut short", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nContent-Length: 500\r\n\r\n" + accept), filter.Crash},
		{"message cut short", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\n" + isJSON + "\r\nContent-Length: 900000\r\n\r\n" + raw(strings.Repeat("x", 200_000))), filter.Crash},
		{"not HTTP", scannertest.Says("220 mx.test ESMTP\r\n"), filter.Protocol},
		{"400", scannertest.Says(scannertest.Answered("400 no", `{"error":{"code":"X"}}`, isJSON)), filter.Protocol},
		{"401", scannertest.Says(scannertest.Answered("401 no", accept, isJSON)), filter.Protocol},
		{"404 without a registration", scannertest.Says(scannertest.Answered("404 no", accept, isJSON)), filter.Protocol},
		{"413", scannertest.Says(scannertest.Answered("413 large", accept, isJSON)), filter.OverSize},
		{"429", scannertest.Says(scannertest.Answered("429 slower", accept, isJSON)), filter.Unreachable},
		{"503", scannertest.Says(scannertest.Answered("503 later", accept, isJSON)), filter.Unreachable},
		{"500", scannertest.Says(scannertest.Answered("500 no", accept, isJSON)), filter.Protocol},
		{"moved", scannertest.Says(scannertest.Answered("308 Permanent Redirect", accept, isJSON, "Location: http://127.0.0.1:1/")), filter.Protocol},
		{"empty", scannertest.Says(ok("")), filter.Protocol},
		{"null", scannertest.Says(ok("null")), filter.Protocol},
		{"string", scannertest.Says(ok(`"accept"`)), filter.Protocol},
		{"half an object", scannertest.Says(ok(`{"set":[`)), filter.Protocol},
		{"two objects", scannertest.Says(ok(accept + accept)), filter.Protocol},
		{"unknown operation", scannertest.Says(ok(`{"replace":[]}`)), filter.Protocol},
		{"unknown member", scannertest.Says(ok(`{"set":[{"path":"/action","value":"accept","if":1}]}`)), filter.Protocol},
		{"set twice", scannertest.Says(ok(`{"set":[{"path":"/action","value":"reject"}],"set":null}`)), filter.Protocol},
		{"no value", scannertest.Says(ok(`{"set":[{"path":"/action"}]}`)), filter.Protocol},
		{"no path", scannertest.Says(ok(`{"set":[{"value":1}]}`)), filter.Protocol},
		{"unknown action", scannertest.Says(set("/action", `"Accept"`)), filter.Protocol},
		{"action null", scannertest.Says(set("/action", `null`)), filter.Protocol},
		{"action a number", scannertest.Says(set("/action", `1`)), filter.Protocol},
		{"accepts and refuses", scannertest.Says(set("/response", `{"code":550}`)), filter.Protocol},
		{"rejects with 354", scannertest.Says(ok(`{"set":[{"path":"/action","value":"reject"},{"path":"/response/code","value":354}]}`)), filter.Protocol},
		{"unknown path", scannertest.Says(set("/queue/id", `"x"`)), filter.Protocol},
		{"field that is not there", scannertest.Says(set("/message/headers/99/value", `"x"`)), filter.Protocol},
		{"field by a wild number", scannertest.Says(ok(`{"delete":[{"path":"/message/headers/-1"}]}`)), filter.Protocol},
		{"field by a huge number", scannertest.Says(ok(`{"delete":[{"path":"/message/headers/99999999999999999999"}]}`)), filter.Protocol},
		{"field beyond the end", scannertest.Says(ok(`{"add":[{"path":"/message/headers","index":8,"value":{"name":"A","value":"b"}}]}`)), filter.Protocol},
		{"field at a negative place", scannertest.Says(ok(`{"add":[{"path":"/message/headers","index":-1,"value":{"name":"A","value":"b"}}]}`)), filter.Protocol},
		{"field that ends the header section", scannertest.Says(ok(`{"add":[{"path":"/message/headers","value":{"name":"A","value":"b\r\n\r\nc"}}]}`)), filter.Protocol},
		{"field with a bad name", scannertest.Says(ok(`{"add":[{"path":"/message/headers","value":{"name":"A: b\r\nC","value":"d"}}]}`)), filter.Protocol},
		{"recipient that is none", scannertest.Says(ok(`{"add":[{"path":"/envelope/to","value":{"address":null}}]}`)), filter.Protocol},
		{"recipient with a line end", scannertest.Says(ok(`{"add":[{"path":"/envelope/to","value":{"address":"a@b\r\nRCPT TO:<x@y>"}}]}`)), filter.Protocol},
		{"recipient that is not there", scannertest.Says(ok(`{"delete":[{"path":"/envelope/to/1"}]}`)), filter.Protocol},
		{"message that is no base64", scannertest.Says(set("/rawMessage", `"!!!!"`)), filter.Protocol},
		{"long message that is no base64", scannertest.Says(set("/rawMessage", `"`+strings.Repeat("!", 100_000)+`"`)), filter.Protocol},
		{"message with padding within", scannertest.Says(set("/rawMessage", `"`+strings.Repeat("QQ==", 50_000)+`"`)), filter.Protocol},
		{"message that is null", scannertest.Says(set("/rawMessage", `null`)), filter.Protocol},
		{"message that is empty", scannertest.Says(set("/rawMessage", `""`)), filter.Protocol},
		{"message twice", scannertest.Says(ok(`{"set":[{"path":"/rawMessage","value":"QQ=="},{"path":"/rawMessage","value":"QQ=="}]}`)), filter.Protocol},
		{"long message twice", scannertest.Says(ok(`{"set":[{"path":"/rawMessage","value":"` + strings.Repeat("QUFB", 50_000) + `"},{"path":"/rawMessage","value":"` + strings.Repeat("QUFB", 50_000) + `"}]}`)), filter.Protocol},
		{"long string elsewhere", scannertest.Says(ok(`{"add":[{"path":"/message/headers","value":{"name":"A","value":"` + strings.Repeat("QUFB", 50_000) + `"}}]}`)), filter.Protocol},
		{"message that is too large", scannertest.Says(ok(raw(strings.Repeat("x", 2<<20)))), filter.Protocol},
		{"patch with a test", scannertest.Says(ok(`[{"op":"test","path":"/action","value":"accept"}]`)), filter.Protocol},
		{"patch with a move", scannertest.Says(ok(`[{"op":"move","path":"/message/headers/0","from":"/message/headers/1"}]`)), filter.Protocol},
		{"patch beyond the end", scannertest.Says(ok(`[{"op":"add","path":"/message/headers/99","value":{"name":"A","value":"b"}}]`)), filter.Protocol},
		{"many operations", scannertest.Says(ok(`{"delete":[` + strings.Repeat(`{"path":"/action"},`, 2000) + `{"path":"/action"}]}`)), filter.Protocol},
		{"many fields", scannertest.Says(ok(`{"add":[` + strings.Repeat(`{"path":"/message/headers","value":{"name":"A","value":"b"}},`, 600) + `{"path":"/message/headers","value":{"name":"A","value":"b"}}]}`)), filter.Protocol},
		{"HTML", scannertest.Says(scannertest.Answered("200 OK", accept, "Content-Type: text/html")), filter.Protocol},
		{"compressed", scannertest.Says(scannertest.Answered("200 OK", scannertest.Bomb(), isJSON, "Content-Encoding: gzip")), filter.Protocol},
		{"endless JSON", scannertest.Endless("HTTP/1.1 200 OK\r\n"+isJSON+"\r\nConnection: close\r\n\r\n{", strings.Repeat(" ", 1<<16)), filter.Protocol},
		{"endless message", scannertest.Endless("HTTP/1.1 200 OK\r\n"+isJSON+"\r\nConnection: close\r\n\r\n"+`{"set":[{"path":"/rawMessage","value":"`, strings.Repeat("QUFB", 1<<14)), filter.Protocol},
		{"endless header", scannertest.Endless("HTTP/1.1 200 OK\r\n", strings.Repeat("x: y\r\n", 1<<12)), filter.Protocol},
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
				text = scannertest.Answered("404 Not Found", "{}", isJSON)
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

func created(body string) string { return scannertest.Answered("201 Created", body, isJSON) }

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
		"moved":                      {wellKnown: scannertest.Answered("302 Found", document, isJSON, "Location: /register")},
		"no registration":            {wellKnown: ok(document)},
		"registration is refused":    {wellKnown: ok(document), "/register": scannertest.Answered("403 no", "{}", isJSON)},
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
		"forgotten each time":        {wellKnown: ok(document), "/register": created(registeredAs), "/hook": scannertest.Answered("410 Gone", "{}", isJSON)},
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
