package mtahooksfilter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// exchange is a request as the scanner got it.
type exchange struct {
	*http.Request
	body []byte
}

// recorded answers by path, as scripted does, and keeps the requests.
func recorded(answers map[string]string, got chan<- exchange) func(net.Conn) {
	return func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			got <- exchange{req, body}
			if _, err := io.WriteString(c, answers[req.Method+" "+req.URL.Path]); err != nil {
				return
			}
		}
	}
}

func TestRequestHasWhatWasAgreedOn(t *testing.T) {
	all, _ := json.Marshal(properties())
	got := make(chan exchange, 10)
	f := newFilter(t, Options{Timeout: 30 * time.Second, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Version: "v",
		Server: hookclient.Options{URL: "http://scanner.test/", Authorization: "Bearer x", Address: scannertest.Serve(t, recorded(map[string]string{
			"GET " + wellKnown: ok(strings.Replace(document, `["/rawMessage","/stage"]`, string(all), 1)),
			"POST /register":   created(strings.Replace(strings.Replace(registeredAs, `["/stage","/rawMessage"]`, string(all), 1), `"endpoints":{}`, `"endpoints":{"deregistration":"/register/r1"}`, 1)),
			"POST /hook":       "HTTP/1.1 204 No Content\r\n\r\n", "DELETE /register/r1": ok("{}"),
		}, got))}})
	env := scannertest.Envelope()
	env.ReversePath, env.Return, env.EnvID = "", "HDRS", "id7"
	env.Client.SASLUser, env.Client.SASLMethod, env.Client.TLSProtocol, env.Client.TLSCipher, env.Client.TLSKeySize = "bob", "PLAIN", "TLSv1.3", "AES", 256
	env.Recipients = append(env.Recipients, queue.Recipient{Path: "gone@example.net", Status: queue.Failed},
		queue.Recipient{Path: "second@example.net", Notify: queue.NotifySuccess | queue.NotifyDelay, ORCPT: "rfc822;x@example.net"})
	message := "A: 1\r\n\tfolded\r\nB:2\r\n\r\n" + strings.Repeat("\x00\xff octets\r\n", 9999)
	if o := scannertest.Try(t, filter.KindFunc(f.Scan), message, scannertest.Setup{Envelope: &env}); o.Err != nil || o.Content != message {
		t.Fatalf("%v, %d octets", o.Err, len(o.Content))
	}
	f.Close()
	close(got)
	var list []exchange
	for e := range got {
		list = append(list, e)
	}
	if len(list) != 4 || list[3].Method != http.MethodDelete {
		t.Fatalf("%d requests", len(list))
	}
	for _, e := range list {
		if e.Header.Get("Authorization") != "Bearer x" || e.Host != "scanner.test" {
			t.Errorf("%s: %v", e.URL, e.Header)
		}
	}
	if want := `{"inbound":{"properties":` + string(all) + `,"stages":["data"]},"name":"mx.test","outbound":null,"serialization":"json","timeoutMs":30000,"version":"v"}`; string(list[1].body) != want {
		t.Errorf("registers with %s, want %s", list[1].body, want)
	}
	hook := list[2]
	if hook.Header.Get("X-MTA-Hooks-Registration") != "r1" || len(hook.Header.Get("X-MTA-Hooks-Request-Id")) != 32 || hook.ContentLength != int64(len(hook.body)) {
		t.Errorf("%v", hook.Header)
	}
	var r map[string]json.RawMessage
	if err := json.Unmarshal(hook.body, &r); err != nil {
		t.Fatal(err)
	}
	var id struct{ ID string }
	_ = json.Unmarshal(r["queue"], &id)
	for name, want := range map[string]string{
		"stage": `"data"`, "action": `"accept"`, "timestamp": `"2027-01-15T08:00:00Z"`, "protocol": `{"version":"1.0"}`, "queue": `{"id":"` + id.ID + `"}`,
		"response": `{"code":250,"enhancedCode":"2.0.0","message":"accepted"}`, "server": `{"name":"mx.test"}`, "auth": `{"login":"bob","method":"PLAIN"}`,
		"client": `{"ehlo":"mail.example.org","ip":"192.0.2.1","port":0,"ptr":"mail.example.org"}`,
		"tls":    `{"certIssuer":null,"certSubject":null,"cipher":"AES","cipherBits":256,"version":"TLSv1.3"}`,
		"envelope": `{"from":{"address":null,"parameters":{"ENVID":"id7","RET":"HDRS"}},"to":[{"address":"rcpt@example.net","parameters":{}},` +
			`{"address":"second@example.net","parameters":{"NOTIFY":"SUCCESS,DELAY","ORCPT":"rfc822;x@example.net"}}]}`,
		"message":    fmt.Sprintf(`{"headers":[{"name":"A","value":"1\r\n\tfolded"},{"name":"B","value":"2"}],"size":%d}`, len(message)),
		"rawMessage": `"` + base64.StdEncoding.EncodeToString([]byte(message)) + `"`,
	} {
		if string(r[name]) != want {
			t.Errorf("%s: got %.300s, want %.300s", name, r[name], want)
		}
		delete(r, name)
	}
	if len(r) != 0 {
		t.Errorf("also %v", slices.Collect(maps.Keys(r)))
	}
}

