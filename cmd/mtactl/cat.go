package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"mtad/api"
)

func (t *tool) catCommand() *cobra.Command {
	var generation int
	var p api.GetMessageContentParams
	c := &cobra.Command{
		Use: "cat ID", Short: "Print a message's content",
		Long: "Print a message's content: the exact octets, except on a terminal, where control\ncharacters are shown as escapes.",
		Args: idArgs(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("generation") {
				if generation < 0 {
					return usage("--generation: want 0 or more")
				}
				p.Generation = &generation
			}
			if err := t.connect(); err != nil {
				return err
			}
			return t.cat(c.Context(), args[0], &p)
		},
	}
	f := c.Flags()
	f.IntVar(&generation, "generation", 0, "version of the content; 0 is what was received (default: the current one)")
	f.BoolVar(&p.Trace, "trace", false, "with mtad's own trace header fields in front")
	f.BoolVar(&p.Header, "header", false, "the header section alone")
	return c
}

func (t *tool) cat(ctx context.Context, id string, p *api.GetMessageContentParams) error {
	body, err := t.content(ctx, id, p)
	if err != nil {
		return err
	}
	defer body.Close()
	w := t.out
	if terminal(t.out) {
		w = safeWriter{t.out}
	}
	n, err := io.Copy(w, body)
	if err != nil {
		return (&exitError{status: exitTemporary, msg: "content of " + id + " broke off: " + err.Error()}).
			withHint("what was printed (%d octets) is not the whole message", n)
	}
	return nil
}

// content opens a message's content. The caller closes it.
func (t *tool) content(ctx context.Context, id string, p *api.GetMessageContentParams) (io.ReadCloser, error) {
	res, err := t.client.GetMessageContent(ctx, id, p)
	if err != nil {
		return nil, callError(err)
	}
	if res.StatusCode == http.StatusOK && strings.HasPrefix(res.Header.Get("Content-Type"), "message/") {
		return res.Body, nil
	}
	defer res.Body.Close()
	var e api.Error
	if json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&e) == nil && e.Code != "" {
		return nil, apiError(&e, res.StatusCode)
	}
	return nil, statusError(res.StatusCode)
}
