package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"os/exec"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"mtad/queue"
)

// program finds a program or skips the test.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed", names[0])
	return ""
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestGoSMTPClient(t *testing.T) {
	d := openDoor(t, withTLS(t))
	c, err := gosmtp.DialStartTLS(d.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client.example"); err != nil {
		t.Fatal(err)
	}
	if size, ok := c.MaxMessageSize(); !ok || size != 64<<20 {
		t.Errorf("size %d, %v", size, ok)
	}
	content := "Subject: x\r\n\r\n.\r\n..\r\n.a\r\n" + strings.Repeat("long line ", 5000) + "\r\n"
	err = c.Mail("a@client.example", &gosmtp.MailOptions{Size: int64(len(content)), Return: gosmtp.DSNReturnHeaders, EnvelopeID: "id+1"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Rcpt("b@example.org", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}, OriginalRecipientType: gosmtp.DSNAddressTypeRFC822, OriginalRecipient: "B@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = c.Quit()
	}
	if err != nil {
		t.Fatal(err)
	}
	e := d.wantContent(content).Envelope
	if e.EnvID != "id+1" || e.Return != "HDRS" || e.Recipients[0].ORCPT != "RFC822;B@example.org" || e.Recipients[0].Notify != queue.NotifyFailure || e.Client.Protocol != "ESMTPS" {
		t.Errorf("envelope %+v", e)
	}
}

func TestSmtpSource(t *testing.T) {
	source := program(t, "smtp-source", "/usr/sbin/smtp-source")
	d := openDoor(t)
	for _, flags := range [][]string{{}, {"-d"}} {
		args := append(flags, "-s", "5", "-m", "30", "-l", "10240", "-r", "2", "-f", "a@client.example", "-t", "b@example.org", "inet:"+d.addr)
		run(t, source, args...)
	}
	items := d.wantMessages(60)
	for _, it := range items {
		if len(it.Envelope.Recipients) != 2 || it.Size() < 10000 {
			t.Fatalf("item %+v", it)
		}
	}
}

func TestSwaks(t *testing.T) {
	swaks := program(t, "swaks")
	d := openDoor(t, withTLS(t))
	host, port, _ := strings.Cut(d.addr, ":")
	for _, flags := range [][]string{{}, {"--pipeline"}, {"--tls"}} {
		if len(flags) == 1 && flags[0] == "--tls" && exec.Command("perl", "-MNet::SSLeay", "-e1").Run() != nil {
			continue
		}
		args := append([]string{"--server", host, "--port", port, "--from", "a@client.example", "--to", "b@example.org", "--body", "one\n.two\n.\nthree", "--silent", "3"}, flags...)
		run(t, swaks, args...)
	}
	for _, it := range d.messages() {
		if got := d.content(it.ID); !strings.Contains(got, "one\r\n.two\r\n.\r\nthree\r\n") {
			t.Errorf("content %q", got)
		}
	}
}

func TestSwaksIsToldWhyItIsRefused(t *testing.T) {
	swaks := program(t, "swaks")
	d := openDoor(t)
	host, port, _ := strings.Cut(d.addr, ":")
	var out bytes.Buffer
	cmd := exec.Command(swaks, "--server", host, "--port", port, "--from", "a@client.example", "--to", "b@else.example")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err == nil || !strings.Contains(out.String(), "554 5.7.1 relay access denied") {
		t.Errorf("%v: %s", err, out.String())
	}
}
