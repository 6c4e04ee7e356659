package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) filtersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "filters", Short: "Show the filters and how they do",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.ListFiltersWithResponse(c.Context())
			if err := check(res, err); err != nil {
				return err
			}
			return t.filters(res.JSON200)
		},
	}
}

func (t *tool) filters(l *api.FilterList) error {
	if t.output == "json" {
		return t.json(l)
	}
	now := time.Now()
	tab := t.table("NAME", "KIND", "CHAINS", "WAITING", "LEASED", "OLDEST", "LAST CLAIM", "BREAKER", "VERDICTS", "FAILURES", "LAST ERROR")
	for _, f := range l.Filters {
		last := ""
		if f.LastError != "" {
			last = ago(f.LastErrorAt, now) + " ago: " + f.LastError
		}
		tab.row(f.Name, f.Kind, strings.Join(f.Chains, ","), number(f.Waiting), number(f.Leased), ago(f.Oldest, now),
			ago(f.LastClaimAt, now), f.Breaker, tally(f.Verdicts), tally(f.Failures), last)
	}
	return tab.flush()
}

// tally prints counts by name: "accept 12, reject 3".
func tally(m map[string]int64) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+" "+number(m[k]))
	}
	return strings.Join(out, ", ")
}
