package deliver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtad/internal/deliver"
	"mtad/internal/mxlookup"
	"mtad/internal/smtp"
	"mtad/queue"
)

var bg = context.Background()

func TestEachRecipientHasItsOwnResult(t *testing.T) {
	for _, ext := range [][]string{nil, {"PIPELINING", "DSN"}} {
		s := serve(t, func(_ int, c string) string {
			switch {
			case strings.HasPrefix(c, "RCPT TO:<gone@"):
				return "550 5.1.1 no such user"
			case strings.HasPrefix(c, "RCPT TO:<busy@"):
				return "450 4.2.1 busy"
			}
			return ""
		}, ext...)
		r := relay(t, []string{s.addr})
		results := r.Deliver(bg, job(mail, "a@hop.test", "gone@hop.test", "busy@hop.test", "b@hop.test"))
		expect(t, results,
			"relayed 250 2.0.0 ok @mx.hop.test", "failed 550 5.1.1 no such user @mx.hop.test",
			"pending 450 4.2.1 busy @mx.hop.test", "relayed 250 2.0.0 ok @mx.hop.test")
		if results[0].DSN != (ext != nil) || results[1].DSN {
			t.Errorf("DSN taken over: %v, %v", results[0].DSN, results[1].DSN)
		}
	}
}

func TestOnlyTheNamedRecipientsAreTried(t *testing.T) {
	s := serve(t, fine)
	j := job(mail, "a@hop.test", "b@hop.test", "c@hop.test")
	j.Recipients = []int{2, 0}
	results := relay(t, []string{s.addr}).Deliver(bg, j)
	if len(results) != 2 || results[0].Index != 2 || results[1].Index != 0 || s.count("RCPT TO:<b@") != 0 {
		t.Errorf("%+v", results)
	}
}

func TestAllRefusedSendsNoContent(t *testing.T) {
	s := serve(t, only("RCPT", "554 5.7.1 no"))
	expect(t, relay(t, []string{s.addr}).Deliver(bg, job(mail, "a@hop.test")), "failed 554 5.7.1 no @mx.hop.test")
	if n := s.count("DATA"); n != 0 {
		t.Errorf("DATA was said %d times", n)
	}
}

func TestNullReversePath(t *testing.T) {
	s := serve(t, fine)
	j := job(mail, "a@hop.test")
	j.Item.Envelope.ReversePath = ""
	expect(t, relay(t, []string{s.addr}).Deliver(bg, j), "relayed 250 2.0.0 ok @mx.hop.test")
	if s.count("MAIL FROM:<>") != 1 {
		t.Error("the null reverse-path was not sent")
	}
}

