package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (t *tool) traceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "trace ID", Short: "Show what became of a message",
		Long: "Show every part of a message, in the queue and finished, with verdicts, attempts and\nwhat happened when. Finished messages are known for a configured time.",
		Args: idArgs(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.TraceMessageWithResponse(c.Context(), args[0])
			if err := check(res, err); err != nil {
				var e *exitError
				if errors.As(err, &e) && e.status == exitNoMatch {
					return e.withHint("finished messages are known for the time that queue.history sets")
				}
				return err
			}
			if t.output == "json" {
				return t.json(res.JSON200)
			}
			for i, m := range res.JSON200.Items {
				if i > 0 {
					fmt.Fprintln(t.out)
				}
				if err := t.details(m); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
