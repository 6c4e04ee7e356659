package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) quarantineListCommand() *cobra.Command {
	return t.listing(&cobra.Command{
		Use: "list [ID... | EXPRESSION]", Short: "List messages in quarantine, oldest first",
		Long: "List messages in quarantine, oldest first: all of them, or those that match. HELD is\nhow long ago the filter held a message, END when that ends and what happens then.\n\nWith -o json each page is printed as the API gives it, one object after another.\n\n" + expressionHelp,
	}, quarantined, quarantineColumns)
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
