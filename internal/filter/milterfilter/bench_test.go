package milterfilter

import (
	"context"
	"io"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// BenchmarkNoOpMilter is one message of 10 KB through a filter that wants to see
// everything and does nothing, over a unix socket; "quiet" answers at the end only.
func BenchmarkNoOpMilter(b *testing.B) {
	for name, protocol := range map[string]uint32{"answers": 0, "quiet": 0xff080} {
		b.Run(name, func(b *testing.B) {
			s := miltertest.Start(b, "unix")
			s.Protocol = protocol
			f, err := New(Options{Milter: milter.Options{Network: s.Network, Address: s.Address}})
			if err != nil {
				b.Fatal(err)
			}
			message := scanned(b, "Subject: x\r\nFrom: a@example.org\r\nTo: b@example.net\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n"+strings.Repeat(strings.Repeat("x", 78)+"\r\n", 128))
			b.ResetTimer()
			for b.Loop() {
				v, err := f.Scan(context.Background(), message)
				if err != nil || v.Disposition != filterproto.Accept {
					b.Fatal(v, err)
				}
			}
		})
	}
}

// scanned is a message as the engine gives it to a kind.
func scanned(b *testing.B, content string) filter.Message {
	b.Helper()
	q := queuetest.NewModel(queuetest.ModelOptions{})
	b.Cleanup(func() { q.Close() })
	got := make(chan filter.Message, 1)
	release := make(chan struct{})
	e, err := filter.New(filter.Options{Queue: q, Chains: map[string]filter.Chain{"c": {Filters: []string{"f"}}}, Filters: map[string]filter.Definition{
		"f": {Scanner: filter.KindFunc(func(_ context.Context, m filter.Message) (filterproto.Verdict, error) {
			got <- m
			<-release
			return filterproto.Verdict{Disposition: filterproto.Accept}, nil
		})},
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	b.Cleanup(func() { close(release); cancel(); <-done })
	w, err := q.Create(ctx, envelope(), queue.CreateOptions{Chain: "c", Stage: "f"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		b.Fatal(err)
	}
	if _, err := w.Commit(ctx); err != nil {
		b.Fatal(err)
	}
	return <-got
}
