package main

import (
	"slices"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) shapeCommand() *cobra.Command {
	var states []string
	c := &cobra.Command{
		Use: "shape", Short: "Show which next hops mail waits for, and how long",
		Long: "Show how many messages wait in each state for each next hop, by age: a column T for the\ntotal, then one for each age in minutes. A row that grows to the right is a next hop\nthat is slow or down. It costs the same for any length of queue.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := shapeParams(states)
			if err != nil {
				return err
			}
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.GetShapeWithResponse(c.Context(), p)
			if err := check(res, err); err != nil {
				return err
			}
			return t.shape(res.JSON200)
		},
	}
	c.Flags().StringSliceVar(&states, "state", nil, "only these states")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"unfiltered", "incoming", "active", "deferred"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func shapeParams(states []string) (*api.GetShapeParams, error) {
	var p api.GetShapeParams
	for _, s := range states {
		if !api.State(s).Valid() {
			return nil, usage("--state %q: want unfiltered, incoming, active or deferred", s)
		}
		if !slices.Contains(p.State, api.State(s)) {
			p.State = append(p.State, api.State(s))
		}
	}
	return &p, nil
}

func (t *tool) shape(s *api.Shape) error {
	if t.output == "json" {
		return t.json(s)
	}
	heading := []string{"STATE", "NEXT HOP", "T"}
	for _, a := range s.Ages {
		heading = append(heading, minutes(a))
	}
	if n := len(s.Ages); n > 0 {
		heading = append(heading, heading[len(heading)-1]+"+")
	}
	tab := t.table(heading...)
	for _, r := range s.Rows {
		cells := []string{r.State, r.NextHop, number(r.Total)}
		for _, n := range r.Counts {
			cells = append(cells, number(n))
		}
		tab.row(cells...)
	}
	return tab.flush()
}

// minutes prints an age as its column's heading.
func minutes(seconds int64) string {
	if seconds%60 == 0 {
		return number(seconds / 60)
	}
	return number(seconds) + "s"
}
