package rspamdfilter

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

func ok(body string, fields ...string) string { return scannertest.Answered("200 OK", body, fields...) }

const fine = `{"action":"no action","score":1.5,"required_score":15,"symbols":{"B":{"score":1},"A":{"score":0.5}}}`

func TestWhatIsNoAnswerIsAFailureOfItsClass(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		want  filter.Class
	}{
		{"silence", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, filter.Timeout},
		{"closes at once", func(net.Conn) {}, filter.Crash},
		{"closes after the message", scannertest.Says(""), filter.Crash},
		{"answer cut short", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 500\r\n\r\n" + fine), filter.Crash},
		{"not HTTP", scannertest.Says("SPAMD/1.1 0 EX_OK\r\n"), filter.Protocol},
		{"500", scannertest.Says(strings.Replace(ok(`{"error":"bad command"}`), "200 OK", "500 no", 1)), filter.Protocol},
		{"403", scannertest.Says(strings.Replace(ok(fine), "200 OK", "403 no", 1)), filter.Protocol},
		{"413", scannertest.Says(strings.Replace(ok(""), "200 OK", "413 Too large", 1)), filter.OverSize},
		{"moved", scannertest.Says(strings.Replace(ok(fine, "Location: http://127.0.0.1:1/"), "200 OK", "302 Found", 1)), filter.Protocol},
		{"empty", scannertest.Says(ok("")), filter.Protocol},
		{"no object", scannertest.Says(ok(`[]`)), filter.Protocol},
		{"empty object", scannertest.Says(ok(`{}`)), filter.Protocol},
		{"no action", scannertest.Says(ok(`{"score":1}`)), filter.Protocol},
		{"null", scannertest.Says(ok(`{"action":null,"score":1}`)), filter.Protocol},
		{"number for action", scannertest.Says(ok(`{"action":7,"score":1}`)), filter.Protocol},
		{"action spelt otherwise", scannertest.Says(ok(`{"Action":"no action","score":1}`)), filter.Protocol},
		{"action twice", scannertest.Says(ok(`{"action":"reject","score":1,"action":"no action"}`)), filter.Protocol},
		{"no score", scannertest.Says(ok(`{"action":"no action"}`)), filter.Protocol},
		{"unknown action", scannertest.Says(ok(`{"action":"accept","score":1}`)), filter.Protocol},
		{"action with another case", scannertest.Says(ok(`{"action":"No Action","score":1}`)), filter.Protocol},
		{"half an object", scannertest.Says(ok(fine[:40])), filter.Protocol},
		{"two objects", scannertest.Says(ok(fine + fine)), filter.Protocol},
		{"junk behind", scannertest.Says(ok(fine + "x")), filter.Protocol},
		{"offset beyond the end", scannertest.Says("HTTP/1.1 200 OK\r\nConnection: close\r\nMessage-Offset: 9999\r\n\r\n" + fine), filter.Crash},
		{"negative offset", scannertest.Says(ok(fine, "Message-Offset: -1")), filter.Protocol},
		{"offset into the JSON", scannertest.Says(ok(fine, "Message-Offset: 20")), filter.Protocol},
		{"huge offset", scannertest.Says(ok(fine, "Message-Offset: 99999999999999999999")), filter.Protocol},
		{"endless JSON", func(c net.Conn) {
			scannertest.Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nConnection: close\r\n\r\n{\"action\":\"")(c)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c, strings.Repeat("x", 1<<16))
			}
		}, filter.Protocol},
		{"endless header", func(c net.Conn) {
			scannertest.Says("HTTP/1.1 200 OK\r\nX: ")(c)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c, strings.Repeat("x: y\r\n", 1<<12))
			}
		}, filter.Protocol},
		{"endless body", func(c net.Conn) {
			scannertest.Says(fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nMessage-Offset: %d\r\n\r\n%s", len(fine), fine))(c)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c, strings.Repeat("x", 1<<16))
			}
		}, filter.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			setup := scannertest.Setup{}
			if tt.want == filter.Timeout {
				setup.Timeout = 200 * time.Millisecond
			}
			f := newFilter(t, Options{Address: scannertest.Serve(t, tt.serve)})
			if o := scannertest.Try(t, f, scannertest.Ham(), setup); o.Class() != tt.want {
				t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, tt.want)
			}
		})
	}
}

