package main

import (
	"context"
	"time"

	"mtad/filterproto"
)

// pull claims from the API for as long as it lives.
func pull(socket string, j journal) error {
	client, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:" + socket})
	if err != nil {
		return err
	}
	judge := func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
		content, err := m.Bytes(ctx, 64<<20)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		mark, n, err := markOf(content)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		work()
		if err := j.note(mark); err != nil {
			return filterproto.Verdict{}, err
		}
		if discards("pull", n) {
			return filterproto.Verdict{Disposition: filterproto.Discard}, nil
		}
		return filterproto.Verdict{Disposition: filterproto.Accept,
			Edits: []filterproto.Edit{{Op: filterproto.HeaderAdd, Name: "X-Scan-Pull", Value: mark}}}, nil
	}
	for {
		_ = filterproto.Run(context.Background(), filterproto.Options{Client: client, Filter: "pull", Concurrency: 10}, judge)
		time.Sleep(20 * time.Millisecond) // mtad is not there at the moment
	}
}
