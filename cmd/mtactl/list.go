package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

const pageSize = 500

func (t *tool) listCommand() *cobra.Command {
	return t.listing(&cobra.Command{
		Use: "list [ID... | EXPRESSION]", Short: "List messages, oldest first",
		Long: "List messages, oldest first: all of them, or those that match. What is listed is one\nsnapshot: no repeats, no misses.\n\nWith -o json each page is printed as the API gives it, one object after another.\n\n" + expressionHelp,
	}, func(expr string) string { return expr }, queueColumns)
}

// listing completes a command that lists the messages which are selected and which
// within lets through.
func (t *tool) listing(c *cobra.Command, within func(expr string) string, cols columns) *cobra.Command {
	var limit int
	var count bool
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := selected(c, args)
		if err != nil {
			return err
		}
		if limit < 0 {
			return usage("--limit: want 0 or more")
		}
		if err := t.connect(); err != nil {
			return err
		}
		if count {
			return t.count(c.Context(), within(s.filter()))
		}
		return t.list(c.Context(), within(s.filter()), limit, cols)
	}
	selectFlags(c)
	c.Flags().IntVarP(&limit, "limit", "n", 0, "list at most so many; 0 is all")
	c.Flags().BoolVar(&count, "count", false, "count instead of listing")
	return c
}

// filter is the selection as an expression.
func (s selection) filter() string {
	if !s.byID() {
		return s.expr
	}
	expr := "id="
	for i, id := range s.ids {
		if i > 0 {
			expr += ","
		}
		expr += id
	}
	return expr
}

func (t *tool) count(ctx context.Context, expr string) error {
	res, err := t.client.CountMessagesWithResponse(ctx, &api.CountMessagesParams{Filter: expr})
	if err := check(res, err); err != nil {
		return err
	}
	n := res.JSON200
	t.partial(n.Partial)
	if t.output == "json" {
		return t.json(n)
	}
	_, err = fmt.Fprintf(t.out, "%s, %s, %s\n", plural(n.Messages, "message"), plural(n.Recipients, "recipient"), size(n.Bytes)+" octets")
	return wrote(err)
}

// list follows the cursors to the end. It prints each page as it comes, so that
// memory does not grow with the queue.
func (t *tool) list(ctx context.Context, expr string, limit int, c columns) error {
	p := api.ListMessagesParams{Filter: expr, Limit: pageSize}
	listed := 0
	for {
		if limit > 0 {
			p.Limit = min(pageSize, limit-listed)
		}
		res, err := t.client.ListMessagesWithResponse(ctx, &p)
		if err := check(res, err); err != nil {
			return err
		}
		page := res.JSON200
		listed += len(page.Messages)
		t.partial(page.Partial)
		if err := t.page(page, p.Cursor == "", c); err != nil {
			return err
		}
		if page.Next == "" || limit > 0 && listed >= limit {
			break
		}
		p.Cursor = page.Next
	}
	if listed == 0 {
		fmt.Fprintln(t.err, "no message matches")
		return &exitError{status: exitNoMatch}
	}
	return nil
}

func (t *tool) partial(yes bool) {
	if yes {
		fmt.Fprintln(t.err, "mtactl: warning: some of the store could not answer; this is not all")
	}
}

// columns are those of a table of messages.
type columns struct {
	heading []string
	row     func(m api.Message, now time.Time) []string
}

var queueColumns = columns{
	heading: []string{"ID", "STATE", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NOTE"},
	row: func(m api.Message, now time.Time) []string {
		return []string{m.ID, stateOf(m), ago(m.Created, now), size(m.Size), sender(m), recipients(m), note(m, now)}
	},
}

func (t *tool) page(page *api.MessagePage, first bool, c columns) error {
	if t.output == "json" {
		return t.json(page)
	}
	if len(page.Messages) == 0 {
		return nil
	}
	var heading []string
	if first {
		heading = c.heading
	}
	tab := t.table(heading...)
	for _, m := range page.Messages {
		tab.row(c.row(m, page.AsOf)...)
	}
	return tab.flush()
}

func stateOf(m api.Message) string {
	switch {
	case m.Outcome.Disposition != "":
		return m.Outcome.Disposition
	case m.Hold.By != "":
		return m.State + ",held"
	}
	return m.State
}

func sender(m api.Message) string {
	if m.Envelope.ReversePath == "" {
		return "<>"
	}
	return m.Envelope.ReversePath
}

// recipients names the first pending one.
func recipients(m api.Message) string {
	list := m.Envelope.Recipients
	if len(list) == 0 {
		return ""
	}
	first := list[0].Path
	for _, r := range list {
		if r.Status == "pending" {
			first = r.Path
			break
		}
	}
	if m.RecipientCount > 1 {
		first += " +" + strconv.Itoa(m.RecipientCount-1)
	}
	return first
}

// note says why the message is still here.
func note(m api.Message, now time.Time) string {
	switch {
	case m.Hold.By != "":
		return "held by " + m.Hold.By + ": " + m.Hold.Reason
	case m.Lease.Holder != "":
		return "worked on by " + m.Lease.Holder
	case m.Stage != "":
		return "waits for filter " + m.Stage
	}
	for _, r := range m.Envelope.Recipients {
		if r.Status == "pending" && r.LastReply != "" {
			return dueIn(m, now) + r.LastReply
		}
	}
	return ""
}

func dueIn(m api.Message, now time.Time) string {
	if m.NextAt.After(now) {
		return "due in " + span(m.NextAt.Sub(now)) + ": "
	}
	return ""
}
