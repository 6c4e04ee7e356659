package mailscanner_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// standin is a program that acts on the exchange directories as MailScanner 5 does
// (MSMail.pm, MSDiskStore.pm, Lock.pm), for machines that have none. What it makes of a
// message is in its Subject: "stored" goes to the quarantine, "deleted" nowhere, "virus"
// gets another body, "forward" another recipient, and everything else comes back with
// fields added.
type standin struct {
	in, out, quarantine string
	die                 func(step string)
}

// standinSteps are where it can be killed.
var standinSteps = []string{"lock", "scan", "half", "rename", "unlink", "unlock"}

// id is what MailScanner takes for the name of a message.
var id = regexp.MustCompile(`^\w+$`)

// run scans batches for ever.
func (s *standin) run() {
	for range time.Tick(20 * time.Millisecond) {
		entries, _ := os.ReadDir(s.in)
		for _, e := range entries {
			if st, err := e.Info(); err == nil && id.MatchString(e.Name()) && st.Mode().IsRegular() && st.Size() > 0 {
				s.scan(e.Name())
			}
		}
	}
}

func (s *standin) scan(name string) {
	f, err := os.OpenFile(filepath.Join(s.in, name), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	s.die("lock")
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return
	}
	s.die("scan")
	m := parseExchange(f)
	switch subject := m.field("Subject"); {
	case len(m.to) == 0 || !m.haveSender:
		return // not valid: it stays where it is
	case strings.Contains(subject, "stored"):
		dir := filepath.Join(s.quarantine, "20261122", "spam")
		_ = os.MkdirAll(dir, 0o777)
		_ = os.WriteFile(filepath.Join(dir, name), []byte(m.text()), 0o660)
	case strings.Contains(subject, "deleted"):
	default:
		s.deliver(name, m)
	}
	s.die("unlink")
	_ = os.Remove(filepath.Join(s.in, name))
	s.die("unlock")
}

func (s *standin) deliver(name string, m *exchanged) {
	m.headers = append(m.headers, "X-Test-MailScanner: Found to be clean", "X-Test-MailScanner-ID: "+name, "X-Test-MailScanner-Client: "+m.client())
	switch subject := m.field("Subject"); {
	case strings.Contains(subject, "virus"):
		m.body = []string{"a virus was removed", ""}
	case strings.Contains(subject, "forward"):
		m.to = []string{"other@example.net"}
	}
	temp := filepath.Join(s.out, fmt.Sprintf("temp-%d-%s", os.Getpid(), name))
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	text := m.text()
	_, _ = f.WriteString(text[:len(text)/2])
	s.die("half")
	_, _ = f.WriteString(text[len(text)/2:])
	f.Close()
	s.die("rename")
	_ = os.Rename(temp, filepath.Join(s.out, name))
}

// exchanged is a message of an exchange file, line by line.
type exchanged struct {
	to         []string
	from       string
	haveSender bool
	headers    []string
	body       []string
}

// parseExchange reads what MailScanner reads.
func parseExchange(f *os.File) *exchanged {
	m, inBody, inMessage := &exchanged{}, false, false
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if err != nil && line == "" {
			return m
		}
		line = strings.TrimSuffix(line, "\n")
		path := line[strings.LastIndex(line, "<")+1:]
		path, _, _ = strings.Cut(path, ">")
		switch {
		case inBody:
			m.body = append(m.body, strings.TrimRight(line, "\r"))
		case !inMessage && strings.HasPrefix(line, "O"):
			m.to = append(m.to, path)
		case !inMessage && strings.HasPrefix(line, "S"):
			m.from, m.haveSender = path, true
		case line == "":
			inBody = true
		default:
			inMessage = true
			m.headers = append(m.headers, line)
		}
	}
}

func (m *exchanged) field(name string) string {
	for _, h := range m.headers {
		if v, ok := strings.CutPrefix(h, name+":"); ok {
			return v
		}
	}
	return ""
}

var received = regexp.MustCompile(`(?i)^Received: .+?\(.*?\[(?:IPv6:)?([0-9a-f.:]+)\]`)

// client is the address in the first Received field.
func (m *exchanged) client() string {
	for _, h := range m.headers {
		if at := received.FindStringSubmatch(h); at != nil {
			return at[1]
		}
	}
	return "127.0.0.1"
}

func (m *exchanged) text() string {
	var b bytes.Buffer
	for _, r := range m.to {
		fmt.Fprintf(&b, "O<%s>\n", r)
	}
	fmt.Fprintf(&b, "S<%s>\n", m.from)
	for _, h := range m.headers {
		b.WriteString(h + "\n")
	}
	b.WriteString("\n")
	for _, l := range m.body {
		b.WriteString(l + "\n")
	}
	return b.String()
}
