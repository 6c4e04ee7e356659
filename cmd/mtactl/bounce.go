package main

import (
	"github.com/spf13/cobra"

	"mtad/api"
)

var bounceChange = change{
	kind: api.ActionKindBounce, short: "Return messages to their senders",
	long: "Give up on messages: their pending recipients fail, and the senders get a delivery\nstatus notification.",
	flags: func(c *cobra.Command, r *changeRequest) {
		c.Flags().StringVar(&r.reason, "reason", "", "text, or a whole reply as \"550 5.7.1 text\", for the notification")
	},
}
