// Command wordscan is a scanner: it rejects mail that contains a word. Run it as
//
//	wordscan -url unix:/run/mtad/api.sock -filter words -word lottery
package main

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mtad/filterproto"
)

func main() {
	url := flag.String("url", "http://127.0.0.1:8025", "where mtad's API is")
	filter := flag.String("filter", "words", "the filter's name")
	word := flag.String("word", "lottery", "the word nobody is to get mail with")
	flag.Parse()

	client, err := filterproto.NewClient(filterproto.ClientOptions{URL: *url, Token: os.Getenv("MTAD_TOKEN")})
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = filterproto.Run(ctx, filterproto.Options{Client: client, Filter: *filter, Logger: slog.Default()},
			func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
				content, err := m.Bytes(ctx, 64<<20)
				if err != nil {
					return filterproto.Verdict{}, err // offered again later
				}
				if bytes.Contains(bytes.ToLower(content), bytes.ToLower([]byte(*word))) {
					return filterproto.Verdict{Disposition: filterproto.Reject, Symbols: []string{"WORD"}}, nil
				}
				return filterproto.Verdict{Disposition: filterproto.Accept}, nil
			})
	}
	if err != nil {
		slog.Error("wordscan", "error", err)
		os.Exit(1)
	}
}
