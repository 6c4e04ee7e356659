package app_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/auth"
	"mtad/queue"
)

// speaker is a client that sends lines as they are.
type speaker struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func speak(t *testing.T, addr net.Addr, implicit bool) *speaker {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	s := &speaker{t: t, conn: c, r: bufio.NewReader(c)}
	if implicit {
		s.wrap(nil)
	}
	s.want("220")
	return s
}

// wrap begins TLS.
func (s *speaker) wrap(client *tls.Certificate) {
	s.t.Helper()
	cfg := &tls.Config{InsecureSkipVerify: true} // the test made the certificate
	if client != nil {
		cfg.Certificates = []tls.Certificate{*client}
	}
	c := tls.Client(s.conn, cfg)
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	s.conn, s.r = c, bufio.NewReader(c)
}

// want reads a reply that begins so.
func (s *speaker) want(prefix string) string {
	s.t.Helper()
	var all strings.Builder
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v, want %q", all.String(), err, prefix)
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			break
		}
	}
	if !strings.HasPrefix(all.String(), prefix) {
		s.t.Fatalf("got %q, want %q", all.String(), prefix)
	}
	return all.String()
}

func (s *speaker) say(line, prefix string) string {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return s.want(prefix)
}

func (s *speaker) wantEnd() {
	s.t.Helper()
	if b, err := s.r.ReadByte(); err == nil {
		s.t.Fatalf("got %q, want the end", b)
	}
}

// starttls is EHLO, STARTTLS and EHLO.
func (s *speaker) starttls(client *tls.Certificate) string {
	s.t.Helper()
	s.say("EHLO client.test", "250")
	s.say("STARTTLS", "220")
	s.wrap(client)
	return s.say("EHLO client.test", "250")
}

func authPlain(user, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
}

