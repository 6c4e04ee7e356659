package main

import (
	"os"
	"os/signal"
	"syscall"

	"mtad/internal/app/demo"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the way of a few messages, with nothing else needed",
		Long: "Demo starts a whole mtad with a temporary spool and free loopback ports, a\n" +
			"scanner on the pull API and a next hop, sends a few messages, prints what becomes\n" +
			"of them, and ends by itself. Exit status 0 means that all arrived as they should.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return demo.Run(ctx, cmd.OutOrStdout())
		},
	}
}
