package sendmail

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mtad/internal/smtp"
	"mtad/internal/submission"
)

// maxCommand is the longest command line that is read, with its end: room for a
// path and the parameters of RFC 3461.
const maxCommand = 4096

// maxRecipients bounds what is kept of a transaction; mtad has a bound of its own.
const maxRecipients = 50_000

// Conversation is the SMTP of -bs: a program speaks it on our standard input. What
// it hands in goes the way that all messages of its user go.
type Conversation struct {
	Person Person
	// Submit hands a message in. The reply is what the program is told; its class says
	// whether the message is in the queue.
	Submit func(context.Context, *Message) smtp.Reply
	Now    func() time.Time
	Token  func() string // a fresh local part of a Message-ID
}

// Serve answers until QUIT or the end of the input, which both give nil.
func (c *Conversation) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	d := &dialogue{c: c, r: bufio.NewReaderSize(in, 64<<10), w: bufio.NewWriter(out)}
	d.say(220, "", c.Person.Host+" ESMTP mtad")
	for ctx.Err() == nil && !d.quit {
		if d.r.Buffered() == 0 { // pipelined commands are answered together
			if err := d.w.Flush(); err != nil {
				return err
			}
		}
		line, err := d.command()
		switch {
		case errors.Is(err, io.EOF):
			return d.w.Flush()
		case err != nil:
			return err
		}
		if err := d.obey(ctx, line); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), d.w.Flush())
}

// dialogue is the state of a Conversation.
type dialogue struct {
	c    *Conversation
	r    *bufio.Reader
	w    *bufio.Writer
	env  *submission.Envelope // of the transaction, nil: there is none
	utf8 bool                 // SMTPUTF8 was asked for
	quit bool
}

var errCommandTooLong = errors.New("the line is too long")

// command reads a line without its end; one that is too long is read to its end
// and returned as nil.
func (d *dialogue) command() ([]byte, error) {
	line, err := d.r.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		if _, err = d.r.ReadSlice('\n'); err == nil {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if len(line) > maxCommand {
		return nil, nil
	}
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}

func (d *dialogue) say(code int, enhanced, text string) {
	if enhanced != "" {
		enhanced += " "
	}
	fmt.Fprintf(d.w, "%d %s%s\r\n", code, enhanced, text)
}

func (d *dialogue) obey(ctx context.Context, line []byte) error {
	if line == nil {
		d.say(500, "5.5.2", errCommandTooLong.Error())
		return nil
	}
	verb, arg := smtp.ParseCommand(line)
	switch verb {
	case smtp.EHLO:
		d.reset()
		fmt.Fprintf(d.w, "250-%s\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n", d.c.Person.Host)
	case smtp.HELO:
		d.reset()
		d.say(250, "", d.c.Person.Host)
	case smtp.MAIL:
		d.mail(string(arg))
	case smtp.RCPT:
		d.rcpt(string(arg))
	case smtp.DATA:
		return d.data(ctx)
	case smtp.RSET:
		d.reset()
		d.say(250, "2.0.0", "Ok")
	case smtp.NOOP:
		d.say(250, "2.0.0", "Ok")
	case smtp.VRFY:
		d.say(252, "2.0.0", "Send some mail and see")
	case smtp.HELP:
		d.say(214, "2.0.0", "See RFC 5321")
	case smtp.QUIT:
		d.quit = true
		d.say(221, "2.0.0", "Bye")
	default:
		d.say(502, "5.5.1", "Command not implemented")
	}
	return nil
}

func (d *dialogue) reset() { d.env, d.utf8 = nil, false }

func (d *dialogue) mail(arg string) {
	rest, ok := smtp.CutWord(arg, "FROM")
	switch {
	case d.env != nil:
		d.say(503, "5.5.1", "Nested MAIL")
		return
	case !ok:
		d.say(501, "5.5.4", "Syntax: MAIL FROM:<address>")
		return
	}
	path, p, bad := smtp.ParseMail(rest)
	if bad != nil {
		d.say(int(bad.Code), bad.Enhanced, bad.Text)
		return
	}
	d.env, d.utf8 = &submission.Envelope{Sender: path.String(), EnvID: p.EnvID, Return: p.Return}, p.UTF8
	d.say(250, "2.1.0", "Ok")
}

func (d *dialogue) rcpt(arg string) {
	rest, ok := smtp.CutWord(arg, "TO")
	switch {
	case d.env == nil:
		d.say(503, "5.5.1", "MAIL first")
		return
	case !ok:
		d.say(501, "5.5.4", "Syntax: RCPT TO:<address>")
		return
	case len(d.env.Recipients) >= maxRecipients:
		d.say(452, "4.5.3", "Too many recipients")
		return
	}
	path, p, bad := smtp.ParseRcpt(rest, d.utf8)
	if bad != nil {
		d.say(int(bad.Code), bad.Enhanced, bad.Text)
		return
	}
	d.env.Recipients = append(d.env.Recipients, submission.Recipient{Path: path.String(), Notify: p.Notify, ORCPT: p.ORCPT})
	d.say(250, "2.1.5", "Ok")
}

// data takes a message. An error is one of the streams'; then nobody hears more.
func (d *dialogue) data(ctx context.Context) error {
	if d.env == nil || len(d.env.Recipients) == 0 {
		d.say(503, "5.5.1", "MAIL and RCPT first")
		return nil
	}
	d.say(354, "", "End data with a line of a single dot")
	if err := d.w.Flush(); err != nil {
		return err
	}
	t := &text{r: d.r, dots: true, smtp: true}
	m, err := build(t, &Options{}, d.env, d.c.Person, d.c.Now(), d.c.Token())
	var wrong *DataError
	var reply smtp.Reply
	switch {
	case errors.As(err, &wrong):
		reply = smtp.Reply{Code: 554, Enhanced: "5.6.0", Text: wrong.Reason}
	case err != nil:
		return err
	default:
		reply = d.c.Submit(ctx, m)
	}
	d.reset()
	if _, err := io.Copy(io.Discard, t); err != nil { // what a refusal left unread
		return err
	}
	d.say(int(reply.Code), reply.Enhanced, reply.Text)
	return nil
}
