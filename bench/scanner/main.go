// Command scanner is the benchmark's pull filter: it reads each message whole and
// accepts it. Its argument is the path of the API's unix socket.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mtad/filterproto"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "scanner:", err)
		os.Exit(1)
	}
}

func run(socket string) error {
	client, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:" + socket})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for {
		err := filterproto.Run(ctx, filterproto.Options{Client: client, Filter: "scan"}, accept)
		if err == nil || ctx.Err() != nil {
			return nil
		}
	}
}

func accept(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
	if _, err := m.Bytes(ctx, 64<<20); err != nil {
		return filterproto.Verdict{}, err
	}
	return filterproto.Verdict{Disposition: filterproto.Accept}, nil
}
