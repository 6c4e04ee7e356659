package app_test

import (
	"bufio"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a content filter that does what a test says.
type proxy struct {
	t        *testing.T
	ln       net.Listener
	forwards bool         // offers XFORWARD
	back     atomic.Value // string: where messages are given back
	wg       sync.WaitGroup

	mu    sync.Mutex
	plays []func(*handed) string // one for each message, the last for all further ones
	seen  int
}

// handed is a message that the proxy was handed.
type handed struct {
	p       *proxy
	conn    net.Conn
	forward map[string]string
	mail    string   // arguments of MAIL
	rcpts   []string // arguments of RCPT
	data    string
}

// newProxy makes a proxy. A play returns the reply to the data; with "" the
// connection is closed without one.
func newProxy(t *testing.T, forwards bool, plays ...func(*handed) string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, ln: ln, forwards: forwards, plays: plays}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); p.wg.Wait() })
	return p
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	h := &handed{p: p, conn: c, forward: map[string]string{}}
	r := textproto.NewReader(bufio.NewReader(c))
	say := func(lines string) { fmt.Fprint(c, strings.ReplaceAll(lines, "\n", "\r\n")+"\r\n") }
	say("220 proxy")
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO", "LHLO":
			if p.forwards {
				say("250-proxy\n250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\n250 DSN")
			} else {
				say("250 proxy")
			}
		case "XFORWARD":
			for _, w := range strings.Fields(arg) {
				name, value, _ := strings.Cut(w, "=")
				h.forward[name] = value
			}
			say("250 ok")
		case "MAIL":
			h.mail = arg
			say("250 ok")
		case "RCPT":
			h.rcpts = append(h.rcpts, strings.TrimPrefix(arg, "TO:"))
			say("250 ok")
		case "DATA":
			say("354 go on")
			b, err := r.ReadDotBytes()
			if err != nil {
				return
			}
			h.data = strings.ReplaceAll(string(b), "\n", "\r\n")
			reply := p.play()(h)
			if reply == "" {
				return
			}
			say(reply)
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 what")
		}
	}
}

func (p *proxy) play() func(*handed) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.plays[min(p.seen, len(p.plays)-1)]
	p.seen++
	return f
}

func (p *proxy) scans() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// from is the reverse-path with its brackets.
func (h *handed) from() string { return strings.Fields(strings.TrimPrefix(h.mail, "FROM:"))[0] }

// back gives a message back and returns the reply; the proxy's own identity goes
// with it unless ident says otherwise.
func (h *handed) back(data string, rcpts ...string) string {
	return h.backAs(h.forward["IDENT"], h.from(), data, rcpts...)
}

func (h *handed) backAs(ident, from, data string, rcpts ...string) string {
	c, err := textproto.Dial("tcp", h.p.back.Load().(string))
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if len(rcpts) == 0 {
		for _, r := range h.rcpts {
			rcpts = append(rcpts, strings.Fields(r)[0])
		}
	}
	commands := []string{"", "EHLO proxy"}
	if ident != "" {
		commands = append(commands, "XFORWARD ADDR=192.0.2.9 IDENT="+ident)
	}
	commands = append(commands, "MAIL FROM:"+from)
	for _, r := range rcpts {
		commands = append(commands, "RCPT TO:"+r)
	}
	for _, line := range append(commands, "DATA") {
		if line != "" {
			_ = c.PrintfLine("%s", line)
		}
		if code, text, err := c.ReadResponse(0); code >= 400 || err != nil && code == 0 {
			return fmt.Sprint(code, " ", text, err)
		}
	}
	w := c.DotWriter()
	fmt.Fprint(w, strings.ReplaceAll(data, "\r\n", "\n"))
	if err := w.Close(); err != nil {
		return err.Error()
	}
	code, text, err := c.ReadResponse(0)
	if code == 0 {
		return err.Error()
	}
	return fmt.Sprint(code, " ", text)
}
