package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mtad/api"
)

const quarantineHelp = `A message is in quarantine while a filter holds it. It keeps its ID there, and
goes on with it. Of a message that was split for its recipients the ID stands for
all parts that a filter holds, ID.1 for one.`

func (t *tool) quarantineCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "quarantine", Short: "Look at what filters hold, and decide on it", Long: "Look at what filters hold, and decide on it.\n\n" + quarantineHelp,
		Args: noArgs, RunE: needVerb,
	}
	c.AddCommand(t.quarantineListCommand(), t.quarantineShowCommand(), t.quarantineRedirectCommand())
	for _, v := range quarantineChanges {
		c.AddCommand(t.quarantineChangeCommand(v))
	}
	return c
}

// quarantineChange is a change under the name it has for people who look after a
// quarantine.
type quarantineChange struct {
	verb        string
	short, long string
	request     changeRequest
}

var quarantineChanges = []quarantineChange{
	{
		verb: "release", short: "Let messages go on",
		long:    "Let messages go on: to the filters after the one that held them, then to their\nrecipients. That filter does not see them again; where it holds them because it\ncould not look at them, it is asked once more, and they wait for it if need be.",
		request: changeRequest{kind: api.ActionKindRelease},
	},
	{
		verb: "rescan", short: "Send messages through the filters again",
		long:    "Send messages through their filter chain again from its beginning, as it is\nconfigured now.",
		request: changeRequest{kind: api.ActionKindRequeue, rescan: true},
	},
	{
		verb: "delete", short: "Drop messages without telling anybody",
		long:    "Drop messages. Nobody is told; 'mtactl queue bounce quarantined' tells the senders.",
		request: changeRequest{kind: api.ActionKindDelete},
	},
}

func (t *tool) quarantineChangeCommand(v quarantineChange) *cobra.Command {
	r := v.request
	c := &cobra.Command{
		Use: v.verb + " {ID... | EXPRESSION | --all}", Short: v.short,
		Long: v.long + "\n\n" + quarantineBulkHelp,
		RunE: func(c *cobra.Command, args []string) error { return t.quarantineChange(c, args, &r) },
	}
	changeFlags(c, &r)
	return c
}

const quarantineBulkHelp = quarantineHelp + " Messages that no filter holds are left alone.\n\n" + bulkHelp + expressionHelp

func (t *tool) quarantineRedirectCommand() *cobra.Command {
	r := changeRequest{kind: api.ActionKindRedirect}
	c := &cobra.Command{
		Use: "redirect ADDRESS {ID... | EXPRESSION | --all}", Short: "Send messages to somebody else",
		Long: "Send messages to ADDRESS, an analyst's for instance, and not to their recipients.\nThey go out at once, past the filters that are left, each under its ID. The\nrecipients that it was for stay on record as removed, and neither they nor the\nsender are told: a report about ADDRESS goes to the postmaster.\n\n" + quarantineBulkHelp,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || !strings.Contains(args[0], "@") || strings.Contains(args[0], "=") {
				return usage("the address to send to comes first").withHint("mtactl quarantine redirect analyst@example.org {ID... | EXPRESSION}")
			}
			r.to = args[0]
			return t.quarantineChange(c, args[1:], &r)
		},
	}
	changeFlags(c, &r)
	return c
}

// quarantineChange is a change of messages that filters hold, and of no others.
func (t *tool) quarantineChange(c *cobra.Command, args []string, r *changeRequest) error {
	s, err := selected(c, args)
	if err != nil {
		return err
	}
	r.hasCount = c.Flags().Changed("count")
	r.quarantined = true
	if s.byID() {
		if s.ids, err = t.heldParts(c.Context(), s.ids); err != nil {
			return err
		}
	}
	return t.change(c.Context(), s, r)
}

// heldParts puts the parts that filters hold in the place of the ID of a message
// that was split: that ID is what the reply to its client named. One without such
// parts stays, for mtad to say what it is.
func (t *tool) heldParts(ctx context.Context, ids []string) (parts []string, err error) {
	if err := t.connect(); err != nil {
		return nil, err
	}
	for _, id := range ids {
		p := api.ListMessagesParams{Filter: quarantined("id=" + id), Limit: pageSize}
		found := 0
		for more := !strings.Contains(id, "."); more; more = p.Cursor != "" {
			res, err := t.client.ListMessagesWithResponse(ctx, &p)
			if check(res, err) != nil {
				return ids, nil // who may not list may still change
			}
			for _, m := range res.JSON200.Messages {
				parts = append(parts, m.ID)
				found++
			}
			p.Cursor = res.JSON200.Next
		}
		if found == 0 {
			parts = append(parts, id)
		}
	}
	return parts, nil
}

// quarantined narrows an expression to what filters hold.
func quarantined(expr string) string { return strings.TrimSpace("quarantined " + expr) }

func (t *tool) quarantineShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID...", Short: "Show all that is known of messages in quarantine",
		Long: "Show all that is known of messages in quarantine. 'mtactl queue cat' prints one as it\nis, 'mtactl diff' what the filters changed.\n\nWith -o json one object is printed for each.",
		Args: idArgs(1, 0),
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			ids, err := t.heldParts(c.Context(), args)
			if err != nil {
				return err
			}
			return t.each(ids, func(id string) error { return t.quarantineShow(c.Context(), id) })
		},
	}
}

func (t *tool) quarantineShow(ctx context.Context, id string) error {
	res, err := t.client.GetMessageWithResponse(ctx, id)
	if err := check(res, err); err != nil {
		return err
	}
	m := *res.JSON200
	switch {
	case m.Hold.Filter == "":
		return (&exitError{status: exitNoMatch, msg: fmt.Sprintf("%s is not in quarantine", id)}).withHint("'mtactl queue show %s' shows it", id)
	case t.output == "json":
		return t.json(m)
	}
	return t.details(m)
}