func TestAnswersBecomeVerdicts(t *testing.T) {
	const ham = scannertest.Header + "\r\nan ordinary message\r\n"
	mime := strings.Index(scannertest.Header, "MIME")
	long := scannertest.Header + "\r\n" + strings.Repeat("0123456789abcdef\r\n", 5_000)
	for _, tt := range []struct{ name, answer, want, says string }{
		{"nothing", `{}`, ham, "accept"},
		{"nulls", `{"set":null,"add":null,"delete":null}`, ham, "accept"},
		{"an empty patch", `[]`, ham, "accept"},
		{"a field at the end", `{"add":[{"path":"/message/headers","value":{"name":"X","value":"1"}}]}`, scannertest.Header + "X: 1\r\n" + ham[len(scannertest.Header):], "accept"},
		{"fields on top, in order", `{"add":[{"path":"/message/headers","value":{"name":"X","value":"1"},"index":0},{"path":"/message/headers","value":{"name":"Y","value":"2"},"index":1}]}`, "X: 1\r\nY: 2\r\n" + ham, "accept"},
		{"fields on top, the other way", `{"add":[{"path":"/message/headers","value":{"name":"X","value":"1"},"index":0},{"path":"/message/headers","value":{"name":"Y","value":"2"},"index":0}]}`, "Y: 2\r\nX: 1\r\n" + ham, "accept"},
		{"a field between, and one removed", `{"add":[{"path":"/message/headers","value":{"name":"X","value":"1"},"index":5}],"delete":[{"path":"/message/headers/0"}]}`,
			strings.TrimPrefix(scannertest.Header[:mime]+"X: 1\r\n"+ham[mime:], "Message-ID: <t1@example.org>\r\n"), "accept"},
		{"removed from the top, one by one", `{"delete":[{"path":"/message/headers/0"},{"path":"/message/headers/0"}]}`, ham[strings.Index(ham, "From:"):], "accept"},
		{"added and removed", `{"add":[{"path":"/message/headers","value":{"name":"X","value":"1"},"index":0}],"delete":[{"path":"/message/headers/0"}]}`, ham, "accept"},
		{"a value changed", `{"set":[{"path":"/message/headers/4/value","value":"other"}]}`, strings.Replace(ham, "Subject: test", "Subject: other", 1), "accept"},
		{"a field changed", `{"set":[{"path":"/message/headers/4","value":{"name":"SUBJECT","value":"other"}}]}`, strings.Replace(ham, "Subject: test", "Subject: other", 1), "accept"},
		{"a field renamed", `{"set":[{"path":"/message/headers/4/name","value":"X-Subject"}]}`, strings.Replace(ham, "Subject: test", "X-Subject: test", 1), "accept"},
		{"the subject", `{"set":[{"path":"/message/subject","value":"[EXTERNAL]\r\n x"}]}`, strings.Replace(ham, "Subject: test", "Subject: [EXTERNAL] x", 1), "accept"},
		{"a patch", `[{"op":"remove","path":"/message/headers/0"},{"op":"add","path":"/message/headers/0","value":{"name":"X","value":"1"}},{"op":"replace","path":"/message/headers/1/value","value":"now"}]`,
			strings.Replace(strings.Replace(ham, "Message-ID: <t1@example.org>", "X: 1", 1), "Sun, 22 Nov 2026 02:00:00 +0000", "now", 1), "accept"},
		{"the message", raw("New: 1\r\n\r\nbody\r\n"), "New: 1\r\n\r\nbody\r\n", "accept"},
		{"the message with bare LF", raw("New: 1\n\nbody\n"), "New: 1\r\n\r\nbody\r\n", "accept"},
		{"the same message", raw(ham), ham, "accept"},
		{"the message, a long one", raw(long), long, "accept"},
		{"a long one with escaped slashes", strings.ReplaceAll(raw(strings.Repeat("???>>>", 20_000)), "/", `\/`), strings.Repeat("???>>>", 20_000), "accept"},
		{"the message before its parts", `{"set":[{"path":"/message/subject","value":"no"},{"path":"/rawMessage","value":"TmV3OiAxDQoNCg=="}]}`, "New: 1\r\n\r\n", "accept"},
		{"reject", `{"set":[{"path":"/action","value":"reject"}]}`, "", "reject 550 5.7.1 refused by policy"},
		{"reject with a reply", `{"set":[{"path":"/action","value":"reject"},{"path":"/response","value":{"code":554,"enhancedCode":"5.7.0","message":"a\r\n250 b"}}]}`, "", "reject 554 5.7.0 a 250 b"},
		{"reject with parts of a reply", `{"set":[{"path":"/response/code","value":552},{"path":"/response/message","value":"full"},{"path":"/action","value":"reject"}]}`, "", "reject 552 5.7.1 full"},
		{"reject for now", `{"set":[{"path":"/action","value":"reject"},{"path":"/response","value":{"code":451,"enhancedCode":"5.7.0","message":null}}]}`, "", "defer 451 4.7.1 refused by policy"},
		{"disconnect", `{"set":[{"path":"/action","value":"disconnect"}]}`, "", "reject 550 5.7.1 refused by policy"},
		{"discard", `{"set":[{"path":"/action","value":"discard"}]}`, "", "discard"},
		{"quarantine", `{"set":[{"path":"/action","value":"quarantine"}]}`, ham, "accept held: quarantined by f"},
		{"envelope", `{"set":[{"path":"/envelope/from","value":{"address":null}},{"path":"/envelope/to/0/address","value":"x@example.net"}],"add":[{"path":"/envelope/to","index":0,"value":{"address":"<y@example.net>","parameters":{"NOTIFY":"NEVER","SIZE":"1"}}}]}`, "*",
			"accept reverse_path_set , recipient_delete rcpt@example.net, recipient_add x@example.net, recipient_add y@example.net NOTIFY=NEVER"},
		{"recipients removed by their place", `{"add":[{"path":"/envelope/to","index":0,"value":{"address":"y@example.net"}}],"delete":[{"path":"/envelope/to/1"}]}`, "*", "accept recipient_add y@example.net, recipient_delete rcpt@example.net"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := scannertest.Try(t, at(t, Endpoint, scannertest.Says(ok(tt.answer))), ham, scannertest.Setup{})
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			if tt.want != "*" && o.Content != tt.want {
				t.Errorf("got %.500q, want %.500q", o.Content, tt.want)
			}
			if got := spelt(o.Verdict, tt.want == "*"); got != tt.says {
				t.Errorf("verdict %q, want %q", got, tt.says)
			}
		})
	}
}

