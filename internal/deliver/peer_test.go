package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"mtad/internal/deliver"
	"mtad/queue"
)

// box is an independent next hop: go-smtp's server. It keeps what it is given.
type box struct {
	mu       sync.Mutex
	contents map[string]string // by recipient
	mails    []gosmtp.MailOptions
	rcpts    []gosmtp.RcptOptions
}

type boxSession struct {
	b  *box
	to []string
}

func (b *box) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &boxSession{b: b}, nil }

func (s *boxSession) Reset()        { s.to = nil }
func (s *boxSession) Logout() error { return nil }

func (s *boxSession) Mail(_ string, o *gosmtp.MailOptions) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mails = append(s.b.mails, *o)
	return nil
}

func (s *boxSession) Rcpt(to string, o *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "gone") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.rcpts = append(s.b.rcpts, *o)
	s.to = append(s.to, to)
	return nil
}

// content is what came for a recipient.
func (b *box) content(to string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contents[to]
}

func (s *boxSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for _, to := range s.to {
		s.b.contents[to] = string(b)
	}
	return nil
}

func (s *boxSession) LMTPData(r io.Reader, status gosmtp.StatusCollector) error {
	if err := s.Data(r); err != nil {
		return err
	}
	for _, to := range s.to {
		if strings.HasPrefix(to, "full") {
			status.SetStatus(to, &gosmtp.SMTPError{Code: 452, EnhancedCode: gosmtp.EnhancedCode{4, 2, 2}, Message: "full"})
		} else {
			status.SetStatus(to, nil)
		}
	}
	return nil
}

func independent(t testing.TB, change ...func(*gosmtp.Server)) (*box, string) {
	t.Helper()
	b := &box{contents: map[string]string{}}
	s := gosmtp.NewServer(b)
	s.Domain, s.EnableSMTPUTF8, s.EnableDSN = "hop.test", true, true
	for _, c := range change {
		c(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close() // also when Serve has not begun: Close would not know it
		_ = s.Close()
		<-done
	})
	return b, l.Addr().String()
}

func TestIndependentServerGetsEachOctet(t *testing.T) {
	b, addr := independent(t)
	r := relay(t, []string{addr})
	for i, body := range []string{
		"Subject: header only\r\n",
		"Subject: x\r\n\r\n.\r\n..\r\n...\r\n. a\r\n.a\r\n",
		"\r\n",
		".\r\n",
		"Subject: 8 bit\r\n\r\n\xe4\xf6\xfc \x00\x7f\r\n",
		"Subject: long\r\n\r\n" + strings.Repeat("x", 1900) + "\r\n",
		"Subject: large\r\n\r\n" + strings.Repeat("0123456789.\r\n.", 40_000) + "\r\n",
		"no header at all",
	} {
		to := fmt.Sprintf("u%d@hop.test", i)
		expect(t, r.Deliver(bg, job(body, to)), "relayed 250 2.0.0 OK: queued @mx.hop.test")
		want := body
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if got := b.content(to); got != want {
			t.Errorf("%.30q: %d octets came as %d: %.100q", body, len(want), len(got), got)
		}
	}
}

func TestIndependentServerGetsTheParameters(t *testing.T) {
	b, addr := independent(t)
	j := job(mail, "a@hop.test", "gone@hop.test")
	env := &j.Item.Envelope
	env.SMTPUTF8, env.Body, env.Return, env.EnvID = true, queue.Body8Bit, "HDRS", "id 1+"
	env.Recipients[0].Notify, env.Recipients[0].ORCPT = queue.NotifyFailure|queue.NotifyDelay, "rfc822;a+b@x.test"
	results := relay(t, []string{addr}).Deliver(bg, j)
	expect(t, results, "relayed 250 2.0.0 OK: queued @mx.hop.test", "failed 550 5.1.1 no such user @mx.hop.test")
	if !results[0].DSN {
		t.Error("DSN not taken over")
	}
	m, rc := b.mails[0], b.rcpts[0]
	if m.Size != int64(len(mail)) || m.Body != gosmtp.Body8BitMIME || !m.UTF8 || m.Return != gosmtp.DSNReturnHeaders || m.EnvelopeID != "id 1+" {
		t.Errorf("%+v", m)
	}
	if len(rc.Notify) != 2 || rc.OriginalRecipient != "a+b@x.test" {
		t.Errorf("%+v", rc)
	}
}

