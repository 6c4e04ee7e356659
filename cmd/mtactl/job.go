package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) jobCommand() *cobra.Command {
	return &cobra.Command{
		Use: "job JOB", Short: "Follow the change of many messages to its end",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usage("usage: %s", c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			return t.follow(c.Context(), &api.Job{ID: args[0]})
		},
	}
}

// Waits between two looks at a job.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = 2 * time.Second
)

// follow waits for a job's end and prints it. Interrupted, it says where the job
// goes on.
func (t *tool) follow(ctx context.Context, j *api.Job) error {
	for wait := firstLook; j.Finished.IsZero(); wait = min(2*wait, lastLook) {
		if !j.Started.IsZero() {
			select {
			case <-ctx.Done():
				return t.left(j)
			case <-time.After(wait):
			}
		}
		res, err := t.client.GetJobWithResponse(ctx, j.ID)
		if err := check(res, err); err != nil {
			if ctx.Err() != nil {
				return t.left(j)
			}
			return err
		}
		j = res.JSON200
		if j.Started.IsZero() {
			j.Started = time.Now() // an unknown start must not make us spin
		}
		if terminal(t.err) {
			fmt.Fprintf(t.err, "\r%d of %d", j.Changed+j.Failed, j.Matched)
		}
	}
	if terminal(t.err) {
		fmt.Fprintln(t.err)
	}
	return t.job(j)
}

func (t *tool) left(j *api.Job) error {
	return (&exitError{status: exitTemporary, msg: "interrupted; the job goes on"}).withHint("'mtactl queue job %s' follows it", j.ID)
}

func (t *tool) job(j *api.Job) error {
	var err error
	if t.output == "json" {
		err = t.json(j)
	} else {
		tab := t.table("JOB", "ACTION", "MATCHED", "CHANGED", "FAILED")
		tab.row(j.ID, string(j.Action), number(j.Matched), number(j.Changed), number(j.Failed))
		err = tab.flush()
	}
	if err == nil && j.Failed > 0 {
		return &exitError{status: exitFailure, msg: plural(j.Failed, "message") + " could not be changed; the last: " + j.LastFail}
	}
	return err
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