// spelt is a verdict in words, with its envelope edits.
func spelt(v filterproto.Verdict, edits bool) string {
	s := string(v.Disposition)
	if r := v.Reply; r != nil {
		s += fmt.Sprintf(" %d %s %s", r.Code, r.Enhanced, r.Text)
	}
	if v.Quarantine != nil {
		s += " held: " + v.Quarantine.Reason
	}
	var list []string
	for _, e := range v.Edits {
		list = append(list, strings.TrimSuffix(fmt.Sprintf("%s %s %s", e.Op, e.Value, e.Params), " "))
	}
	if edits {
		s += " " + strings.Join(list, ", ")
	}
	return s
}

func TestOperatorSaysWhatMayBeChanged(t *testing.T) {
	serve := scannertest.Serve(t, scannertest.Says(ok(`{"add":[{"path":"/message/headers","value":{"name":"X","value":"1"}}]}`)))
	for update, want := range map[string]filter.Class{"/message/headers": "", "/message": "", "/message/header": filter.Protocol, "/action": filter.Protocol} {
		f := newFilter(t, Options{Setup: Endpoint, Update: []string{update}, Server: hookclient.Options{URL: "http://127.0.0.1/", Address: serve}})
		if o := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{}); o.Class() != want {
			t.Errorf("%s: %+v, %v", update, o.Verdict, o.Err)
		}
	}
}

