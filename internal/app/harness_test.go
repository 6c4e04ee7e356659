package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/internal/app"
	"mtad/internal/config"
)

// logs collects what an App logs; it is shown when the test fails.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// read parses a configuration whose spool is in dir.
func read(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(dir+"/mtad.yaml", []byte(text+fmt.Sprintf(`
spool: {directory: %s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}
hostname: mx.test
`, dir)))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start makes an App of a configuration and stops it at the end of the test.
func start(t *testing.T, cfg *config.Config) (*app.App, *logs) {
	t.Helper()
	l := &logs{}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: l})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", l)
		}
	})
	return a, l
}

// startFile is start for a configuration file.
func startFile(t *testing.T, file string) (*app.App, *logs) {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, cfg)
}

// client speaks SMTP line by line.
type client struct {
	t *testing.T
	c *textproto.Conn
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	x := &client{t, c}
	x.expect(220)
	x.do(250, "EHLO client.test")
	return x
}

// expect reads a reply; a code of one digit stands for its class.
func (x *client) expect(code int) string {
	x.t.Helper()
	got, msg, err := x.c.ReadResponse(0)
	if err != nil && got == 0 {
		x.t.Fatal(err)
	}
	if got != code && got/100 != code {
		x.t.Fatalf("got %d %s, want %d", got, msg, code)
	}
	return msg
}

func (x *client) do(code int, format string, args ...any) string {
	x.t.Helper()
	if err := x.c.PrintfLine(format, args...); err != nil {
		x.t.Fatal(err)
	}
	return x.expect(code)
}

// send hands a message in and returns the reply and the queue ID in it.
func (x *client) send(code int, from, to, message string) (reply, id string) {
	x.t.Helper()
	x.do(250, "MAIL FROM:<%s>", from)
	x.do(250, "RCPT TO:<%s>", to)
	x.do(354, "DATA")
	w := x.c.DotWriter()
	if _, err := w.Write([]byte(strings.ReplaceAll(message, "\r\n", "\n"))); err != nil {
		x.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		x.t.Fatal(err)
	}
	reply = x.expect(code)
	for _, word := range strings.Fields(reply) {
		if len(word) == 13 {
			id = word
		}
	}
	return reply, id
}
