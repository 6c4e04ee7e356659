package app_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/filter/scannertest"
	"mtad/queue"
)

// scanned is a configuration with one filter, given as YAML, and a next hop.
func scanned(next, timing, filter string) string {
	return fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0", chain: scan}
api: {listen: ["127.0.0.1:0"]}
filters:
  f: {%s}
chains: {scan: {filters: [f], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
`, filter, timing, next[len("127.0.0.1:"):])
}

// trial is a scanner with what it is expected to do to mail.
type trial struct {
	filter string // YAML, without on and retry_delay
	bad    string // a message that is refused
	text   string // part of the reply
	// ham checks what arrived of an ordinary message, without our own trace.
	ham func(t *testing.T, got string)
	// process is the scanner, to be killed; network and addr are where it listens.
	process       *scannertest.Process
	network, addr string
}

// passes runs the whole course: ham, and what is refused, inline and after the
// queue; quarantine; and the scanner killed and restarted.
func (x trial) passes(t *testing.T) {
	x.inline(t)
	x.after(t)
	x.killed(t)
	x.killedWithin(t)
}

func (x trial) inline(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "inline", x.filter)))
	c := dial(t, a.Addr("smtp").String())
	c.send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	x.ham(t, content(t, next.wait(t).data))
	if reply, _ := c.send(554, "sender@example.org", "rcpt@example.net", x.bad); !strings.Contains(reply, x.text) {
		t.Errorf("inline: the client is told %q", reply)
	}
	empty(t, a)
}

// empty checks that nothing is queued.
func empty(t *testing.T, a *app.App) {
	t.Helper()
	tally, err := a.Queue().Count(t.Context(), queue.Filter{States: []queue.State{queue.Unfiltered}})
	if err != nil || tally.Messages != 0 {
		t.Errorf("%d messages wait, %v", tally.Messages, err)
	}
}

func (x trial) after(t *testing.T) {
	next := newSink(t)
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "after", x.filter)))
	c := dial(t, a.Addr("smtp").String())
	_, id := c.send(250, "sender@example.org", "rcpt@example.net", x.bad)
	if got := next.wait(t); got.from != "" || fmt.Sprint(got.to) != "[sender@example.org]" || !strings.Contains(string(got.data), "554 5.7.1") {
		t.Errorf("after: want a report to the sender, got %+v %s", got.to, got.data)
	}
	finished(t, a.Queue(), queue.ID(id))
}

// killed stops the scanner: mail is deferred while it is away, as on.* says,
// nothing is accepted unscanned, and what was parked is scanned when it is back.
func (x trial) killed(t *testing.T) {
	next := newSink(t)
	yaml := x.filter + ", retry_delay: 1s, on: {unreachable: tempfail, crash: tempfail, protocol: tempfail, timeout: tempfail}"
	a, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "inline", yaml)))
	b, _ := start(t, read(t, t.TempDir(), scanned(next.addr, "after", x.filter+", retry_delay: 1s")))
	x.process.Kill()
	dial(t, a.Addr("smtp").String()).send(451, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	_, id := dial(t, b.Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	it, err := b.Queue().Get(t.Context(), queue.ID(id))
	if err != nil || it.State != queue.Unfiltered {
		t.Errorf("while the scanner is away: %v, %v", it.State, err)
	}
	x.process.Restart()
	x.ham(t, content(t, next.wait(t).data))
	finished(t, b.Queue(), queue.ID(id))
}

// killedWithin kills the scanner while it has a message: the rule for a crash
// holds, and no other.
func (x trial) killedWithin(t *testing.T) {
	asked := make(chan struct{}, 1)
	front := scannertest.Serve(t, func(c net.Conn) { forward(c, x.network, x.addr, asked) })
	filter := strings.Replace(strings.Replace(x.filter, "unix:"+x.addr, front, 1), x.addr, front, 1)
	a, _ := start(t, read(t, t.TempDir(), scanned("127.0.0.1:1", "after", filter+", on: {crash: quarantine}")))
	x.process.Pause()
	_, id := dial(t, a.Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", scannertest.Ham())
	select {
	case <-asked:
	case <-time.After(time.Minute):
		t.Fatal("the scanner is not asked")
	}
	x.process.Kill()
	if it := held(t, a, id); it.State != queue.Unfiltered || !strings.Contains(it.Hold.Reason, "crash") {
		t.Errorf("killed within a message: %v, %+v", it.State, it.Hold)
	}
	x.process.Restart()
}

// forward carries octets both ways, and says when the first ones came.
func forward(c net.Conn, network, addr string, asked chan<- struct{}) {
	up, err := net.Dial(network, addr)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		b := make([]byte, 32<<10)
		for {
			n, err := c.Read(b)
			if _, werr := up.Write(b[:n]); err != nil || werr != nil {
				return
			}
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	}()
	_, _ = io.Copy(c, up)
}

// held waits until a message is in quarantine.
func held(t *testing.T, a *app.App, id string) queue.Item {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 6000 {
		if it, err := a.Queue().Get(t.Context(), queue.ID(id)); err == nil && it.Hold != nil {
			return it
		}
		<-tick.C
	}
	t.Fatal("the message is not held")
	return queue.Item{}
}

// quarantines shows that a filter whose policy says so holds a message, inline
// and after.
func quarantines(t *testing.T, filter, bad string) {
	t.Helper()
	for _, timing := range []string{"inline", "after"} {
		a, _ := start(t, read(t, t.TempDir(), scanned("127.0.0.1:1", timing, filter)))
		_, id := dial(t, a.Addr("smtp").String()).send(250, "sender@example.org", "rcpt@example.net", bad)
		if it := held(t, a, id); it.State != queue.Incoming || it.Hold.By != "filter:f" {
			t.Errorf("%s: %v, %+v", timing, it.State, it.Hold)
		}
	}
}

func TestClamdEndToEnd(t *testing.T) {
	c := scannertest.StartClamd(t)
	filter := fmt.Sprintf(`kind: clamd, address: "unix:%s"`, c.Socket)
	quarantines(t, filter+", clamd: {virus: quarantine}", scannertest.Virus())
	trial{
		filter: filter, bad: scannertest.Virus(), text: "virus found: Eicar-Local", process: c.Process, network: "unix", addr: c.Socket,
		ham: func(t *testing.T, got string) {
			if want := "X-Virus-Scanned: clamd at mx.test\r\nX-Virus-Status: Clean\r\n" + scannertest.Ham(); got != want {
				t.Errorf("ham arrives as %q, want %q", got, want)
			}
		},
	}.passes(t)
}

// ownXSpam cuts off the X-Spam fields on top.
func ownXSpam(content string) (fields, rest string) {
	for strings.HasPrefix(content, "X-Spam-") || fields != "" && strings.HasPrefix(content, "\t") {
		line, after, _ := strings.Cut(content, "\n")
		fields, content = fields+line+"\n", after
	}
	return fields, content
}

func TestSpamdEndToEnd(t *testing.T) {
	s := scannertest.StartSpamd(t)
	filter := fmt.Sprintf(`kind: spamd, address: "%s"`, s.Addr)
	quarantines(t, filter+", spamd: {spam: quarantine}", scannertest.Spam())
	trial{
		filter: filter + ", spamd: {reject_at: 15}", bad: scannertest.Spam(), text: "looks like spam", process: s.Process, network: "tcp", addr: s.Addr,
		ham: func(t *testing.T, got string) {
			if fields, rest := ownXSpam(got); rest != scannertest.Ham() || !strings.HasPrefix(fields, "X-Spam-Status: No, score=") {
				t.Errorf("ham arrives as %q", got)
			}
		},
	}.passes(t)
}

func TestRspamdEndToEnd(t *testing.T) {
	c := scannertest.StartClamd(t)
	r := scannertest.StartRspamd(t, c.Socket)
	filter := fmt.Sprintf(`kind: rspamd, address: "%s"`, r.Addr)
	quarantines(t, filter+", rspamd: {reject: quarantine}", scannertest.Spam())
	ham := func(t *testing.T, got string) {
		// What milter_headers adds is rspamd's; the rest is the message.
		var rest []string
		for _, line := range strings.SplitAfter(got, "\n") {
			name, _, _ := strings.Cut(line, ":")
			added := strings.HasPrefix(name, "X-Rspamd-") || strings.HasPrefix(name, "X-Spam") || name == "Authentication-Results"
			if !added && !strings.HasPrefix(line, "\t") {
				rest = append(rest, line)
			}
		}
		if strings.Join(rest, "") != scannertest.Ham() || !strings.Contains(got, "X-Spam-Status: No, score=") {
			t.Errorf("ham arrives as %q", got)
		}
	}
	trial{filter: filter, bad: scannertest.Spam(), text: "Gtube pattern", process: r.Process, network: "tcp", addr: r.Addr, ham: ham}.passes(t)
	trial{filter: filter, bad: scannertest.Virus(), text: "Eicar", ham: ham}.inline(t)
}
