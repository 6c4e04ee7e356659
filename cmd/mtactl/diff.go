package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"mtad/api"
)

// maxDiff bounds what is compared, in octets of each version.
const maxDiff = 64 << 20

// maxDiffLines bounds the lines of each version: short ones take far more memory
// than their octets.
const maxDiffLines = 1 << 20

func (t *tool) diffCommand() *cobra.Command {
	var from, to int
	c := &cobra.Command{
		Use: "diff ID", Short: "Show what filters changed in a message",
		Long: "Show the differences between each version of a message's content and the next, with the\nname of the filter that made it. --from and --to compare two versions directly; 0 is\nwhat was received. Line ends that differ are shown as \\r.",
		Args: idArgs(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if from < 0 || to < -1 {
				return usage("--from and --to: want 0 or more")
			}
			if err := t.connect(); err != nil {
				return err
			}
			if c.Flags().Changed("from") || c.Flags().Changed("to") {
				return t.diffRange(c.Context(), args[0], from, to)
			}
			return t.diffAll(c.Context(), args[0])
		},
	}
	c.Flags().IntVar(&from, "from", 0, "the older version")
	c.Flags().IntVar(&to, "to", -1, "the newer version (default: the current one)")
	return c
}

func (t *tool) generations(ctx context.Context, id string) (*api.GenerationList, error) {
	res, err := t.client.ListGenerationsWithResponse(ctx, id)
	if err := check(res, err); err != nil {
		return nil, err
	}
	if len(res.JSON200.Generations) == 0 {
		return nil, &exitError{status: exitFailure, msg: id + ": the server lists no version"}
	}
	return res.JSON200, nil
}

func (t *tool) diffAll(ctx context.Context, id string) error {
	list, err := t.generations(ctx, id)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(list)
	}
	g := list.Generations
	if len(g) == 1 {
		fmt.Fprintln(t.err, "no filter changed this message")
	}
	for i := 1; i < len(g); i++ {
		if err := t.diff(ctx, id, g[i-1], g[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tool) diffRange(ctx context.Context, id string, from, to int) error {
	list, err := t.generations(ctx, id)
	if err != nil {
		return err
	}
	g := list.Generations
	if to == -1 {
		to = g[len(g)-1].N
	}
	var a, b *api.Generation
	for i := range g {
		if g[i].N == from {
			a = &g[i]
		}
		if g[i].N == to {
			b = &g[i]
		}
	}
	if a == nil || b == nil {
		return &exitError{status: exitNoMatch, msg: fmt.Sprintf("%s: versions go from %d to %d", id, g[0].N, g[len(g)-1].N)}
	}
	return t.diff(ctx, id, *a, *b)
}

func (t *tool) diff(ctx context.Context, id string, a, b api.Generation) error {
	old, err := t.octets(ctx, id, a)
	if err != nil {
		return err
	}
	now, err := t.octets(ctx, id, b)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	unified(&out, label(id, a), label(id, b), old, now)
	_, err = t.out.Write(out.Bytes())
	return wrote(err)
}

func label(id string, g api.Generation) string {
	by := "as received"
	if g.By != "" {
		by = "by " + g.By
	}
	return fmt.Sprintf("%s generation %d, %s", id, g.N, oneLine(by))
}

func (t *tool) octets(ctx context.Context, id string, g api.Generation) ([]byte, error) {
	body, err := t.content(ctx, id, &api.GetMessageContentParams{Generation: &g.N})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxDiff+1))
	if err != nil {
		return nil, callError(err)
	}
	if len(b) > maxDiff || bytes.Count(b, []byte("\n")) > maxDiffLines {
		return nil, (&exitError{status: exitFailure, msg: fmt.Sprintf("%s generation %d is too large to compare", id, g.N)}).
			withHint("'mtactl queue cat --generation %d' prints it", g.N)
	}
	return b, nil
}
