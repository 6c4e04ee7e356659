package deliver_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/deliver"
	"mtad/internal/mxlookup"
	"mtad/internal/smtpclient"
	"mtad/queue"
)

// content is content in memory.
type content struct{ *strings.Reader }

func (c content) Size() int64  { return c.Reader.Size() }
func (c content) Close() error { return nil }

const mail = "Received: by mtad\r\nSubject: x\r\n\r\nbody\r\n"

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// job is an attempt for some recipients with this content.
func job(body string, paths ...string) deliver.Job {
	it := queue.Item{ID: queue.IDOf(created, 1, 2), Created: created}
	it.Envelope.ReversePath = "from@client.test"
	j := deliver.Job{NextHop: "hop.test", Open: func() (queue.Content, error) {
		return content{strings.NewReader(body)}, nil
	}}
	for i, p := range paths {
		it.Envelope.Recipients = append(it.Envelope.Recipients, queue.Recipient{Path: p})
		j.Recipients = append(j.Recipients, i)
	}
	j.Item = it
	return j
}

// relay goes to these addresses, for every next hop.
func relay(t testing.TB, addresses []string, change ...func(*deliver.RelayOptions)) *deliver.Relay {
	t.Helper()
	var targets []mxlookup.Target
	for _, a := range addresses {
		targets = append(targets, mxlookup.Target{Host: "mx.hop.test", Addr: netip.MustParseAddrPort(a)})
	}
	o := deliver.RelayOptions{
		Lookup:      func(context.Context, string) ([]mxlookup.Target, error) { return targets, nil },
		Client:      smtpclient.Options{Hostname: "client.test"},
		IdleTimeout: time.Minute,
	}
	for _, c := range change {
		c(&o)
	}
	r := deliver.NewRelay(o)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// show prints results as "status reply @remote", one line each.
func show(results []deliver.Result) string {
	var lines []string
	for _, r := range results {
		line := r.Status.String() + " " + r.Reply.String()
		if r.Remote != "" {
			line += " @" + r.Remote
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func expect(t *testing.T, results []deliver.Result, want ...string) {
	t.Helper()
	if got := show(results); got != strings.Join(want, "\n") {
		t.Errorf("results\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// server accepts connections and plays a part for each; what it heard is kept.
type server struct {
	addr string
	l    net.Listener
	done sync.WaitGroup

	mu    sync.Mutex
	lines []string
	conns int
}

// answer says what the reply to a command is. "" is none; "close" ends the
// connection; content comes as the command ".".
type answer func(conn int, command string) string

func serve(t testing.TB, a answer, ext ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l: l, addr: l.Addr().String()}
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			n := s.conns
			s.mu.Unlock()
			s.done.Go(func() { s.session(c, n, a, ext) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); s.done.Wait() })
	return s
}

func (s *server) session(c net.Conn, n int, a answer, ext []string) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	say := func(command string) bool {
		reply := a(n, command)
		if reply == "" {
			reply = standard(command, ext)
		}
		if reply == "close" {
			return false
		}
		_, err := io.WriteString(c, reply+"\r\n")
		return err == nil && !strings.HasPrefix(reply, "421")
	}
	if !say("connect") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.heard(line)
		if !say(line) || line == "QUIT" {
			return
		}
		if line == "DATA" && a(n, "DATA") == "" {
			if s.data(r) != nil || !say(".") {
				return
			}
		}
	}
}

func (s *server) data(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return err
		}
	}
}

func standard(command string, ext []string) string {
	switch {
	case command == "connect":
		return "220 hop.test"
	case strings.HasPrefix(command, "EHLO"), strings.HasPrefix(command, "LHLO"):
		return strings.Join(append([]string{"250-hop.test"}, prefixed(ext)...), "\r\n") + "\r\n250 HELP"
	case command == "DATA":
		return "354 go"
	case command == "QUIT":
		return "221 bye"
	}
	return "250 2.0.0 ok"
}

func prefixed(ext []string) []string {
	var list []string
	for _, e := range ext {
		list = append(list, "250-"+e)
	}
	return list
}

func (s *server) heard(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// count counts the lines that begin so.
func (s *server) count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// fine answers everything positively.
func fine(int, string) string { return "" }

// only gives one command its reply, on every connection.
func only(prefix, reply string) answer {
	return func(_ int, command string) string {
		if strings.HasPrefix(command, prefix) {
			return reply
		}
		return ""
	}
}

// deadAddress is an address nobody listens on.
func deadAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
