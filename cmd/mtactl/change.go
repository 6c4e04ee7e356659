package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

// change is a verb that changes messages.
type change struct {
	kind        api.ActionKind
	short, long string
	flags       func(*cobra.Command, *changeRequest)
}

// changeRequest is what a verb was told, for one message and for many alike.
type changeRequest struct {
	kind   api.ActionKind
	reason string
	until  time.Time
	rescan bool
	chain  string
	force  bool
	to     string
	// quarantined: leave alone what no filter holds.
	quarantined bool

	dryRun, yes, all, noWait bool
	count                    int64
	hasCount                 bool
}

var changes = []change{holdChange, releaseChange, requeueChange, deleteChange, bounceChange, flushChange}

const bulkHelp = `Messages are named by ID, or all that match one expression are changed. Before a
change of many their number is printed; it goes on when --yes or the right --count
was given, or a person at the terminal says so. --all stands for the empty
expression, everything.

The change of many is a job of mtad's: it goes on when mtactl is interrupted, and
'mtactl queue job' follows it.

`

func (t *tool) changeCommand(v change) *cobra.Command {
	r := &changeRequest{kind: v.kind}
	c := &cobra.Command{
		Use: string(v.kind) + " {ID... | EXPRESSION | --all}", Short: v.short,
		Long: v.long + "\n\n" + bulkHelp + expressionHelp,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := selected(c, args)
			if err != nil {
				return err
			}
			r.hasCount = c.Flags().Changed("count")
			return t.change(c.Context(), s, r)
		},
	}
	changeFlags(c, r)
	if v.flags != nil {
		v.flags(c, r)
	}
	return c
}

// changeFlags are those that every change has.
func changeFlags(c *cobra.Command, r *changeRequest) {
	selectFlags(c)
	f := c.Flags()
	f.BoolVar(&r.dryRun, "dry-run", false, "change nothing, say how many would be")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	f.Int64Var(&r.count, "count", 0, "go on only if exactly so many match")
	f.BoolVar(&r.all, "all", false, "every message")
	f.BoolVar(&r.force, "force", false, "also where somebody works on the message: breaks the lease")
	f.BoolVar(&r.noWait, "no-wait", false, "start the job and do not follow it")
}

func (t *tool) change(ctx context.Context, s selection, r *changeRequest) error {
	if !s.byID() && !s.everything && strings.TrimSpace(s.expr) == "" {
		return usage("no message is named").withHint("give IDs, an expression, or --all")
	}
	if !s.byID() && r.chain != "" {
		return usage("--chain is for messages named by ID")
	}
	if r.hasCount && r.count < 0 {
		return usage("--count: want 0 or more")
	}
	if err := t.connect(); err != nil {
		return err
	}
	if s.byID() {
		return t.changeIDs(ctx, s.ids, r)
	}
	if r.quarantined {
		s.expr = quarantined(s.expr)
	}
	return t.changeMatching(ctx, s.expr, r)
}

// changeIDs changes one message after the other. The IDs are explicit, so nobody
// is asked; --count still has to be right.
func (t *tool) changeIDs(ctx context.Context, ids []string, r *changeRequest) error {
	if r.hasCount && int(r.count) != len(ids) {
		return usage("%d IDs were given, --count says %d", len(ids), r.count)
	}
	if r.dryRun {
		return t.each(ids, func(id string) error { return t.show(ctx, id) })
	}
	var done api.ActionResult
	err := t.each(ids, func(id string) error {
		res, err := t.client.ActOnMessageWithResponse(ctx, id, api.ActionRequest{
			Action: r.kind, Reason: r.reason, Until: r.until, Filter: r.rescan, Chain: r.chain, Force: r.force, To: r.to, Quarantined: r.quarantined,
		})
		if err := check(res, err); err != nil {
			return err
		}
		done.Messages = append(done.Messages, res.JSON200.Messages...)
		return nil
	})
	if len(done.Messages) > 0 {
		if werr := t.changed(done); err == nil {
			err = werr
		}
	}
	return err
}

func (t *tool) changed(done api.ActionResult) error {
	if t.output == "json" {
		return t.json(done)
	}
	tab := t.table("ID", "STATE", "SENDER", "RECIPIENTS", "NOTE")
	for _, m := range done.Messages {
		tab.row(m.ID, stateOf(m), sender(m), recipients(m), note(m, time.Now()))
	}
	return tab.flush()
}

// changeMatching counts, asks, starts the job and follows it.
func (t *tool) changeMatching(ctx context.Context, expr string, r *changeRequest) error {
	req := api.JobRequest{Action: r.kind, Filter: &expr, Reason: r.reason, Until: r.until, Rescan: r.rescan, To: r.to, Force: r.force, DryRun: true}
	res, err := t.client.CreateJobWithResponse(ctx, req)
	if err := check(res, err); err != nil {
		return err
	}
	n := res.JSON200.Matched
	fmt.Fprintf(t.err, "%s %s\n", plural(n, "message"), map[bool]string{true: "matches", false: "match"}[n == 1])
	if r.dryRun {
		if t.output == "json" {
			if err := t.json(res.JSON200); err != nil {
				return err
			}
		}
		return noMatch(n)
	}
	if n == 0 && !(r.hasCount && r.count != 0) {
		return noMatch(n)
	}
	if err := t.confirm(r, n); err != nil {
		return err
	}
	req.DryRun = false
	if r.hasCount {
		req.ExpectedCount = &r.count
	}
	res, err = t.client.CreateJobWithResponse(ctx, req)
	if err := checkStatus(res, err, http.StatusAccepted); err != nil {
		return err
	}
	if r.noWait {
		return t.job(res.JSON202)
	}
	return t.follow(ctx, res.JSON202)
}

func noMatch(n int64) error {
	if n == 0 {
		return &exitError{status: exitNoMatch}
	}
	return nil
}

// confirm makes sure that somebody meant to change so many.
func (t *tool) confirm(r *changeRequest, n int64) error {
	switch {
	case r.hasCount && r.count != n:
		return (&exitError{status: exitFailure, msg: fmt.Sprintf("%s, --count says %d; nothing was changed", plural(n, "message"), r.count)}).
			withHint("--dry-run shows what matches now")
	case r.hasCount, r.yes:
		return nil
	case !terminal(t.in):
		return usage("not changing %s without a word", plural(n, "message")).withHint("--count %d or --yes goes on", n)
	}
	way := ""
	if r.rescan {
		way = " through the filters again"
	}
	if r.to != "" {
		way = " to " + oneLine(r.to)
	}
	fmt.Fprintf(t.err, "%s %s%s? [y/N] ", r.kind, plural(n, "message"), way)
	line, _ := bufio.NewReader(t.in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return &exitError{status: exitFailure, msg: "nothing was changed"}
	}
	return nil
}