func TestRegistrationIsRenewedBeforeItExpires(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	got := make(chan exchange, 100)
	f := newFilter(t, Options{Setup: Registration, Now: func() time.Time { return now }, Server: hookclient.Options{URL: "http://127.0.0.1/register",
		Address: scannertest.Serve(t, recorded(map[string]string{
			"POST /register": created(strings.Replace(registeredAs, `"expiresAt":null`, `"expiresAt":"2027-01-01T01:00:00Z"`, 1)),
			"POST /hook":     ok("{}"),
		}, got))}})
	try := func(want int) {
		t.Helper()
		if o := scannertest.Try(t, filter.KindFunc(f.Scan), scannertest.Ham(), scannertest.Setup{}); o.Err != nil {
			t.Fatal(o.Err)
		}
		n := 0
		for len(got) > 0 {
			if (<-got).URL.Path == "/register" {
				n++
			}
		}
		if n != want {
			t.Errorf("%v: registered %d times, want %d", now, n, want)
		}
	}
	try(1)
	now = now.Add(30 * time.Minute)
	try(0)
	now = now.Add(29*time.Minute + 55*time.Second)
	try(1)
}

// Fields of a message are changed, added and removed at random: the edits have the
// effect that the operations have on a list.
func TestEditsOfFieldsHaveTheEffectOfTheOperations(t *testing.T) {
	for range 300 {
		var fields []filter.Field
		var message strings.Builder
		for i := range rand.IntN(8) {
			name := string(rune('A' + rand.IntN(3)))
			fields = append(fields, filter.Field{Name: name, Value: fmt.Appendf(nil, " %d", i)})
			fmt.Fprintf(&message, "%s: %d\r\n", name, i)
		}
		l := newFieldList(fields)
		var want []string
		for _, f := range fields {
			want = append(want, f.Name+":"+string(f.Value))
		}
		for i := range rand.IntN(8) {
			name, value := string(rune('A'+rand.IntN(4))), fmt.Sprintf("new%d", i)
			h, _ := json.Marshal(map[string]string{"name": name, "value": value})
			n := rand.IntN(len(want) + 1)
			switch k := rand.IntN(3); {
			case k == 0 || n == len(want):
				if err := l.insert(op{value: h, index: n}); err != nil {
					t.Fatal(err)
				}
				want = slices.Insert(want, n, name+": "+value)
			case k == 1:
				l.remove(n)
				want = slices.Delete(want, n, n+1)
			default:
				if err := l.set(n, op{value: h, at: []string{"message", "headers", "0"}}); err != nil {
					t.Fatal(err)
				}
				want[n] = name + ": " + value
			}
		}
		edits := l.edits()
		kind := filter.KindFunc(func(context.Context, filter.Message) (filterproto.Verdict, error) {
			return filterproto.Verdict{Disposition: filterproto.Accept, Edits: edits}, nil
		})
		o := scannertest.Try(t, kind, message.String()+"\r\nbody\r\n", scannertest.Setup{})
		text := strings.Join(append(slices.Clone(want), ""), "\r\n") + "\r\nbody\r\n"
		if !strings.EqualFold(o.Content, text) {
			t.Fatalf("%q and %+v became %q, want %q", message.String(), edits, o.Content, text)
		}
	}
}

