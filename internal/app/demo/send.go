package demo

import (
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// letter is a message of the demo.
type letter struct {
	name, to, content string
	id                string // queue ID, once accepted
}

const sender = "ann@example.org"

func letters() []*letter {
	text := func(subject, body string) string {
		return "From: Ann <" + sender + ">\r\nSubject: " + subject + "\r\n\r\n" + body + "\r\n"
	}
	return []*letter{
		{name: "plain", to: "bob@example.net", content: text("lunch", "At noon?")},
		{name: "busy", to: "carol@example.net", content: text("lunch too", "You as well?")},
		{name: "suspect", to: "dan@example.net", content: text("hm", "this looks suspicious")},
		{name: "virus", to: "eve@example.net", content: text("open me", "this is a virus")},
	}
}

// send hands a letter in over SMTP and returns the reply.
func send(addr string, l *letter) (string, error) {
	raw, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	c := textproto.NewConn(raw)
	if _, _, err := c.ReadResponse(220); err != nil {
		return "", err
	}
	reply := ""
	for _, step := range []struct {
		code int
		line string
	}{
		{250, "EHLO client.example"}, {250, "MAIL FROM:<" + sender + ">"}, {250, "RCPT TO:<" + l.to + ">"},
		{354, "DATA"}, {250, l.content + "."},
	} {
		if err := c.PrintfLine("%s", step.line); err != nil {
			return "", err
		}
		if _, reply, err = c.ReadResponse(step.code); err != nil {
			return "", fmt.Errorf("%s: %w", strings.SplitN(step.line, "\r\n", 2)[0], err)
		}
	}
	_ = c.PrintfLine("QUIT")
	for _, word := range strings.Fields(reply) {
		if len(word) == 13 {
			l.id = word
		}
	}
	return "250 " + reply, nil
}
