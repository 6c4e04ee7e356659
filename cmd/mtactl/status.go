package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

// statusReport is what status prints as JSON: the API's two objects.
type statusReport struct {
	Status *api.Status `json:"status"`
	Stats  *api.Stats  `json:"stats"`
}

func (t *tool) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the state of mtad and its queue",
		Long: "Show the state of mtad and its queue. The exit status is 75 when new messages are not\naccepted now.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			st, err := t.client.GetStatusWithResponse(c.Context())
			if err := check(st, err); err != nil {
				return err
			}
			stats, err := t.client.GetStatsWithResponse(c.Context())
			if err := check(stats, err); err != nil {
				return err
			}
			return t.status(st.JSON200, stats.JSON200)
		},
	}
}

func (t *tool) status(s *api.Status, q *api.Stats) error {
	var err error
	if t.output == "json" {
		err = t.json(statusReport{s, q})
	} else {
		err = t.statusTables(s, q)
	}
	if err == nil && !s.Ready {
		return &exitError{status: exitTemporary}
	}
	return err
}

func (t *tool) statusTables(s *api.Status, q *api.Stats) error {
	tab := t.table()
	tab.row("mtad:", join(s.Version, "on", s.Hostname, "up", span(time.Duration(s.Uptime*float64(time.Second)))))
	ready := "yes"
	if !s.Ready {
		ready = join("no:", s.Reason, s.Detail)
	}
	tab.row("accepts mail:", ready)
	if !s.Writable {
		tab.row("queue:", "cannot be changed now")
	}
	tab.row("free space:", size(s.FreeBytes))
	tab.row("held:", number(q.Held))
	tab.row("clients waiting for a verdict:", number(q.Staged))
	tab.row("damaged records:", number(q.Damaged))
	tab.row("finished and still known:", number(q.History))
	for _, l := range s.Listeners {
		tab.row("listens:", join(l.Name, l.Protocol, l.Address))
	}
	if s.Maildrop.Waiting > 0 {
		tab.row("waiting in the maildrop:", number(int64(s.Maildrop.Waiting)))
	}
	for _, m := range s.Maildrop.Aside {
		tab.row("maildrop, set aside:", join(number(int64(m.Count)), m.Reason))
	}
	for _, u := range s.Unsafe {
		tab.row("UNSAFE:", u)
	}
	for _, p := range s.Problems {
		tab.row("problem:", join(p.Where, p.Message, p.Hint))
	}
	if err := tab.flush(); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	now := time.Now()
	tab = t.table("STATE", "MESSAGES", "BYTES", "OLDEST", "LEASED")
	for _, st := range q.States {
		tab.row(st.State, number(st.Messages), size(st.Bytes), ago(st.Oldest, now), number(st.Leased))
	}
	for _, st := range q.Stages {
		tab.row("  at filter "+st.Stage, number(st.Messages), "", ago(st.Oldest, now), number(st.Leased))
	}
	return tab.flush()
}