// An answer that comes before the message was read is not one about the message.
func TestAnswerBeforeTheMessageIsNone(t *testing.T) {
	message := scannertest.Header + "\r\n" + strings.Repeat("0123456789abcdef\r\n", 1<<20)
	f := newFilter(t, Options{Address: scannertest.Serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 100))
		_, _ = io.WriteString(c, ok(fine))
		_, _ = io.CopyN(io.Discard, c, 1<<20)
	})})
	if o := scannertest.Try(t, f, message, scannertest.Setup{}); o.Err == nil {
		t.Errorf("got %+v", o.Verdict)
	}
}

func TestRequestSaysWhatIsKnown(t *testing.T) {
	got := make(chan http.Header, 1)
	f := newFilter(t, Options{Hostname: "mx.test", Password: "q1", SettingsID: "in", MTATag: "tag", Address: scannertest.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		req.Header.Set("Path", req.Method+" "+req.URL.Path)
		got <- req.Header
		_, _ = io.WriteString(c, ok(fine))
	})})
	env := scannertest.Envelope()
	env.Recipients = append(env.Recipients, queue.Recipient{Path: "gone@example.net", Status: queue.Failed},
		queue.Recipient{Path: "second@example.net", Notify: queue.NotifySuccess | queue.NotifyDelay, ORCPT: "rfc822;x@example.net"})
	env.Client.SASLUser, env.Client.TLSProtocol, env.Client.TLSCipher, env.Client.CertIssuer = "bob", "TLSv1.3", "AES", "CN=x\r\nEvil: 1"
	env.Return, env.EnvID = "HDRS", "id7"
	o := scannertest.Try(t, f, scannertest.Ham(), scannertest.Setup{Envelope: &env})
	if o.Err != nil || fmt.Sprint(o.Verdict.Symbols) != "[B A]" || o.Verdict.Score != 1.5 {
		t.Fatalf("%v, %+v", o.Err, o.Verdict)
	}
	h := <-got
	for name, want := range map[string]string{
		"Path": "[POST /checkv2]", "From": "[<sender@example.org>]", "Rcpt": "[rcpt@example.net second@example.net]", "Ip": "[192.0.2.1]",
		"Helo": "[mail.example.org]", "Hostname": "[mail.example.org]", "User": "[bob]", "Tls-Version": "[TLSv1.3]", "Tls-Cipher": "[AES]",
		"Tls-Cert-Issuer": "[CN=x??Evil: 1]", "Mta-Name": "[mx.test]", "Mta-Tag": "[tag]", "Settings-Id": "[in]", "Password": "[q1]",
		"Flags": "[milter,body_block]", "X-Rspamd-Mail-Esmtp-Args": "[RET=HDRS ENVID=id7]",
		"X-Rspamd-Rcpt-Esmtp-Args": "[1:NOTIFY=SUCCESS,DELAY 1:ORCPT=rfc822;x@example.net]", "Content-Length": fmt.Sprintf("[%d]", len(scannertest.Ham())),
	} {
		if got := fmt.Sprint(h[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if len(h["Queue-Id"]) != 1 || len(h["Evil"]) != 0 {
		t.Errorf("%v", h)
	}
}

func TestMilterBlockBecomesEdits(t *testing.T) {
	for _, tt := range []struct{ answer, want string }{
		{`"milter":{"remove_headers":{"A":0,"B":[1,-1,3]}}`, "header_delete A 0, header_delete B 3, header_delete B 1"},
		{`"milter":{"remove_headers":[],"add_headers":{}}`, ""},
		{`"milter":{"add_headers":{"Z":"z","A":{"value":"a","order":0},"M":["x",{"value":"y","order":3}],"E":{"value":"e","order":-1},"I":{"value":"i","index":1}}}`,
			"header_add Z 0 z, header_insert A 0 a, header_add M 0 x, header_insert M 2 y, header_add E 0 e, header_insert I 0 i"},
		{`"milter":{"change_from":"<n@example.org>","add_rcpt":["c@example.net"],"del_rcpt":["<d@example.net>"]}`,
			"reverse_path_set  0 n@example.org, recipient_add  0 c@example.net, recipient_delete  0 d@example.net"},
		{`"dkim-signature":"v=1;\n\tb=x"`, "header_insert DKIM-Signature 0 v=1;\r\n\tb=x"},
		{`"dkim-signature":["one","two\r\nthree"]`, "header_insert DKIM-Signature 0 one, header_insert DKIM-Signature 1 two\r\n\tthree"},
	} {
		a, err := parseAnswer([]byte(`{"action":"no action","score":0,` + tt.answer + `}`))
		if err != nil {
			t.Errorf("%s: %v", tt.answer, err)
			continue
		}
		e := &edits{f: &Filter{}, forged: &scanner.Forged{}, counts: map[string]int{"b": 3}}
		if err := e.all(t.Context(), a); err != nil {
			t.Error(err)
		}
		var list []string
		for _, d := range e.list {
			list = append(list, strings.TrimRight(fmt.Sprintf("%s %s %d %s", d.Op, d.Name, d.Index, d.Value), " "))
		}
		if got := strings.Join(list, ", "); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.answer, got, tt.want)
		}
	}
}

