package main

import (
	"context"
	"fmt"
	"io"

	"mtad/api"
	"mtad/cmd/mtactl/internal/sendmail"
	"mtad/internal/smtp"
)

// mailq lists the queue in the form of Postfix's: programs that watch a queue
// read it.
func (t *tool) mailq(ctx context.Context) error {
	if err := t.connect(); err != nil {
		return err
	}
	p := api.ListMessagesParams{Limit: pageSize}
	n, bytes := int64(0), int64(0)
	for {
		res, err := t.client.ListMessagesWithResponse(ctx, &p)
		if err := check(res, err); err != nil {
			return err
		}
		for i := range res.JSON200.Messages {
			m := &res.JSON200.Messages[i]
			if n == 0 {
				fmt.Fprintln(t.out, "----Queue ID----- --Size-- ----Arrival Time---- -Sender/Recipient-------")
			}
			n++
			bytes += m.Size
			printQueued(t.out, m)
		}
		if p.Cursor = res.JSON200.Next; p.Cursor == "" {
			break
		}
	}
	if n == 0 {
		_, err := fmt.Fprintln(t.out, "Mail queue is empty")
		return wrote(err)
	}
	_, err := fmt.Fprintf(t.out, "-- %d Kbytes in %s.\n", (bytes+1023)/1024, map[bool]string{true: "1 Request", false: fmt.Sprintf("%d Requests", n)}[n == 1])
	return wrote(err)
}

// printQueued prints a message: * is being delivered, ! is held; the recipients
// that wait, each behind the reason if that is another than the one before.
func printQueued(w io.Writer, m *api.Message) {
	mark := ""
	switch {
	case !m.Hold.Since.IsZero():
		mark = "!"
	case m.State == "active":
		mark = "*"
	}
	from := m.Envelope.ReversePath
	if from == "" {
		from = "MAILER-DAEMON"
	}
	fmt.Fprintf(w, "%-17s %8d %20s %s\n", m.ID+mark, m.Size, m.Created.Local().Format("Mon Jan _2 15:04:05"), oneLine(from))
	last := ""
	if m.Hold.Reason != "" {
		last = m.Hold.Reason
		fmt.Fprintf(w, "%46s(%s)\n", "", oneLine(last))
	}
	shown := 0
	for _, r := range m.Envelope.Recipients {
		shown++
		if r.Status != "pending" {
			continue
		}
		if r.LastReply != "" && r.LastReply != last {
			last = r.LastReply
			fmt.Fprintf(w, "%46s(%s)\n", "", oneLine(last))
		}
		fmt.Fprintf(w, "%46s %s\n", "", oneLine(r.Path))
	}
	if m.RecipientCount > shown {
		fmt.Fprintf(w, "%46s and %d more\n", "", m.RecipientCount-shown)
	}
	fmt.Fprintln(w)
}

// sendmailFlush tries to deliver now: what is deferred, one message, or what goes to
// one domain.
func (t *tool) sendmailFlush(ctx context.Context, o *sendmail.Options) error {
	if err := t.connect(); err != nil {
		return err
	}
	if o.FlushID != "" {
		res, err := t.client.ActOnMessageWithResponse(ctx, o.FlushID, api.ActionRequest{Action: api.ActionKindFlush})
		return check(res, err)
	}
	expr := "state=deferred"
	if o.FlushSite != "" {
		if !smtp.ValidDomain(o.FlushSite) {
			return usage("-qR wants a domain")
		}
		expr += " recipient=*@" + o.FlushSite
	}
	req := api.JobRequest{Action: api.ActionKindFlush, Filter: &expr}
	res, err := t.client.CreateJobWithResponse(ctx, req)
	return checkStatus(res, err, 202)
}