// What is no reply of its own to a recipient is transient, and only before the
// final dot is another host tried.
func TestTroubleIsTransientAndTheNextHostIsTried(t *testing.T) {
	for name, c := range map[string]struct {
		first answer
		want  string // with the first host alone; the second takes it, unless stays
		stays bool
	}{
		"greeting closed":  {only("connect", "close"), "pending 451 4.4.2 greeting with mx.hop.test: connection lost", false},
		"greeting 421":     {only("connect", "421 4.3.2 busy"), "pending 421 4.3.2 busy @mx.hop.test", false},
		"greeting 450":     {only("connect", "450 later"), "pending 450 4.3.2 later @mx.hop.test", false},
		"greeting 554":     {only("connect", "554 not you"), "pending 554 not you @mx.hop.test", false},
		"greeting 521":     {only("connect", "521 no mail here"), "failed 521 no mail here @mx.hop.test", false},
		"greeting garbage": {only("connect", "hello?"), "pending 451 4.5.0 greeting with mx.hop.test: no valid SMTP reply", false},
		"EHLO closed":      {only("EHLO", "close"), "pending 451 4.4.2 EHLO with mx.hop.test: connection lost", false},
		"EHLO 450":         {only("EHLO", "450 4.7.1 later"), "pending 450 4.7.1 later @mx.hop.test", false},
		"MAIL 4yz":         {only("MAIL", "452 4.3.1 full"), "pending 452 4.3.1 full @mx.hop.test", false},
		"MAIL 5yz":         {only("MAIL", "550 5.7.1 not you"), "failed 550 5.7.1 not you @mx.hop.test", true},
		"MAIL 421":         {only("MAIL", "421 4.3.2 bye"), "pending 421 4.3.2 bye @mx.hop.test", false},
		"MAIL closed":      {only("MAIL", "close"), "pending 451 4.4.2 MAIL FROM with mx.hop.test: connection lost", false},
		"RCPT 4yz":         {only("RCPT", "450 4.7.1 greylisted"), "pending 450 4.7.1 greylisted @mx.hop.test", true},
		"RCPT 421":         {only("RCPT", "421 bye"), "pending 421 bye @mx.hop.test", false},
		"RCPT closed":      {only("RCPT", "close"), "pending 451 4.4.2 RCPT TO with mx.hop.test: connection lost", false},
		"DATA 4yz":         {only("DATA", "451 4.3.0 no"), "pending 451 4.3.0 no @mx.hop.test", true},
		"DATA 5yz":         {only("DATA", "554 5.5.1 no"), "failed 554 5.5.1 no @mx.hop.test", true},
		"DATA 421":         {only("DATA", "421 bye"), "pending 421 bye @mx.hop.test", false},
		"end 4yz":          {only(".", "451 4.7.1 scanner down"), "pending 451 4.7.1 scanner down @mx.hop.test", true},
		"end 5yz":          {only(".", "550 5.7.1 spam"), "failed 550 5.7.1 spam @mx.hop.test", true},
		"end 421":          {only(".", "421 bye"), "pending 421 bye @mx.hop.test", true},
		"end closed":       {only(".", "close"), "pending 451 4.4.2 connection lost after end of data, outcome unknown @mx.hop.test", true},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := serve(t, c.first, "PIPELINING"), serve(t, fine)
			expect(t, relay(t, []string{first.addr}).Deliver(bg, job(mail, "a@hop.test")), c.want)
			want := "relayed 250 2.0.0 ok @mx.hop.test"
			if c.stays {
				want = c.want
			}
			expect(t, relay(t, []string{deadAddress(t), first.addr, second.addr}).Deliver(bg, job(mail, "a@hop.test")), want)
			if n := second.connections(); (n == 0) != c.stays {
				t.Errorf("second host: %d connections", n)
			}
		})
	}
}

func TestRefusedHelloIsPermanentOnlyFromAllHosts(t *testing.T) {
	no := func(_ int, c string) string {
		if strings.HasPrefix(c, "EHLO") || strings.HasPrefix(c, "HELO") {
			return "550 5.7.1 bad name"
		}
		return ""
	}
	a, b := serve(t, no), serve(t, only("connect", "421 busy"))
	expect(t, relay(t, []string{a.addr, a.addr}).Deliver(bg, job(mail, "a@hop.test")), "failed 550 5.7.1 bad name @mx.hop.test")
	r := relay(t, []string{b.addr, a.addr}).Deliver(bg, job(mail, "a@hop.test"))
	if r[0].Status != queue.Pending {
		t.Errorf("with a busy host: %s", show(r))
	}
}

func TestNobodyThere(t *testing.T) {
	expect(t, relay(t, []string{deadAddress(t)}).Deliver(bg, job(mail, "a@hop.test", "b@hop.test")),
		"pending 451 4.4.1 connect with mx.hop.test: connection refused", "pending 451 4.4.1 connect with mx.hop.test: connection refused")
}