// passwords makes a password file; the scheme is one that costs little.
func passwords(t *testing.T, dir string, users map[string]string) string {
	t.Helper()
	var b strings.Builder
	for user, password := range users {
		hash, err := auth.Hash("argon2id", password)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:%s\n", user, hash)
	}
	path := filepath.Join(dir, "passwords")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// submissionApp has both ports, and the logins ann@example.org and bob.
func submissionApp(t *testing.T, more string) (*app.App, *logs, *sink) {
	t.Helper()
	dir, next := t.TempDir(), newSink(t)
	writePair(t, dir, 1)
	file := passwords(t, dir, map[string]string{"ann@example.org": "secret", "bob": "other"})
	if err := os.WriteFile(dir+"/senders", []byte("sales@example.org ann@example.org\n@.lists.example ann@example.org bob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, l := start(t, read(t, dir, fmt.Sprintf(`
tls: {certificate: %[1]s/c.pem, key: %[1]s/k.pem}
listeners:
  submission: {kind: submission, address: "127.0.0.1:0", auth: people}
  submissions: {kind: submissions, address: "127.0.0.1:0", auth: people}
  smtp: {address: "127.0.0.1:0"}
auth:
  people: {password_file: %[2]s, sender_file: %[1]s/senders, max_delay: 1ms%[4]s}
local_domains: [mx.test, example.org]
local: {delimiter: "+"}
api: {listen: []}
smarthost: "[127.0.0.1]:%[3]s"
`, dir, file, next.addr[len("127.0.0.1:"):], more)))
	return a, l, next
}

func TestSubmissionWantsTLSThenALogin(t *testing.T) {
	a, _, _ := submissionApp(t, "")
	s := speak(t, a.Addr("submission"), false)
	if got := s.say("EHLO client.test", "250"); strings.Contains(got, "AUTH") || !strings.Contains(got, "STARTTLS") {
		t.Errorf("before TLS: %q", got)
	}
	s.say(authPlain("ann@example.org", "secret"), "538 5.7.11")
	s.say("MAIL FROM:<ann@example.org>", "530 5.7.0")
	s.say("STARTTLS", "220")
	s.wrap(nil)
	s.say("AUTH PLAIN", "503 5.5.1") // EHLO first
	if got := s.say("EHLO client.test", "250"); !strings.Contains(got, "AUTH PLAIN LOGIN\r\n") || strings.Contains(got, "STARTTLS") {
		t.Errorf("after STARTTLS: %q", got)
	}
	s.say("MAIL FROM:<ann@example.org>", "530 5.7.0 authentication required")
	s.say(authPlain("ann@example.org", "wrong"), "535 5.7.8")
	s.say("MAIL FROM:<ann@example.org>", "530 5.7.0")
	s.say(authPlain("ann@example.org", "secret"), "235 2.7.0")
	s.say(authPlain("ann@example.org", "secret"), "503 5.5.1 already")
	if got := s.say("EHLO client.test", "250"); strings.Contains(got, "AUTH") {
		t.Errorf("after the login: %q", got)
	}
	s.say("MAIL FROM:<ann@example.org>", "250")
	s.say("AUTH PLAIN", "503 5.5.1")
}

func TestSubmittedMailSaysWhoSentIt(t *testing.T) {
	for _, port := range []string{"submission", "submissions"} {
		t.Run(port, func(t *testing.T) {
			a, _, next := submissionApp(t, "")
			s := speak(t, a.Addr(port), port == "submissions")
			if port == "submission" {
				s.starttls(nil)
			} else if got := s.say("EHLO client.test", "250"); strings.Contains(got, "STARTTLS") {
				t.Errorf("TLS within TLS: %q", got)
			}
			s.say("AUTH LOGIN", "334 VXNlcm5hbWU6")
			s.say(base64.StdEncoding.EncodeToString([]byte("ann@example.org")), "334 UGFzc3dvcmQ6")
			s.say(base64.StdEncoding.EncodeToString([]byte("secret")), "235")
			s.say("MAIL FROM:<ann@example.org> AUTH=ann+40example.org", "250")
			s.say("RCPT TO:<c@elsewhere.example>", "250")
			s.say("DATA", "354")
			reply := s.say("From: ann@example.org\r\nSubject: x\r\n\r\nbody\r\n.", "250")
			got := string(next.wait(t).data)
			for _, want := range []string{" with ESMTPSA ", "\r\nFrom: ann@example.org\r\nSubject: x\r\nDate: ", "\r\nMessage-ID: <", "@mx.test>\r\n\r\nbody\r\n"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
			id := queue.ID(strings.Fields(reply)[len(strings.Fields(reply))-1])
			c := finished(t, a.Queue(), id).Envelope.Client
			if c.SASLUser != "ann@example.org" || c.SASLMethod != "LOGIN" || c.SASLSender != "ann@example.org" || c.Protocol != "ESMTPSA" || c.TLSProtocol == "" {
				t.Errorf("client: %+v", c)
			}
		})
	}
}

func TestALoginSendsAsItself(t *testing.T) {
	a, _, _ := submissionApp(t, "")
	login := func(user, password string) *speaker {
		s := speak(t, a.Addr("submissions"), true)
		s.say("EHLO client.test", "250")
		s.say(authPlain(user, password), "235")
		return s
	}
	for _, c := range []struct{ user, password, sender, want string }{
		{"ann@example.org", "secret", "ann@example.org", "250"},
		{"ann@example.org", "secret", "Ann@EXAMPLE.org", "250"},
		{"ann@example.org", "secret", "ann+news@example.org", "250"},
		{"ann@example.org", "secret", "sales@example.org", "250"},
		{"ann@example.org", "secret", "x@a.lists.example", "250"},
		{"ann@example.org", "secret", "", "250"},
		{"ann@example.org", "secret", "bob@example.org", "553 5.7.1 <bob@example.org>: sender address rejected: not owned by user ann@example.org"},
		{"ann@example.org", "secret", "ann@mx.test", "553 5.7.1"},
		{"ann@example.org", "secret", "ann@example.org.evil.example", "553 5.7.1"},
		{"ann@example.org", "secret", "x@lists.example", "553 5.7.1"},
		{"bob", "other", "bob@mx.test", "250"},
		{"bob", "other", "bob@example.org", "250"},
		{"bob", "other", "bob@elsewhere.example", "553 5.7.1"},
		{"bob", "other", "sales@example.org", "553 5.7.1"},
	} {
		login(c.user, c.password).say("MAIL FROM:<"+c.sender+">", c.want)
	}
	s := login("bob", "other")
	s.say("MAIL FROM:<bob@mx.test> AUTH=ann+40example.org", "250")
	s.say("RCPT TO:<c@elsewhere.example>", "250")
	s.say("DATA", "354")
	reply := s.say("Subject: x\r\n\r\n.", "250")
	f := strings.Fields(reply)
	if got := finished(t, a.Queue(), queue.ID(f[len(f)-1])).Envelope.Client.SASLSender; got != "<>" {
		t.Errorf("bob speaks for %q, want <>", got)
	}
}

func TestFromIsChecked(t *testing.T) {
	a, _, _ := submissionApp(t, ", check_from: true")
	s := speak(t, a.Addr("submissions"), true)
	s.say("EHLO client.test", "250")
	s.say(authPlain("ann@example.org", "secret"), "235")
	for header, want := range map[string]string{
		"From: Ann <ann@example.org>":                      "250",
		"From: ann@example.org, sales@example.org":         "250",
		"From: bob@example.org":                            "553 5.7.1 <bob@example.org>: From field rejected",
		"From: ann@example.org\r\nFrom: bob@example.org":   "553 5.7.1",
		"From: \"ann@example.org\" <bob@example.org>":      "553 5.7.1",
		"From:\r\n ann@example.org,\r\n\tbob@example.org":  "553 5.7.1",
		"Subject: no author":                               "553 5.7.1",
		"From: ann@example.org (comment":                   "553 5.7.1",
		"From: =?utf-8?q?Ann?= <ann@example.org>":          "250",
		"From: =?koi8-r?b?8NLJ18XU?= <ann@example.org>":    "250",
		"From : ann@example.org":                           "250",
		"From: friends: ann@example.org, bob@example.org;": "553 5.7.1",
	} {
		s.say("MAIL FROM:<ann@example.org>", "250")
		s.say("RCPT TO:<c@elsewhere.example>", "250")
		s.say("DATA", "354")
		s.say(header+"\r\n\r\nbody\r\n.", want)
		s.say("RSET", "250")
	}
}

func TestRelayedMailKeepsItsOctetsAndMissesItsFields(t *testing.T) {
	a, _, next := submissionApp(t, "")
	c := dial(t, a.Addr("smtp").String())
	c.send(250, "a@example.com", "c@elsewhere.example", "Subject: x\r\n\r\nbody\r\n")
	if got := content(t, next.wait(t).data); got != "Subject: x\r\n\r\nbody\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestInjectedCommandsBeforeTLSAreNotTaken(t *testing.T) {
	a, _, _ := submissionApp(t, "")
	s := speak(t, a.Addr("submission"), false)
	s.say("EHLO client.test", "250")
	if _, err := io.WriteString(s.conn, "STARTTLS\r\n"+authPlain("ann@example.org", "secret")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	s.want("554 5.7.0")
	s.wantEnd()
}

func TestLongAuthLines(t *testing.T) {
	a, _, _ := submissionApp(t, "")
	s := speak(t, a.Addr("submissions"), true)
	s.say("EHLO client.test", "250")
	most := strings.Repeat("A", 12288-len("AUTH PLAIN \r\n"))
	s.say("AUTH PLAIN "+most[:len(most)-len(most)%4], "501 5.5.2") // read whole, and no PLAIN
	s.say("AUTH PLAIN "+strings.Repeat("A", 12288), "500 5.5.2")
	s.say("NOOP "+strings.Repeat("A", 4000), "500 5.5.2 line too long")
	s.say("AUTH PLAIN", "334 ")
	s.say(strings.Repeat("A", 13000), "500 5.5.6")
	s.say(authPlain("ann@example.org", "secret"), "235")
}

func TestFailuresEndTheSessionAndBarTheAddress(t *testing.T) {
	a, l, _ := submissionApp(t, ", failures_per_address: 5")
	for i, ends := range []int{3, 2} {
		s := speak(t, a.Addr("submissions"), true)
		s.say("EHLO client.test", "250")
		for n := 1; n < ends; n++ {
			s.say(authPlain("ann@example.org", "wrong"), "535")
		}
		if i == 0 {
			s.say(authPlain("nobody", "wrong"), "421 4.7.0 too many failed logins")
			s.wantEnd()
		} else {
			s.say(authPlain("nobody", "wrong"), "535")
		}
	}
	s := speak(t, a.Addr("submission"), false)
	s.starttls(nil)
	s.say(authPlain("ann@example.org", "secret"), "421 4.7.0 too many failed logins from your address")
	s.wantEnd()
	if strings.Contains(l.String(), "nobody") || strings.Contains(l.String(), "wrong") {
		t.Error("the log holds what a client typed")
	}
	if got := metric(t, a, "mtad_auth_attempts_total"); got["outcome=refused"] != 5 || got["outcome=barred"] != 1 {
		t.Errorf("metrics: %v", got)
	}
}

// metric sums a counter's values by each of its labels.
func metric(t *testing.T, a *app.App, name string) map[string]float64 {
	t.Helper()
	families, err := a.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				sums[l.GetName()+"="+l.GetValue()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sums
}

func TestALoginByCertificate(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, 1)
	known := clientPair(t, dir)
	a, _ := start(t, read(t, dir, fmt.Sprintf(`
tls: {certificate: %[1]s/c.pem, key: %[1]s/k.pem}
listeners:
  submission: {kind: submission, address: "127.0.0.1:0", auth: machines}
auth:
  machines: {certificate_logins: %[1]s/fingerprints, senders: any}
api: {listen: []}
`, dir)))
	s := speak(t, a.Addr("submission"), false)
	if got := s.starttls(known); !strings.Contains(got, "AUTH EXTERNAL\r\n") {
		t.Errorf("got %q", got)
	}
	s.say("AUTH EXTERNAL "+base64.StdEncoding.EncodeToString([]byte("root")), "535")
	s.say("AUTH EXTERNAL =", "235")
	s.say("MAIL FROM:<any@where.example>", "250")

	stranger := speak(t, a.Addr("submission"), false)
	other := t.TempDir()
	writePair(t, other, 7)
	pair, err := tls.LoadX509KeyPair(other+"/c.pem", other+"/k.pem")
	if err != nil {
		t.Fatal(err)
	}
	stranger.starttls(&pair)
	stranger.say("AUTH EXTERNAL =", "535")
	nobody := speak(t, a.Addr("submission"), false)
	if got := nobody.starttls(nil); strings.Contains(got, "AUTH") {
		t.Errorf("without a certificate: %q", got)
	}
	nobody.say("AUTH EXTERNAL =", "504")
}

// clientPair makes a certificate and lists it in the file fingerprints.
func clientPair(t *testing.T, dir string) *tls.Certificate {
	t.Helper()
	sub := t.TempDir()
	writePair(t, sub, 99)
	pair, err := tls.LoadX509KeyPair(sub+"/c.pem", sub+"/k.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/fingerprints", []byte(fingerprint(pair.Leaf)+" backup\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &pair
}

func fingerprint(c *x509.Certificate) string {
	return fmt.Sprintf("%X", sha256.Sum256(c.Raw))
}

func TestAReloadChangesWhoMayLogIn(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, 1)
	one, two := t.TempDir(), t.TempDir()
	text := func(file string) string {
		return fmt.Sprintf(`
tls: {certificate: %[1]s/c.pem, key: %[1]s/k.pem}
listeners:
  submissions: {kind: submissions, address: "127.0.0.1:0", auth: people}
auth:
  people: {password_file: %[2]s, max_delay: 1ms}
api: {listen: []}
`, dir, file)
	}
	first := passwords(t, one, map[string]string{"ann": "secret"})
	second := passwords(t, two, map[string]string{"bob": "other"})
	a, _ := start(t, read(t, dir, text(first)))
	try := func(user, password, want string) {
		t.Helper()
		s := speak(t, a.Addr("submissions"), true)
		s.say("EHLO client.test", "250")
		s.say(authPlain(user, password), want)
	}
	try("ann", "secret", "235")
	if _, err := a.Reload(t.Context(), read(t, dir, text(second))); err != nil {
		t.Fatal(err)
	}
	try("ann", "secret", "535")
	try("bob", "other", "235")
	if _, err := a.Reload(t.Context(), read(t, dir, text(dir+"/none"))); err == nil {
		t.Error("a password file that is not there was taken")
	}
	try("bob", "other", "235")
}
