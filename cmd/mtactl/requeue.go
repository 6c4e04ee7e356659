package main

import (
	"github.com/spf13/cobra"

	"mtad/api"
)

var requeueChange = change{
	kind: api.ActionKindRequeue, short: "Send messages through the queue again",
	long: "Send messages to incoming, to be delivered now; with --filter to unfiltered, through\ntheir filter chain as it is configured now. Both release a hold.",
	flags: func(c *cobra.Command, r *changeRequest) {
		c.Flags().BoolVar(&r.rescan, "filter", false, "through the filters again")
		c.Flags().StringVar(&r.chain, "chain", "", "with --filter: this chain instead of the message's own")
		c.PreRunE = func(*cobra.Command, []string) error {
			if r.chain != "" && !r.rescan {
				return usage("--chain is for --filter")
			}
			return nil
		}
	},
}
