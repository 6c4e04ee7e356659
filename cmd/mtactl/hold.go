package main

import (
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

var holdChange = change{
	kind: api.ActionKindHold, short: "Keep messages where they are",
	long: "Keep messages where they are: no filter and no delivery takes them until they are\nreleased.",
	flags: func(c *cobra.Command, r *changeRequest) {
		c.Flags().StringVar(&r.reason, "reason", "", "why, for the listing")
		var d time.Duration
		c.Flags().DurationVar(&d, "for", 0, "release by itself after so long")
		c.PreRunE = func(*cobra.Command, []string) error {
			if c.Flags().Changed("for") && d <= 0 {
				return usage("--for: want a time to come")
			}
			if d > 0 {
				r.until = time.Now().Add(d).UTC()
			}
			return nil
		}
	},
}
