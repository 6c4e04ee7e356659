package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mtad/cmd/mtactl/internal/sendmail"
	"mtad/internal/maildrop"
	"mtad/internal/smtp"
)

// sendmailNames are the names under which mtactl is another program: as the last
// part of argv[0], or as the first argument.
var sendmailNames = map[string][]string{"sendmail": nil, "mailq": {"-bp"}, "newaliases": {"-bi"}}

// asSendmail says whether this run is one of sendmail, mailq or newaliases, and
// with which arguments.
func asSendmail(argv []string) (name string, args []string, ok bool) {
	if len(argv) == 0 {
		return "", nil, false
	}
	name = filepath.Base(argv[0])
	if _, ok := sendmailNames[name]; ok {
		return name, argv[1:], true
	}
	if len(argv) > 1 && !(len(argv) == 3 && argv[2] == "--help") {
		if _, ok := sendmailNames[argv[1]]; ok {
			return argv[1], argv[2:], true
		}
	}
	return "", nil, false
}

const longSendmail = `Take a message as other programs hand it to sendmail(1): addresses as arguments or,
with -t, in the header section; the message on standard input. mtactl does so, too,
when it is called by the name sendmail, and is mailq and newaliases by those names.

Bcc, Return-Path and Content-Length are taken out of the header section; From, Date
and Message-ID are added where they are missing.

  -t          recipients are in To, Cc and Bcc, or in Resent-To, Resent-Cc and
              Resent-Bcc; addresses given as arguments are added
  -i, -oi     a line of a single dot does not end the message
  -f ADDRESS  reverse-path; -r is the same; '' or '<>' is the null reverse-path
  -F NAME     full name for a From field that is added
  -N LIST     never, or a list of success, failure, delay: when to report
  -R TYPE     full or hdrs: how much of the message a report holds
  -V ENVID    envelope ID for reports
  -B TYPE     7BIT or 8BITMIME; the message is looked at anyway
  -bm         take a message; the default
  -bs         speak SMTP on standard input and output
  -bp         list the queue, as mailq
  -bi         newaliases: nothing has to be done
  -q          try to deliver now; -qIID that message, -qRDOMAIN that domain
  -v          print the queue ID

-A -C -G -L -O -U -X -d -e -h -m -n -o and -p are taken and mean nothing. Options end
at the first address, or with --.

Exit status:

   0  the message is in the queue, or waits in the maildrop for mtad
  64  wrong usage
  65  the message is not acceptable
  69  a filter refused the message
  74  the message could not be read
  75  not now
  77  not allowed`

// sendmailCommands are for help and for the manual: run looks for them before.
func (t *tool) sendmailCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, c := range []struct{ use, short, long string }{
		{"sendmail [OPTION...] [ADDRESS...]", "Take a message as sendmail(1) does", longSendmail},
		{"mailq", "List the queue as Postfix does", "List the queue in the form that programs know from Postfix. It needs the scope\nqueue:read, as 'mtactl queue list' does."},
		{"newaliases", "Do nothing, successfully", "Do nothing, successfully: mtad has no alias files that would have to be compiled."},
	} {
		out = append(out, &cobra.Command{
			Use: c.use, Short: c.short, Long: c.long, DisableFlagParsing: true,
			RunE: func(c *cobra.Command, args []string) error {
				if len(args) == 1 && args[0] == "--help" {
					return c.Help()
				}
				return t.sendmail(c.Context(), c.Name(), args)
			},
		})
	}
	return out
}

// sendmail is one run under one of sendmailNames.
func (t *tool) sendmail(ctx context.Context, name string, args []string) error {
	t.timeout, t.output, t.name = cmp.Or(t.timeout, time.Minute), cmp.Or(t.output, "table"), name
	o, err := sendmail.Parse(append(sendmailNames[name], args...))
	if err != nil {
		return sendmailError(err)
	}
	switch o.Mode {
	case sendmail.ListQueue:
		return t.mailq(ctx)
	case sendmail.NewAliases:
		return nil
	case sendmail.Flush:
		return t.sendmailFlush(ctx, o)
	}
	// Whoever reads our output may be gone: that changes nothing about the message.
	signal.Ignore(syscall.SIGPIPE)
	if o.Mode == sendmail.Dialog {
		return t.sendmailDialog(ctx)
	}
	m, err := sendmail.Read(&input{r: t.in}, o, t.person(), time.Now(), token())
	if err != nil {
		return sendmailError(err)
	}
	id, err := t.handIn(ctx, m)
	if err == nil && o.Verbose && id != "" {
		fmt.Fprintln(t.out, id)
	}
	return err
}

// sendmailError is an error of package sendmail with its exit status.
func sendmailError(err error) error {
	var wrong *sendmail.UsageError
	var data *sendmail.DataError
	var reading *readingError
	switch {
	case errors.As(err, &wrong):
		return usage("%s", wrong.Reason).withHint("'mtactl sendmail --help' and docs/sendmail.md have the options")
	case errors.As(err, &data):
		return &exitError{status: exitData, msg: data.Reason}
	case errors.As(err, &reading):
		return inputError(reading.err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &exitError{status: exitIO, msg: "the input ended within a message"}
	}
	return &exitError{status: exitIO, msg: err.Error()}
}

// person is the caller, with the name of the machine for header fields.
func (t *tool) person() sendmail.Person {
	host, err := "", error(nil)
	if dir := t.maildrop(); dir != "" {
		host, err = maildrop.Hostname(dir)
	}
	if host == "" {
		host, err = os.Hostname()
	}
	if err != nil || !smtp.ValidDomain(host) {
		host = "localhost"
	}
	return sendmail.Caller(t.getenv, host)
}

// token names a message that is being handed in: nobody guesses it.
func token() string { return rand.Text() }

// sendmailDialog speaks SMTP with the program that started us.
func (t *tool) sendmailDialog(ctx context.Context) error {
	c := &sendmail.Conversation{Person: t.person(), Now: time.Now, Token: token}
	c.Submit = func(ctx context.Context, m *sendmail.Message) smtp.Reply {
		id, err := t.handIn(ctx, m)
		return replyOf(id, err)
	}
	if err := c.Serve(ctx, &input{r: t.in}, t.out); err != nil {
		return sendmailError(err)
	}
	return nil
}

// replyOf is what a program hears that speaks SMTP.
func replyOf(id string, err error) smtp.Reply {
	if err == nil {
		if id == "" {
			return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: waits in the maildrop"}
		}
		return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as " + id}
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{status: exitTemporary}
	}
	reply := smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: oneLine(e.msg)}
	switch e.status {
	case exitData:
		reply.Code, reply.Enhanced = 554, "5.6.0"
	case exitRefused, exitNotAllowed:
		reply.Code, reply.Enhanced = 550, "5.7.1"
	}
	return reply
}
