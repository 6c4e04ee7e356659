package main

import "github.com/spf13/cobra"

func (t *tool) queueCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "queue", Short: "Look at queued messages and change them",
		Args: noArgs, RunE: needVerb,
	}
	c.AddCommand(t.listCommand(), t.showCommand(), t.catCommand(), t.jobCommand())
	for _, v := range changes {
		c.AddCommand(t.changeCommand(v))
	}
	return c
}
