package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
	"mtad/internal/submission"
)

const longSubmit = `Hand in a message: the envelope, a blank line and the message on standard input, in the
format of spec/submission.md. With --from and --to the input is the message alone.

Exit status 0 means that the message is committed to the queue; its queue ID is printed.
After any other status it is not there, with two exceptions: status 75 after a lost
connection, when nobody knows (--key makes it safe to repeat), and those of --wait.

  sender: <alice@example.org>
  recipient: <bob@example.net>

  Subject: hello

  Hello Bob.

Exit status:

   0  the message is in the queue
  64  wrong usage
  65  the input is not acceptable
  69  a filter refused the message
  75  not now: mtad cannot be reached, or asks to try again later
  77  not allowed

With --wait the message is in the queue when an ID was printed, and:

   0  it went through the filters, or was delivered to every recipient
  10  a filter held, discarded or refused it
  11  delivery to a recipient failed for good, or it was deleted
  12  the time of --wait-timeout ended before`

// What a run of submit ends with besides the statuses of exit.go.
const (
	exitData    = 65
	exitRefused = 69
	exitIO      = 74

	exitFiltered = 10
	exitFailed   = 11
	exitWaiting  = 12
)

// submitting is one run of submit.
type submitting struct {
	t    *tool
	from string
	to   []string
	key  string
	wait string
	most time.Duration

	spool bool
}

func (t *tool) submitCommand() *cobra.Command {
	s := &submitting{t: t}
	c := &cobra.Command{
		Use: "submit", Short: "Hand in a message", Long: longSubmit,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c) },
	}
	f := c.Flags()
	f.StringVar(&s.from, "from", "", "with --to: the sender, `address`; <> is the null reverse-path")
	f.StringArrayVar(&s.to, "to", nil, "with --from: a recipient, `address`; may be repeated")
	f.StringVar(&s.key, "key", "", "a `key` of your choice: handing in again with the same key makes no second message")
	f.BoolVar(&s.spool, "spool", false, "leave the message in the maildrop when mtad is not there: status 0 then means that it waits there, and no ID is printed")
	f.StringVar(&s.wait, "wait", "", "wait until the message is `filtered` or delivered")
	f.Lookup("wait").NoOptDefVal = "delivered"
	f.DurationVar(&s.most, "wait-timeout", 0, "with --wait: how long to wait; 0 is without end")
	return c
}

func (s *submitting) run(c *cobra.Command) error {
	switch {
	case c.Flags().Changed("from") != (len(s.to) > 0):
		return usage("--from and --to go together")
	case c.Flags().Changed("key") && (s.key == "" || len(s.key) > 255):
		return usage("--key: want 1 to 255 octets")
	case s.spool && (s.key != "" || s.wait != ""):
		return usage("--spool goes with neither --key nor --wait")
	case s.wait != "" && s.wait != "filtered" && s.wait != "delivered":
		return usage("--wait=%s: want filtered or delivered", s.wait)
	case s.most < 0 || s.most > 0 && s.wait == "":
		return usage("--wait-timeout is for --wait, and more than 0")
	}
	// Whoever reads our output may be gone: that changes nothing about the message.
	signal.Ignore(syscall.SIGPIPE)
	body, err := s.body()
	if err != nil {
		return err
	}
	if s.spool {
		id, err := s.t.deliver(c.Context(), body)
		if err == nil && id != "" {
			err = s.print(&api.Submitted{ID: id})
		}
		return err
	}
	s.t.patient = true
	if err := s.t.connect(); err != nil {
		return err
	}
	res, err := s.sendUntilHeard(c.Context(), body)
	if err != nil {
		return err
	}
	if err := s.print(res); err != nil {
		fmt.Fprintf(s.t.err, "mtactl: warning: %s is in the queue, but its ID could not be printed\n", res.ID)
	}
	if s.wait == "" {
		return nil
	}
	return s.await(c.Context(), res.ID)
}

// buffered is how much of the input is read before mtad is spoken to: a program
// that thinks for an hour keeps nothing waiting unless it writes more.
const buffered = 1 << 20

// body is what is sent: the input, behind an envelope made of flags if there are any.
func (s *submitting) body() (io.Reader, error) {
	var head []byte
	if len(s.to) > 0 {
		var err error
		if head, err = s.envelope(); err != nil {
			return nil, err
		}
	}
	in := &input{r: s.t.in}
	var b bytes.Buffer
	b.Write(head)
	n, err := io.CopyN(&b, in, buffered)
	switch {
	case errors.Is(err, io.EOF):
		return bytes.NewReader(b.Bytes()), nil
	case err != nil:
		return nil, inputError(err)
	case n < buffered:
		return nil, inputError(io.ErrUnexpectedEOF)
	}
	return io.MultiReader(&b, in), nil
}

func (s *submitting) envelope() ([]byte, error) {
	env := submission.Envelope{}
	var err error
	if env.Sender, err = submission.ParseAddress(s.from); err != nil {
		return nil, usage("--from: %v", err)
	}
	for _, to := range s.to {
		path, err := submission.ParseAddress(to)
		if err != nil || path == "" {
			return nil, usage("--to: not an address: %s", to)
		}
		env.Recipients = append(env.Recipients, submission.Recipient{Path: path})
	}
	return env.Append(nil)
}

