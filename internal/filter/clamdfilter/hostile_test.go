package clamdfilter

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
	"mtad/internal/filter/scannertest"
)

func newFilter(t testing.TB, o Options) *Filter {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// readMessage takes commands and one message off the wire.
func readMessage(c io.Reader) {
	buf := make([]byte, 32<<10)
	for tail := []byte(nil); ; {
		n, err := c.Read(buf)
		tail = append(tail, buf[:n]...)
		if err != nil || bytes.HasSuffix(tail, []byte{0, 0, 0, 0}) {
			return
		}
		tail = tail[max(0, len(tail)-4):]
	}
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		readMessage(c)
		_, _ = io.WriteString(c, text)
	}
}

func TestWhatIsNoAnswerIsAFailureOfItsClass(t *testing.T) {
	stall := make(chan struct{})
	large := scannertest.Header + "\r\n" + strings.Repeat("0123456789abcdef\r\n", 1<<17)
	for _, tt := range []struct {
		name    string
		message string
		serve   func(net.Conn)
		want    filter.Class
	}{
		{"silence", "", func(c net.Conn) { readMessage(c); _, _ = io.Copy(io.Discard, c) }, filter.Timeout},
		{"never reads", large, func(net.Conn) { <-stall }, filter.Timeout},
		{"closes at once", "", func(net.Conn) {}, filter.Crash},
		{"closes after the message", "", func(c net.Conn) { readMessage(c) }, filter.Crash},
		{"closes within the message", large, func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 100_000) }, filter.Crash},
		{"closes within the answer", "", says("1: stream: O"), filter.Crash},
		{"empty answer", "", says("\x00"), filter.Protocol},
		{"answer to nothing", "", says("stream: OK\x00"), filter.Protocol},
		{"answer to another", "", says("2: stream: OK\x00"), filter.Protocol},
		{"number with a sign", "", says("+1: stream: OK\x00"), filter.Protocol},
		{"garbage", "", says("1: HTTP/1.1 200 OK\x00"), filter.Protocol},
		{"nothing but a number", "", says("1: \x00"), filter.Protocol},
		{"OK and more", "", says("1: stream: OK then\x00"), filter.Protocol},
		{"OK without a subject", "", says("1: OK\x00"), filter.Protocol},
		{"found nothing", "", says("1: stream:  FOUND\x00"), filter.Protocol},
		{"error", "", says("1: stream: Can't allocate memory ERROR\x00"), filter.Protocol},
		{"error that says OK", "", says("1: stream: OK ERROR\x00"), filter.Protocol},
		{"too large for clamd", "", says("1: INSTREAM size limit exceeded. ERROR\x00"), filter.OverSize},
		{"endless", "", func(c net.Conn) {
			readMessage(c)
			for {
				if _, err := io.WriteString(c, strings.Repeat("1", 1024)); err != nil {
					return
				}
			}
		}, filter.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.message == "" {
				tt.message = scannertest.Ham()
			}
			setup := scannertest.Setup{}
			if tt.want == filter.Timeout {
				setup.Timeout = 200 * time.Millisecond
			}
			f := newFilter(t, Options{Address: scannertest.Serve(t, tt.serve)})
			if tt.name == "never reads" {
				t.Cleanup(func() { close(stall) }) // before the server's
			}
			o := scannertest.Try(t, f, tt.message, setup)
			if o.Err == nil || o.Class() != tt.want {
				t.Errorf("got %+v, %v; want %s", o.Verdict, o.Err, tt.want)
			}
		})
	}
}

func TestNobodyListensIsUnreachable(t *testing.T) {
	for _, addr := range []string{scannertest.FreeAddr(t), "unix:/nonexistent/clamd.sock"} {
		if o := scannertest.Try(t, newFilter(t, Options{Address: addr}), scannertest.Ham(), scannertest.Setup{}); o.Class() != filter.Unreachable {
			t.Errorf("%s: got %v", addr, o.Err)
		}
	}
}

// A reply sent before clamd hangs up counts, though the rest of the message could
// not be sent.
func TestSizeLimitIsReadAfterAFailedWrite(t *testing.T) {
	message := scannertest.Header + "\r\n" + strings.Repeat("0123456789abcdef\r\n", 1<<20)
	addr := scannertest.Serve(t, func(c net.Conn) {
		_, _ = io.CopyN(io.Discard, c, 1000)
		_, _ = io.WriteString(c, "1: INSTREAM size limit exceeded. ERROR\x00")
		_ = c.(*net.TCPConn).CloseRead()
		_, _ = io.Copy(io.Discard, c)
	})
	if o := scannertest.Try(t, newFilter(t, Options{Address: addr}), message, scannertest.Setup{}); o.Class() != filter.OverSize {
		t.Errorf("got %v", o.Err)
	}
}