func TestHostsTriedAreBounded(t *testing.T) {
	s := serve(t, only("connect", "421 busy"))
	r := relay(t, []string{s.addr, s.addr, s.addr, s.addr}, func(o *deliver.RelayOptions) { o.MaxHosts = 3 })
	r.Deliver(bg, job(mail, "a@hop.test"))
	if n := s.connections(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestLookupDecides(t *testing.T) {
	for want, err := range map[string]error{
		"failed 556 5.1.10 null":                            &mxlookup.Error{Reply: smtp.Reply{Code: 556, Enhanced: "5.1.10", Text: "null"}},
		"pending 451 4.4.3 dns":                             &mxlookup.Error{Reply: smtp.Reply{Code: 451, Enhanced: "4.4.3", Text: "dns"}},
		"pending 451 4.4.3 next hop could not be looked up": errors.New("what is this"),
	} {
		r := relay(t, nil, func(o *deliver.RelayOptions) {
			o.Lookup = func(context.Context, string) ([]mxlookup.Target, error) { return nil, err }
		})
		expect(t, r.Deliver(bg, job(mail, "a@hop.test")), want)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	s := serve(t, fine, "PIPELINING")
	reg := prometheus.NewRegistry()
	r := relay(t, []string{s.addr}, func(o *deliver.RelayOptions) { o.MaxMessages = 4; o.Registry = reg })
	for range 8 {
		expect(t, r.Deliver(bg, job(mail, "a@hop.test")), "relayed 250 2.0.0 ok @mx.hop.test")
	}
	if n := s.connections(); n != 2 {
		t.Errorf("%d connections for 8 messages of 4 each", n)
	}
	if n := counter(t, reg, "mtad_delivery_connections_reused_total"); n != 6 {
		t.Errorf("%v reuses counted, want 6", n)
	}
	if n := counter(t, reg, "mtad_delivery_results_total"); n != 8 {
		t.Errorf("%v results counted, want 8", n)
	}
}

// counter sums up the values of a metric.
func counter(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestNoConnectionIsUsedAgainAfterAnError(t *testing.T) {
	s := serve(t, func(conn int, c string) string {
		if conn < 3 && c == "." {
			return "421 bye"
		}
		return ""
	}, "PIPELINING")
	r := relay(t, []string{s.addr})
	for range 4 {
		r.Deliver(bg, job(mail, "a@hop.test"))
	}
	if n := s.connections(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestConnectionThatEndedWhileIdleIsReplacedUnseen(t *testing.T) {
	for name, reply := range map[string]string{"closed": "close", "421": "421 4.4.2 timeout"} {
		t.Run(name, func(t *testing.T) {
			mails := 0
			s := serve(t, func(conn int, c string) string {
				if strings.HasPrefix(c, "MAIL") && conn == 1 {
					if mails++; mails == 2 {
						return reply
					}
				}
				return ""
			}, "PIPELINING")
			r := relay(t, []string{s.addr})
			for range 3 {
				expect(t, r.Deliver(bg, job(mail, "a@hop.test")), "relayed 250 2.0.0 ok @mx.hop.test")
			}
			if n := s.connections(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	quit := make(chan struct{})
	s := serve(t, func(_ int, c string) string {
		if c == "QUIT" {
			close(quit)
		}
		return ""
	})
	r := relay(t, []string{s.addr}, func(o *deliver.RelayOptions) { o.IdleTimeout = time.Millisecond })
	r.Deliver(bg, job(mail, "a@hop.test"))
	<-quit
}

func TestCloseEndsIdleConnections(t *testing.T) {
	quit := make(chan struct{})
	s := serve(t, func(_ int, c string) string {
		if c == "QUIT" {
			close(quit)
		}
		return ""
	})
	r := relay(t, []string{s.addr})
	r.Deliver(bg, job(mail, "a@hop.test"))
	_ = r.Close()
	<-quit
}

func TestManyRecipientsGoInSeveralTransactions(t *testing.T) {
	var paths []string
	for i := range 250 {
		paths = append(paths, fmt.Sprintf("u%d@hop.test", i))
	}
	for name, c := range map[string]struct {
		ext                []string
		mails, connections int
	}{
		"our limit":     {[]string{"PIPELINING"}, 3, 1},
		"their RCPTMAX": {[]string{"PIPELINING", "LIMITS RCPTMAX=60"}, 5, 1},
		"their MAILMAX": {[]string{"PIPELINING", "LIMITS MAILMAX=2"}, 3, 2},
		"no pipelining": {nil, 3, 1},
	} {
		s := serve(t, fine, c.ext...)
		for _, r := range relay(t, []string{s.addr}).Deliver(bg, job(mail, paths...)) {
			if r.Status != queue.Relayed {
				t.Fatalf("%s: %+v", name, r)
			}
		}
		if m, n := s.count("MAIL"), s.connections(); m != c.mails || n != c.connections {
			t.Errorf("%s: %d transactions over %d connections", name, m, n)
		}
	}
}

func TestTooManyRecipientsAreTriedAgainAtOnce(t *testing.T) {
	for _, reply := range []string{"452 4.5.3 too many", "552 too many", "452 enough"} {
		n := 0
		s := serve(t, func(_ int, c string) string {
			switch {
			case strings.HasPrefix(c, "MAIL"):
				n = 0
			case strings.HasPrefix(c, "RCPT"):
				if n++; n > 2 {
					return reply
				}
			}
			return ""
		}, "PIPELINING")
		for _, r := range relay(t, []string{s.addr}).Deliver(bg, job(mail, "a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test")) {
			if r.Status != queue.Relayed {
				t.Errorf("%s: %+v", reply, r)
			}
		}
		if s.count("MAIL") != 3 {
			t.Errorf("%s: %d transactions", reply, s.count("MAIL"))
		}
	}
	s := serve(t, only("RCPT", "552 never enough"))
	expect(t, relay(t, []string{s.addr}).Deliver(bg, job(mail, "a@x.test")), "pending 552 never enough @mx.hop.test")
}

func TestContentThatCannotBeReadIsTransient(t *testing.T) {
	s := serve(t, fine)
	j := job(mail, "a@hop.test")
	j.Open = func() (queue.Content, error) { return nil, queue.ErrUnavailable }
	expect(t, relay(t, []string{s.addr}).Deliver(bg, j), "pending 451 4.3.0 content not available now")
	j.Open = func() (queue.Content, error) { return damaged{content{strings.NewReader(mail)}}, nil }
	expect(t, relay(t, []string{s.addr}).Deliver(bg, j), "pending 451 4.3.0 content not available now")
}

// damaged is content whose checksum does not hold.
type damaged struct{ content }

func (damaged) Read([]byte) (int, error) { return 0, queue.ErrCorrupt }

func TestNextHopThatIsTooSmallIsPermanent(t *testing.T) {
	s := serve(t, fine, "SIZE 10")
	expect(t, relay(t, []string{s.addr}).Deliver(bg, job(mail, "a@hop.test")),
		"failed 552 5.3.4 message of 39 octets exceeds the next hop's limit of 10")
	if s.count("MAIL") != 0 {
		t.Error("MAIL was said")
	}
}

func TestInternationalMail(t *testing.T) {
	header := "Subject: ü\r\n\r\nx\r\n"
	for name, c := range map[string]struct {
		ext, body  string
		from       string
		paths      []string
		want, said string
	}{
		"offered": {"SMTPUTF8", header, "ä@ü.test", []string{"ö@ü.test"},
			"relayed 250 2.0.0 ok @mx.hop.test", "MAIL FROM:<ä@ü.test> SMTPUTF8"},
		"not offered, header": {"X", header, "a@x.test", []string{"b@x.test"},
			"failed 553 5.6.7 next hop does not offer SMTPUTF8", ""},
		"not offered, domains only": {"X", mail, "a@ü.test", []string{"b@ü.test"},
			"relayed 250 2.0.0 ok @mx.hop.test", "MAIL FROM:<a@xn--tda.test>"},
		"not offered, one local part": {"X", mail, "a@x.test", []string{"b@x.test", "ö@x.test"},
			"relayed 250 2.0.0 ok @mx.hop.test\nfailed 553 5.6.7 next hop does not offer SMTPUTF8", "RCPT TO:<b@x.test>"},
		"not offered, reverse-path": {"X", mail, "ä@x.test", []string{"b@x.test"},
			"failed 553 5.6.7 next hop does not offer SMTPUTF8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, fine, c.ext)
			j := job(c.body, c.paths...)
			j.Item.Envelope.SMTPUTF8, j.Item.Envelope.ReversePath = true, c.from
			expect(t, relay(t, []string{s.addr}).Deliver(bg, j), c.want)
			if c.said != "" && s.count(c.said) != 1 {
				t.Errorf("%q was not said: %q", c.said, s.lines)
			}
		})
	}
}

func TestEightBitIsSentAsItIsUnlessStrict(t *testing.T) {
	for strict, want := range map[bool]string{
		false: "relayed 250 2.0.0 ok @mx.hop.test", true: "failed 554 5.6.3 next hop does not offer 8BITMIME",
	} {
		s := serve(t, fine)
		j := job(mail, "a@hop.test")
		j.Item.Envelope.Body = queue.Body8Bit
		expect(t, relay(t, []string{s.addr}, func(o *deliver.RelayOptions) { o.Client.Strict8Bit = strict }).Deliver(bg, j), want)
		if s.count("MAIL FROM:<from@client.test> BODY") != 0 {
			t.Error("BODY was said")
		}
	}
}

func TestRequireTLSIsNotSentInTheClear(t *testing.T) {
	s := serve(t, fine)
	j := job(mail, "a@hop.test")
	j.Item.Envelope.RequireTLS = true
	expect(t, relay(t, []string{s.addr}).Deliver(bg, j), "pending 451 4.7.4 STARTTLS with mx.hop.test: TLS is required but was not offered")
}

func TestEndOfContextLeavesRecipientsPending(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	s := serve(t, func(_ int, c string) string {
		if strings.HasPrefix(c, "RCPT") {
			cancel()
			return "close"
		}
		return ""
	})
	results := relay(t, []string{s.addr, s.addr}).Deliver(ctx, job(mail, "a@hop.test"))
	expect(t, results, "pending 451 4.3.2 attempt interrupted")
	if s.connections() != 1 {
		t.Errorf("%d connections", s.connections())
	}
}

func TestLMTPOverAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l: l}
	s.done.Go(func() {
		c, err := l.Accept()
		if err == nil {
			s.session(c, 1, only(".", "250 2.0.0 one\r\n452 4.2.2 full"), []string{"PIPELINING"})
		}
	})
	t.Cleanup(func() { _ = l.Close(); s.done.Wait() })
	r := relay(t, nil, func(o *deliver.RelayOptions) { o.Name = "lmtp"; o.Client.LMTP = true })
	j := job(mail, "a@x.test", "b@x.test")
	j.NextHop = "unix:" + path
	expect(t, r.Deliver(bg, j), "delivered 250 2.0.0 one @localhost", "pending 452 4.2.2 full @localhost")
	_ = r.Close()
}

func TestOneLogLineForEachRecipient(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, only("RCPT TO:<b@", "550 5.1.1 no"))
	r := relay(t, []string{s.addr}, func(o *deliver.RelayOptions) { o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	j := job(mail, "a@hop.test", "b@hop.test")
	r.Deliver(bg, j)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), log.String())
	}
	for i, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{
			"queue_id": string(j.Item.ID), "recipient": []string{"a@hop.test", "b@hop.test"}[i], "next_hop": "hop.test",
			"remote": "mx.hop.test[127.0.0.1]:" + s.addr[len("127.0.0.1:"):], "transport": "smtp", "tls": "",
			"reply": []string{"250 2.0.0 ok", "550 5.1.1 no"}[i], "status": []string{"relayed", "failed"}[i],
		} {
			if m[key] != want {
				t.Errorf("%s is %v, want %v", key, m[key], want)
			}
		}
		for _, key := range []string{"queued", "connect", "total"} {
			if _, ok := m[key].(float64); !ok {
				t.Errorf("%s is %v", key, m[key])
			}
		}
	}
}
