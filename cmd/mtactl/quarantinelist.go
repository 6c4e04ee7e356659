package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) quarantineListCommand() *cobra.Command {
	var limit int
	var count bool
	c := &cobra.Command{
		Use: "list [ID... | EXPRESSION]", Short: "List messages in quarantine, oldest first",
		Long: "List messages in quarantine, oldest first: all of them, or those that match. HELD is\nhow long ago the filter held a message, END when that ends and what happens then.\n\nWith -o json each page is printed as the API gives it, one object after another.\n\n" + expressionHelp,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := selected(c, args)
			if err != nil {
				return err
			}
			if limit < 0 {
				return usage("--limit: want 0 or more")
			}
			if err := t.connect(); err != nil {
				return err
			}
			expr := quarantined(s.filter())
			if count {
				return t.count(c.Context(), expr)
			}
			return t.list(c.Context(), expr, limit, quarantineColumns)
		},
	}
	selectFlags(c)
	c.Flags().IntVarP(&limit, "limit", "n", 0, "list at most so many; 0 is all")
	c.Flags().BoolVar(&count, "count", false, "count instead of listing")
	return c
}

// quarantineColumns is what the table says of messages in quarantine.
var quarantineColumns = columns{
	heading: []string{"ID", "HELD", "FILTER", "SCORE", "END", "SENDER", "RECIPIENTS", "REASON"},
	row: func(m api.Message, now time.Time) []string {
		return []string{m.ID, ago(m.Hold.Since, now), m.Hold.Filter, score(m.Hold.Score), endOf(m.Hold, now), sender(m), recipients(m), m.Hold.Reason}
	},
}

// score prints a filter's score; 0 is what a filter without scores says.
func score(s float64) string {
	if s == 0 {
		return ""
	}
	return strconv.FormatFloat(s, 'f', -1, 64)
}

// endOf says when a hold ends by itself, and how.
func endOf(h api.Hold, now time.Time) string {
	switch {
	case h.Until.IsZero():
		return ""
	case !h.Until.After(now):
		return string(h.Then) + " now"
	}
	return string(h.Then) + " in " + span(h.Until.Sub(now))
}