func TestRejectIsWhatAnswerOrPolicySays(t *testing.T) {
	for _, tt := range []struct {
		policy scanner.Policy
		milter string
		want   filterproto.Disposition
		held   bool
	}{
		{scanner.Reject, `{}`, filterproto.Reject, false},
		{scanner.Reject, `{"reject":"discard"}`, filterproto.Discard, false},
		{scanner.Reject, `{"reject":"quarantine"}`, filterproto.Accept, true},
		{scanner.Reject, `{"no_action":true}`, filterproto.Accept, false},
		{scanner.Quarantine, `{}`, filterproto.Accept, true},
		{scanner.Discard, `{"reject":"other"}`, filterproto.Discard, false},
	} {
		a, err := parseAnswer([]byte(`{"action":"reject","score":99,"messages":{"smtp_message":"bad\r\n250 ok"},"milter":` + tt.milter + `}`))
		if err != nil {
			t.Fatal(err)
		}
		v, err := (&Filter{o: Options{Reject: tt.policy}}).decide(a, nil)
		if err != nil || v.Disposition != tt.want || (v.Quarantine != nil) != tt.held {
			t.Errorf("%s %s: %+v, %v", tt.policy, tt.milter, v, err)
		}
		if v.Reply != nil && v.Reply.Text != "bad 250 ok" {
			t.Errorf("reply %q", v.Reply.Text)
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	conns := make(chan net.Conn, 10)
	f := newFilter(t, Options{Address: scannertest.Serve(t, func(c net.Conn) { conns <- c; scannertest.Says(ok(fine))(c) })})
	for range 3 {
		if o := scannertest.Try(t, filter.KindFunc(f.Scan), scannertest.Ham(), scannertest.Setup{}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections", len(conns))
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{fine, `{"action":"reject","score":1,"milter":{"add_headers":{"A":["x",{"value":"y\nz","order":1}]},"remove_headers":{"B":[0,-1]},"spam_header":{"X":"y"}},"dkim-signature":["a","b"]}`,
		`{"action":"add header","score":1,"milter":{"spam_header":"maybe\r\n"}}`, `{}`, `[]`, `{"action":"rewrite subject","score":1,"subject":"x\n\ny"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		fl := &Filter{o: Options{SpamField: "X-Spam"}}
		e := &edits{f: fl, forged: &scanner.Forged{}, counts: map[string]int{}}
		if err := e.all(t.Context(), a); err != nil {
			return
		}
		v, err := fl.decide(a, e.list)
		if err == nil && v.Disposition == filterproto.Accept && !strings.Contains(string(b), "action") && !strings.Contains(string(b), `\u`) {
			t.Errorf("%q is an accept", b)
		}
		for _, d := range e.list {
			if strings.Contains(d.Value, "\n\r\n") || strings.HasSuffix(d.Value, "\n") && len(d.Value) > 1 {
				t.Errorf("value %q would end its field", d.Value)
			}
		}
	})
}
