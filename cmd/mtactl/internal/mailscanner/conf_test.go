package mailscanner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeConf(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigurationOfMailScannerIsRead(t *testing.T) {
	dir := t.TempDir()
	writeConf(t, dir, "local.conf", "Quarantine Dir = /q\nMTA = msmail\n")
	file := writeConf(t, dir, "MailScanner.conf", `# comment = 1
%spool-dir% = /var/spool/ms
MTA = sendmail
incomingqueuedir = %spool-dir%/in # behind it
Outgoing Queue Dir=/out/
MSMail Delivery Method = None
Lock Type =
Virus Scanners = clamd
include `+dir+"/loc*.conf\ninclude "+dir+"/nothing*\n")
	c, err := ReadConf(file)
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{"Incoming Queue Dir": "/var/spool/ms/in", "Outgoing Queue Dir": "/out", "Quarantine Dir": "/q"} {
		if got, err := c.Dir(option); err != nil || got != want {
			t.Errorf("%s: %q, %v", option, got, err)
		}
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestConfigurationThatWouldLoseMailIsRefused(t *testing.T) {
	dir := t.TempDir()
	good := "MTA = msmail\nMSMail Delivery Method = none\n"
	for _, text := range []string{"", "MTA = msmail\n", good + "MTA = postfix\n", good + "MSMail Delivery Method = SMTP\n", good + "Lock Type = posix\n"} {
		c, err := ReadConf(writeConf(t, dir, "c", text))
		if err != nil || c.Check() == nil {
			t.Errorf("%q: taken, %v", text, err)
		}
	}
	c, err := ReadConf(writeConf(t, dir, "c", "Incoming Queue Dir = /a/*\nOutgoing Queue Dir = %x%/y\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{"Incoming Queue Dir", "Outgoing Queue Dir", "Quarantine Dir"} {
		if got, err := c.Dir(option); err == nil {
			t.Errorf("%s: %q", option, got)
		}
	}
}

func TestConfigurationIsBounded(t *testing.T) {
	dir := t.TempDir()
	loop := writeConf(t, dir, "loop", "include "+dir+"/loop\n")
	for _, file := range []string{loop, writeConf(t, dir, "long", strings.Repeat("#\n", maxConf)), writeConf(t, dir, "line", strings.Repeat("x", 1<<20)), filepath.Join(dir, "none")} {
		if _, err := ReadConf(file); err == nil {
			t.Errorf("%s was read", filepath.Base(file))
		}
	}
}

func FuzzConf(f *testing.F) {
	f.Add("MTA = msmail\n%a% = b\nx = %a%%a%\n")
	f.Add("%a% = " + strings.Repeat("0", maxValue/2) + "\n" + strings.Repeat("%a% = %a%%a%%a%\n", 6))
	f.Fuzz(func(t *testing.T, text string) {
		c := &confReader{values: make(map[string]string), left: maxConf}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "include") {
				_ = c.line(line, 0)
			}
		}
		for name, value := range c.values {
			if len(value) > len(text)+maxValue {
				t.Errorf("%q stands for %d octets", name, len(value))
			}
		}
		_ = (&Conf{c.values}).Check()
	})
}