func TestEncoderIsBase64OfWhatItReads(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, chunk - 1, chunk, chunk + 1, 3*chunk + 2} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.IntN(256))
		}
		want := base64.StdEncoding.EncodeToString(b)
		got, err := io.ReadAll(newEncoder(iotest.HalfReader(bytes.NewReader(b))))
		if err != nil || string(got) != want || encodedLen(int64(n)) != int64(len(want)) {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	if _, err := io.ReadAll(newEncoder(iotest.ErrReader(io.ErrNoProgress))); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `{"set":[{"path":"/action","value":"reject"},{"path":"/response","value":{"code":550}}]}`,
		`{"add":[{"path":"/message/headers","value":{"name":"A","value":"b\r\n c"},"index":1}],"delete":[{"path":"/message/headers/0"}]}`,
		`[{"op":"add","path":"/envelope/to/0","value":{"address":"a@b","parameters":{"NOTIFY":"NEVER"}}},{"op":"remove","path":"/envelope/to/1"}]`,
		`{"set":[{"path":"/message/headers/0/name","value":"B"},{"path":"/message/subject","value":"ü\n"},{"path":"/envelope/from/address","value":null}]}`,
		`{"set":[{"path":"/rawMessage","value":"QQ=="}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		inv := &invocation{read: true, fields: []filter.Field{{Name: "A", Value: []byte(" 1")}, {Name: "Subject", Value: []byte(" x")}}}
		inv.m.Item.Envelope.Recipients = []queue.Recipient{{Path: "a@example.net"}, {Path: "b@example.net"}}
		c := changes{f: &Filter{}, inv: inv}
		if c.all(a) != nil {
			return
		}
		v, err := c.verdict("f")
		if err != nil {
			return
		}
		if v.Disposition != filterproto.Accept && !bytes.Contains(b, []byte("action")) && !bytes.Contains(b, []byte(`\u`)) {
			t.Errorf("%q is %s", b, v.Disposition)
		}
		if again, _ := parseAnswer(b); !reflect.DeepEqual(a, again) {
			t.Errorf("%q is read in two ways", b)
		}
	})
}

// What comes out is the JSON with one long string apart.
func FuzzSpill(f *testing.F) {
	f.Add([]byte(`{"a":"b\"","c":["\\"]}`), 100_000)
	f.Add([]byte(`"`), 70_000)
	f.Add([]byte(`{"a":"\u0000\/"`), 0)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = min(max(n, 0), 300_000) / 4 * 4
		text := slices.Concat(b, []byte(`"`), bytes.Repeat([]byte("QUFB"), n/4), []byte(`"`))
		var to bytes.Buffer
		out, err := newSpill(bytes.NewReader(text), &to, len(text)).read()
		if err != nil {
			return
		}
		if to.Len() == 0 {
			if !bytes.Equal(out, text) {
				t.Errorf("%d octets became %d", len(text), len(out))
			}
			return
		}
		if !bytes.Contains(out, []byte(spilledValue)) || to.Len() > len(text) {
			t.Errorf("%d octets went, and nothing stands for them", to.Len())
		}
	})
}

// Memory is bounded: a message goes out, and comes in, in pieces.
func TestMessagesAreNeverWholeInMemory(t *testing.T) {
	const size = 12 << 20
	f := at(t, Endpoint, scannertest.Says(ok("{}")))
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
		spent = allocated() - before - 3*open // once for the header section
		return v, err
	})
	if o := scannertest.Try(t, kind, strings.Repeat("0123456789abcde\n", size/16), scannertest.Setup{}); o.Err != nil || spent > size/4 {
		t.Errorf("%d octets for a message of %d, %v", spent, size, o.Err)
	}
	var to counter
	before := allocated()
	text, err := newSpill(io.MultiReader(strings.NewReader(`{"set":[{"path":"/rawMessage","value":"`), newEncoder(io.LimitReader(zeros{}, size)), strings.NewReader(`"}]}`)), &to, maxAnswer).read()
	if spent := allocated() - before; err != nil || to != size || spent > size/4 || len(text) > 100 {
		t.Errorf("%d octets for a message of %d, of which %d came, %v", spent, size, to, err)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
