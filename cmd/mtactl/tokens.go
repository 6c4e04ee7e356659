package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "token", Short: "Make, list and end bearer tokens",
		Long: "Make, list and end the tokens of the HTTP API. It needs the scope tokens; root and mtad's own\nuser have it at the unix socket.",
		Args: noArgs, RunE: needVerb,
	}
	c.AddCommand(t.createTokenCommand(), t.listTokensCommand(), t.revokeTokenCommand())
	return c
}

const longTokenCreate = `Make a token and print it. It is shown this once: mtad keeps a hash of it alone.

  mtactl token create shop --from @example.org --rate 100/m --size 10M --expires 90d`

// newToken are the flags of token create.
type newToken struct {
	body                api.NewToken
	rate, size, expires string
}

func (t *tool) createTokenCommand() *cobra.Command {
	n := &newToken{}
	g := &n.body.Submit
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a token and print it", Long: longTokenCreate,
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error {
			n.body.Name = args[0]
			if err := n.read(time.Now()); err != nil {
				return err
			}
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.CreateTokenWithResponse(c.Context(), n.body)
			if err != nil || res.JSON201 == nil {
				return check(res, err)
			}
			if t.output == "json" {
				return t.json(res.JSON201)
			}
			_, err = fmt.Fprintln(t.out, res.JSON201.Token)
			return err
		},
	}
	f := c.Flags()
	f.StringSliceVar(&n.body.Scopes, "scope", []string{"submit"}, "what it allows: submit, queue:read, queue:write, events, metrics, tokens, filter:NAME; may be repeated")
	f.StringVar(&n.expires, "expires", "", "when it ends: 90d, 12h, 2027-01-31, 2027-01-31T12:00:00Z (default: never)")
	f.StringSliceVar(&g.Senders, "from", nil, "with submit: an `address` that may be used as sender and in From: a@example.org, @example.org, @*.example.org; may be repeated (default: any)")
	f.StringSliceVar(&g.Recipients, "to", nil, "with submit: an `address` that may be sent to, likewise")
	f.StringVar(&n.rate, "rate", "", "with submit: messages in a time: 10/s, 100/m, 1000/h, 10000/d")
	f.StringVar(&n.size, "size", "", "with submit: octets of a message: 500K, 10M")
	f.IntVar(&g.RecipientsPerDay, "per-day", 0, "with submit: recipients in a day (UTC)")
	f.StringVar(&g.Chain, "chain", "", "with submit: the filter chain; none for no filters")
	f.StringSliceVar(&g.Chains, "allow-chain", nil, "with submit: another chain that a message may ask for; * is all; may be repeated")
	f.BoolVar(&g.Sandbox, "sandbox", false, "with submit: what is handed in is judged by the filters and never delivered")
	return c
}

// read turns the flags' words into values.
func (n *newToken) read(now time.Time) (err error) {
	g := &n.body.Submit
	if n.rate != "" {
		count, per, _ := strings.Cut(n.rate, "/")
		g.Rate, err = strconv.Atoi(count)
		g.RatePer = map[string]string{"s": "second", "m": "minute", "h": "hour", "d": "day"}[per]
		if err != nil || g.Rate <= 0 || g.RatePer == "" {
			return usage("--rate %q: want a number with /s, /m, /h or /d", n.rate)
		}
	}
	if n.size != "" {
		if g.MessageSize, err = octets(n.size); err != nil {
			return usage("--size %q: want octets, as in 500K or 10M", n.size)
		}
	}
	if n.expires != "" {
		if n.body.Expires, err = ending(n.expires, now); err != nil {
			return usage("--expires %q: want 90d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z", n.expires)
		}
	}
	return nil
}

// octets reads 500K, 10M, 10MB, 1G.
func octets(s string) (int64, error) {
	s = strings.TrimSuffix(strings.ToUpper(s), "B")
	unit := int64(1)
	for i, u := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(s, u); ok {
			s, unit = rest, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<40/unit {
		return 0, strconv.ErrRange
	}
	return n * unit, nil
}

// ending reads a time, or how long it is until then.
func ending(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n <= 0 || n > 36500 {
			return time.Time{}, strconv.ErrRange
		}
		return now.AddDate(0, 0, n).UTC().Truncate(time.Second), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return time.Time{}, strconv.ErrRange
	}
	return now.Add(d).UTC().Truncate(time.Second), nil
}

func (t *tool) listTokensCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens, without their secrets",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.ListTokensWithResponse(c.Context())
			if err := check(res, err); err != nil {
				return err
			}
			return t.tokens(res.JSON200)
		},
	}
}

func (t *tool) tokens(l *api.TokenList) error {
	if t.output == "json" {
		return t.json(l)
	}
	now := time.Now()
	tab := t.table("NAME", "SCOPES", "FROM", "EXPIRES", "LAST USED", "MADE BY")
	for _, x := range l.Tokens {
		from, expires, used, by := "any", "never", "-", x.CreatedBy
		if x.Configured {
			from, by = "-", "configuration"
		}
		if len(x.Submit.Senders) > 0 {
			from = strings.Join(x.Submit.Senders, ",")
		}
		if x.Submit.Sandbox {
			from += " (sandbox)"
		}
		if !x.Expires.IsZero() {
			expires = x.Expires.UTC().Format(time.RFC3339)
		}
		if !x.LastUsed.IsZero() {
			used = ago(x.LastUsed, now) + " ago"
		}
		tab.row(x.Name, strings.Join(x.Scopes, ","), from, expires, used, by)
	}
	return tab.flush()
}

func (t *tool) revokeTokenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token",
		Long: "End a token, at once. A token of the configuration is taken out there.",
		Args: oneName,
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.connect(); err != nil {
				return err
			}
			res, err := t.client.RevokeTokenWithResponse(c.Context(), args[0])
			if err == nil && res.StatusCode() == http.StatusNoContent {
				return nil
			}
			return check(res, err)
		},
	}
}
