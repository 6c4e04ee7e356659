// Command mtactl looks at mtad's queue and changes it, over the HTTP API and
// nothing else.
//
// Data goes to stdout, words to stderr. With -o json what is printed is the API's
// objects, as api/openapi.yaml describes them; tables are for people and may
// change. Exit statuses are listed by mtactl --help and in exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &tool{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	if name, args, ok := asSendmail(os.Args); ok {
		return t.report(t.sendmail(ctx, name, args))
	}
	t.args = os.Args[1:]
	return t.run(ctx)
}
