package main

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID...", Short: "Show all that is known of queued messages",
		Long: "Show all that is known of queued messages. Finished ones are shown by 'mtactl trace'.\n\nWith -o json one object is printed for each.",
		Args: idArgs(1, 0),
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			return t.each(args, func(id string) error { return t.show(c.Context(), id) })
		},
	}
}

// each runs f for every ID, also after one failed, and ends with the first
// error's status.
func (t *tool) each(ids []string, f func(string) error) error {
	var first *exitError
	for _, id := range ids {
		if err := f(id); err != nil {
			status := t.report(err)
			if first == nil {
				first = &exitError{status: status}
			}
			if status == exitUnreachable || status == exitNotAllowed {
				break
			}
		}
	}
	if first == nil {
		return nil
	}
	return first
}

func (t *tool) show(ctx context.Context, id string) error {
	res, err := t.client.GetMessageWithResponse(ctx, id)
	if err := check(res, err); err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(res.JSON200)
	}
	return t.details(*res.JSON200)
}

// details prints one message as fields and lists.
func (t *tool) details(m api.Message) error {
	tab := t.table()
	field := func(name, value string) {
		if value != "" {
			tab.row(name+":", value)
		}
	}
	field("id", m.ID)
	field("state", stateOf(m))
	field("outcome", outcome(m))
	field("sender", sender(m))
	field("size", size(m.Size)+generationNote(m))
	field("created", stamp(m.Created))
	field("due", stamp(m.NextAt))
	field("expires", stamp(m.Expires))
	field("origin", m.Origin)
	field("parent", m.Parent)
	field("chain", m.Chain)
	field("stage", m.Stage)
	field("attempts", count(m.Attempts))
	field("lost claims", count(m.LostClaims))
	if m.Hold.By != "" {
		field("held", "by "+m.Hold.By+" since "+stamp(m.Hold.Since)+untilNote(m)+": "+m.Hold.Reason)
		field("score", score(m.Hold.Score))
	}
	if m.Lease.Holder != "" {
		field("worked on", "by "+m.Lease.Holder+" until "+stamp(m.Lease.Until))
	}
	c := m.Envelope.Client
	field("client", join(c.Name, bracket(c.Address), c.Protocol, c.SASLUser))
	for _, name := range slices.Sorted(maps.Keys(m.Meta)) {
		field(metaLabel(name), m.Meta[name])
	}
	for _, r := range m.Envelope.Recipients {
		field("recipient", join(r.Path, r.Status, bracket(r.NextHop), r.LastReply))
	}
	if n := m.RecipientCount - len(m.Envelope.Recipients); n > 0 {
		field("", "and "+plural(int64(n), "recipient")+" more")
	}
	for _, v := range m.Verdicts {
		field("verdict", join(stamp(v.At), v.Filter, v.Disposition, scoreNote(v.Score), v.Reply, v.Reason))
	}
	for _, s := range m.Trail {
		field("trail", join(stamp(s.At), s.Kind, s.Text))
	}
	return tab.flush()
}

// metaLabel keeps what a submitter named apart from what is ours.
func metaLabel(name string) string {
	if name == "submitted_by" {
		return "submitted by"
	}
	return "meta " + name
}

func outcome(m api.Message) string {
	if m.Outcome.Disposition == "" {
		return ""
	}
	return join(m.Outcome.Disposition, stamp(m.Outcome.At), m.Outcome.Reply)
}

func generationNote(m api.Message) string {
	if m.Generation == 0 {
		return ""
	}
	return ", generation " + strconv.Itoa(m.Generation)
}

func untilNote(m api.Message) string {
	if m.Hold.Until.IsZero() {
		return ""
	}
	return join(" until "+stamp(m.Hold.Until), thenNote(m.Hold.Then))
}

// thenNote says what the end of a hold is, where it is not a release.
func thenNote(then api.HoldThen) string {
	if then == "" || then == api.HoldThenRelease {
		return ""
	}
	return "(then " + string(then) + ")"
}

func scoreNote(s float64) string {
	if s == 0 {
		return ""
	}
	return "score " + score(s)
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return "[" + s + "]"
}

// join puts spaces between what is not empty.
func join(words ...string) string {
	out := ""
	for _, w := range words {
		if w == "" {
			continue
		}
		if out != "" {
			out += " "
		}
		out += w
	}
	return out
}
