package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) webhooksCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "webhooks", Short: "Show the webhooks, and how far each is",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.ListWebhooksWithResponse(c.Context())
			if err := check(res, err); err != nil {
				return err
			}
			return t.webhooks(res.JSON200)
		},
	}
	c.AddCommand(t.replayCommand(), t.testWebhookCommand())
	return c
}

func (t *tool) webhooks(l *api.WebhookList) error {
	if t.output == "json" {
		return t.json(l)
	}
	now := time.Now()
	tab := t.table("NAME", "URL", "STATE", "LAG", "PENDING", "SENT", "FAILED", "DROPPED", "GAPS", "LAST ERROR")
	for _, w := range l.Webhooks {
		last := w.Reason
		if last == "" && w.LastError != "" {
			last = ago(w.LastErrorAt, now) + " ago: " + w.LastError
		}
		lag := "-"
		if w.Lag > 0 {
			lag = time.Duration(w.Lag * float64(time.Second)).Round(time.Second).String()
		}
		tab.row(w.Name, w.URL, w.State, lag, number(int64(w.Pending)), number(w.Delivered), number(w.Failures), number(w.Dropped), number(w.Gaps), last)
	}
	return tab.flush()
}

func (t *tool) replayCommand() *cobra.Command {
	var b api.WebhookReplay
	var since string
	c := &cobra.Command{
		Use: "replay NAME", Short: "Send a webhook events again",
		Long: "Send a webhook all events after a place again, or begin anew with one that stopped.\nEvents have the IDs they had: the receiver knows those it has seen. They are kept for a day.",
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if b.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			if (b.After == "") == b.Since.IsZero() {
				return usage("want --after ID or --since TIME")
			}
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.ReplayWebhookWithResponse(c.Context(), args[0], b)
			if err == nil && res.StatusCode() == http.StatusNoContent {
				return nil
			}
			return check(res, err)
		},
	}
	c.Flags().StringVar(&b.After, "after", "", "everything after the event of this ID")
	c.Flags().StringVar(&since, "since", "", "everything since a time: 90s, 2h, or 2006-01-02T15:04:05Z")
	return c
}

func (t *tool) testWebhookCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "Send a webhook one event of type test",
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.TestWebhookWithResponse(c.Context(), args[0])
			if err := check(res, err); err != nil {
				return err
			}
			return t.tested(args[0], res.JSON200)
		},
	}
}

func (t *tool) tested(name string, a *api.WebhookTest) error {
	if t.output == "json" {
		if err := t.json(a); err != nil {
			return err
		}
	}
	if a.Error != "" {
		return &exitError{status: exitFailure, msg: fmt.Sprintf("%s: %s", oneLine(name), oneLine(a.Error))}
	}
	if t.output == "json" {
		return nil
	}
	_, err := fmt.Fprintf(t.out, "%s: %d in %s\n", oneLine(name), a.Status, time.Duration(a.Took*float64(time.Second)).Round(time.Millisecond))
	return wrote(err)
}

func oneName(c *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" || strings.Contains(args[0], "/") {
		return usage("%s: want one name", c.CommandPath())
	}
	return nil
}