func TestIndependentLMTPServer(t *testing.T) {
	_, addr := independent(t, func(s *gosmtp.Server) { s.LMTP = true })
	r := relay(t, []string{addr}, func(o *deliver.RelayOptions) { o.Client.LMTP = true })
	for range 2 {
		results := r.Deliver(bg, job(mail, "a@x.test", "gone@x.test", "full@x.test"))
		for i, want := range []queue.RecipientStatus{queue.Delivered, queue.Failed, queue.Pending} {
			if results[i].Status != want {
				t.Errorf("recipient %d: %s", i, show(results))
			}
		}
	}
}

func TestConcurrentDeliveries(t *testing.T) {
	b, addr := independent(t)
	r := relay(t, []string{addr})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for k := range 20 {
				body := fmt.Sprintf("Subject: %d %d\r\n\r\n%s\r\n", i, k, strings.Repeat("x", i*k))
				to := fmt.Sprintf("u%d-%d@hop.test", i, k)
				if res := r.Deliver(bg, job(body, to)); res[0].Status != queue.Relayed {
					t.Errorf("%s", show(res))
				}
				if b.content(to) != body {
					t.Errorf("%s got another message", to)
				}
			}
		})
	}
	wg.Wait()
}

// sink starts Postfix's smtp-sink, which writes what it gets into a directory.
func sink(t testing.TB, options ...string) (addr, dir string) {
	t.Helper()
	program, err := exec.LookPath("smtp-sink")
	if err != nil {
		program = "/usr/sbin/smtp-sink"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("smtp-sink (package postfix) is not installed")
	}
	dir, err = os.MkdirTemp("", "sink")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // the sink runs as another user
		t.Fatal(err)
	}
	args := append([]string{}, options...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	addr = deadAddress(t)
	args = append(args, addr, "100")
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	waitFor(t, addr)
	return addr, dir
}

// waitFor returns when somebody listens: another program does not tell.
func waitFor(t testing.TB, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody listens on %s: %v", addr, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

func TestPostfixSinkGetsTheMessage(t *testing.T) {
	for _, options := range [][]string{nil, {"-p"}, {"-e"}} { // no PIPELINING, no ESMTP
		addr, dir := sink(t, append(options, "-d", "mail.")...)
		r := relay(t, []string{addr})
		body := "Subject: x\r\n\r\n.\r\n..\r\nno more\r\n"
		for range 3 {
			expect(t, r.Deliver(bg, job(body, "a@hop.test", "b@hop.test")),
				"relayed 250 2.0.0 Ok @mx.hop.test", "relayed 250 2.0.0 Ok @mx.hop.test")
		}
		names, _ := filepath.Glob(filepath.Join(dir, "mail.*"))
		if len(names) != 3 {
			t.Fatalf("%v: %d messages", options, len(names))
		}
		for _, name := range names {
			got, err := os.ReadFile(name)
			if want := strings.ReplaceAll(body, "\r\n", "\n"); err != nil || !strings.HasSuffix(strings.TrimRight(string(got), "\n")+"\n", want) {
				t.Errorf("%v: %q, %v", options, got, err)
			}
		}
		_ = r.Close()
	}
}

func TestPostfixSinkRefusing(t *testing.T) {
	for _, c := range []struct {
		option   string
		commands []string
		want     queue.RecipientStatus
	}{
		{"-r", []string{"CONNECT", "MAIL", "RCPT", "DATA", "."}, queue.Pending},
		{"-f", []string{"MAIL", "RCPT", "DATA", "."}, queue.Failed},
		{"-f", []string{"CONNECT"}, queue.Pending},                                      // refused for good, but by a greeting
		{"-q", []string{"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."}, queue.Pending}, // disconnects
	} {
		for _, command := range c.commands {
			addr, _ := sink(t, c.option, command)
			if got := relay(t, []string{addr}).Deliver(bg, job(mail, "a@hop.test")); got[0].Status != c.want {
				t.Errorf("%s %s: %s", c.option, command, show(got))
			}
		}
	}
}