// input marks the errors of reading it, which are not those of the connection.
type input struct{ r io.Reader }

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readingError{err}
	}
	return n, err
}

type readingError struct{ err error }

func (e *readingError) Error() string { return e.err.Error() }

func inputError(err error) error {
	return &exitError{status: exitIO, msg: "cannot read the message: " + err.Error()}
}

// tries is how often mtad is spoken to that closes the connection before it took
// anything of the message: it has as many connections of one user as it will have.
const tries = 6

// touched says whether the connection has begun to take the message.
type touched struct {
	io.Reader
	begun bool
}

func (t *touched) Read(p []byte) (int, error) {
	t.begun = true
	return t.Reader.Read(p)
}

// sendUntilHeard sends, again after a while when nothing of the message went.
func (s *submitting) sendUntilHeard(ctx context.Context, body io.Reader) (*api.Submitted, error) {
	t := &touched{Reader: body}
	for n := 1; ; n++ {
		res, err := s.send(ctx, t)
		var lost *lostError
		if !errors.As(err, &lost) {
			return res, err
		}
		if t.begun {
			return nil, &exitError{status: exitTemporary, msg: lost.msg + "; the message may be in the queue or not", away: true}
		}
		if n == tries || ctx.Err() != nil {
			return nil, &exitError{status: exitTemporary, msg: lost.msg, away: true}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(25+rand.IntN(50)) * time.Millisecond << n):
		}
	}
}

// lostError is a connection that was lost, or not to be had for now.
type lostError struct{ msg string }

func (e *lostError) Error() string { return e.msg }

// send hands the message in. It is committed when there is no error.
func (s *submitting) send(ctx context.Context, body io.Reader) (*api.Submitted, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &api.CreateMessageParams{}
	if s.key != "" {
		p.IdempotencyKey = &s.key
	}
	res, err := s.t.client.CreateMessageWithBody(ctx, p, submission.MediaType, body, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Expect", "100-continue") // a refusal comes before the message goes
		return nil
	})
	if err != nil {
		return nil, submitCallError(err)
	}
	defer res.Body.Close()
	defer time.AfterFunc(s.t.timeout, cancel).Stop() // its beginning is there
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, submitCallError(err)
	}
	if res.StatusCode == http.StatusCreated {
		var out api.Submitted
		if json.Unmarshal(answer, &out) == nil && out.ID != "" {
			return &out, nil
		}
	}
	var e api.Error
	if json.Unmarshal(answer, &e) != nil || e.Code == "" {
		return nil, &exitError{status: exitTemporary, msg: fmt.Sprintf("the server answered %d without a word of mtad's", res.StatusCode)}
	}
	return nil, submitRefused(&e, res.StatusCode)
}

// submitCallError is the error of a call without an answer.
func submitCallError(err error) error {
	var reading *readingError
	if errors.As(err, &reading) {
		return inputError(reading.err)
	}
	var e *exitError
	if !errors.As(callError(err), &e) {
		return err
	}
	if errors.Is(err, syscall.EAGAIN) || e.status == exitUnreachable && !strings.HasPrefix(e.msg, "cannot reach") {
		return &lostError{e.msg}
	}
	return &exitError{status: exitTemporary, msg: e.msg, away: !errors.Is(err, context.Canceled)}
}

// Codes of spec/errors.json about what was handed in.
const (
	codeInvalidSubmission   = "invalid_submission"
	codeMessageTooLarge     = "message_too_large"
	codeBodyTooLarge        = "body_too_large"
	codeMailLoop            = "mail_loop"
	codeIdempotencyConflict = "idempotency_conflict"
	codeMessageRejected     = "message_rejected"
	codeSubmissionForbidden = "submission_forbidden"
	codeShuttingDown        = "shutting_down"
	codeUncertain           = "uncertain"
)

// submitRefused is mtad's refusal, in one line. What is not known is temporary.
func submitRefused(e *api.Error, status int) error {
	out := &exitError{status: exitTemporary, msg: e.Message}
	if e.Field != "" && !strings.Contains(e.Message, e.Field) {
		out.msg = e.Field + ": " + e.Message
	}
	if out.msg == "" {
		out.msg = e.Code
	}
	switch e.Code {
	case codeInvalidSubmission, codeMessageTooLarge, codeBodyTooLarge, codeMailLoop, codeIdempotencyConflict:
		out.status = exitData
	case codeMessageRejected:
		out.status = exitRefused
	case codeSubmissionForbidden, codeUnauthorized, codeForbidden:
		out.status = exitNotAllowed
	case codeShuttingDown, codeUncertain:
		out.away = true
	}
	if out.status == exitTemporary && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
		out.msg += " (" + e.Code + ")"
	}
	if e.RetryAfter > 0 {
		out.msg += fmt.Sprintf("; try again in %d s", e.RetryAfter)
	}
	return out
}

func (s *submitting) print(res *api.Submitted) error {
	if s.t.output == "json" {
		return s.t.json(res)
	}
	_, err := fmt.Fprintln(s.t.out, res.ID)
	return err
}