func TestPolicySaysWhatAVirusMeans(t *testing.T) {
	for policy, want := range map[scanner.Policy]filterproto.Disposition{
		"": filterproto.Reject, scanner.Reject: filterproto.Reject, scanner.Discard: filterproto.Discard,
		scanner.Quarantine: filterproto.Accept, scanner.Mark: filterproto.Accept,
	} {
		f := newFilter(t, Options{Address: scannertest.Serve(t, says("1: stream: Eicar(md5:4) FOUND\x00")), Virus: policy, StatusField: "X-Virus-Status"})
		o := scannertest.Try(t, f, "x-virus-status: Clean\r\n"+scannertest.Ham(), scannertest.Setup{})
		if o.Err != nil || o.Verdict.Disposition != want {
			t.Errorf("%s: got %+v, %v", policy, o.Verdict, o.Err)
		}
		if want == filterproto.Accept && o.Content != "X-Virus-Status: Infected (Eicar(md5:4))\r\n"+scannertest.Ham() {
			t.Errorf("%s: content %q", policy, o.Content)
		}
		if held := o.Item.Hold != nil; held != (policy == scanner.Quarantine) {
			t.Errorf("%s: held: %v", policy, held)
		}
	}
}

func TestSessionsAreUsedAgainAndReplacedWhenClosed(t *testing.T) {
	conns := make(chan net.Conn, 10)
	addr := scannertest.Serve(t, func(c net.Conn) {
		conns <- c
		for n := range 2 {
			readMessage(c)
			_, _ = io.WriteString(c, string(rune('1'+n))+": stream: OK\x00")
		}
	})
	f := newFilter(t, Options{Address: addr})
	for i := range 4 {
		if o := scannertest.Try(t, KeepOpen(f), scannertest.Ham(), scannertest.Setup{}); o.Err != nil {
			t.Fatalf("message %d: %v", i, o.Err)
		}
		if i == 1 {
			waitStale(t, f)
		}
	}
	if got := len(conns); got != 2 {
		t.Errorf("%d connections for 4 messages, want 2", got)
	}
}

// KeepOpen hides Close from the engine.
func KeepOpen(f *Filter) filter.Kind { return filter.KindFunc(f.Scan) }

// waitStale returns when the session that waits was closed by the other side.
func waitStale(t *testing.T, f *Filter) {
	t.Helper()
	f.pool.mu.Lock()
	s := f.pool.idle[0].session
	f.pool.mu.Unlock()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 60_000 {
		if !s.fresh() {
			return
		}
		<-tick.C
	}
	t.Fatal("the session stays open")
}

func TestEveryOctetIsSentOnceInBoundedChunks(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize} {
		message := strings.Repeat("x", size)
		got := make(chan []byte, 1)
		addr := scannertest.Serve(t, func(c net.Conn) {
			b := new(bytes.Buffer)
			readMessage(io.TeeReader(c, b))
			got <- b.Bytes()
			_, _ = io.WriteString(c, "1: stream: OK\x00")
		})
		if o := scannertest.Try(t, newFilter(t, Options{Address: addr}), message, scannertest.Setup{}); o.Err != nil {
			t.Fatal(o.Err)
		}
		wire := bytes.TrimPrefix(<-got, []byte("zIDSESSION\x00zINSTREAM\x00"))
		var content []byte
		for len(wire) > 4 {
			n := int(wire[0])<<24 | int(wire[1])<<16 | int(wire[2])<<8 | int(wire[3])
			if n > chunkSize || n > len(wire)-4 {
				t.Fatalf("%d octets: chunk of %d", size, n)
			}
			content, wire = append(content, wire[4:4+n]...), wire[4+n:]
		}
		if string(content) != message || string(wire) != "\x00\x00\x00\x00" {
			t.Errorf("%d octets: got %d and %q", size, len(content), wire)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"1: stream: OK", "1: stream: Eicar FOUND", "1: fd[7]: OK", "1: INSTREAM size limit exceeded. ERROR", "1: x: y: z FOUND", "2: stream: OK", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		virus, err := parseAnswer(line, 1)
		clean := bytes.HasPrefix(line, []byte("1: ")) && bytes.HasSuffix(line, []byte(": OK"))
		if err == nil && virus == "" && !clean && !bytes.HasSuffix(line, []byte(" FOUND")) {
			t.Errorf("%q passes as clean", line)
		}
		if bytes.HasSuffix(line, []byte(" ERROR")) && err == nil {
			t.Errorf("%q is an error and passes", line)
		}
		if strings.ContainsAny(virus, "\r\n\x00") || len(virus) > maxVirus {
			t.Errorf("%q gives the name %q", line, virus)
		}
	})
}
