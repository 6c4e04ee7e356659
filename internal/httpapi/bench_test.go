package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/queue"
	"mtad/queue/queuetest"
)

// instant is a filter engine that costs nothing: what is left is the protocol.
type instant struct {
	noFilters
	item    queue.Item
	content []byte
	left    atomic.Int64
	judged  atomic.Int64
	done    chan struct{}
	total   int64
}

func (f *instant) Claim(ctx context.Context, r filter.ClaimRequest) ([]queue.Claim, error) {
	var out []queue.Claim
	for len(out) < r.Max {
		n := f.left.Add(-1)
		if n < 0 {
			break
		}
		out = append(out, queue.Claim{Item: f.item, Token: queue.Token(fmt.Sprintf("%016d", n)), For: time.Minute})
	}
	if len(out) == 0 {
		<-ctx.Done()
	}
	return out, nil
}

func (f *instant) Open(context.Context, string, queue.Token, int, bool, int64) (queue.Content, error) {
	return octets{bytes.NewReader(f.content)}, nil
}

func (f *instant) Judge(context.Context, string, queue.Token, string, filterproto.Verdict) ([]queue.Item, error) {
	if f.judged.Add(1) == f.total {
		close(f.done)
	}
	return []queue.Item{f.item}, nil
}

// BenchmarkScan takes messages of 10 KB through claim, content and verdict over a
// unix socket with filterproto.Run, server and scanner in one process.
func BenchmarkScan(b *testing.B) {
	for _, batch := range []int{1, 30, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchmarkScan(b, batch) })
	}
}

func benchmarkScan(b *testing.B, batch int) {
	q := queuetest.NewModel()
	r := &rig{t: &testing.T{}, q: q}
	r.accept("Subject: x\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 580), theFilter)
	page, err := q.List(b.Context(), queue.Filter{}, "", 1)
	if err != nil {
		b.Fatal(err)
	}
	f := &instant{item: page.Items[0], content: bytes.Repeat([]byte("0123456789abcdef"), 640), done: make(chan struct{}), total: int64(b.N)}
	f.left.Store(int64(b.N))
	plain, stored := NewToken("filter:virus")
	s, err := New(Options{Queue: q, Filters: f, Tokens: []Token{stored}})
	if err != nil {
		b.Fatal(err)
	}
	sock, stop := serveUnix(b, s)
	defer stop()
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:" + sock, Token: plain})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(f.content)))
	b.ReportAllocs()
	b.ResetTimer()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- filterproto.Run(ctx, filterproto.Options{Client: c, Filter: theFilter, Batch: batch}, func(context.Context, *filterproto.Message) (filterproto.Verdict, error) {
			return filterproto.Verdict{Disposition: filterproto.Accept}, nil
		})
	}()
	<-f.done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

// BenchmarkClaimForms compares the two forms of a claim's answer: 30 messages of
// 10 KB written by the server and read by the client.
func BenchmarkClaimForms(b *testing.B) {
	r := &rig{t: &testing.T{}, q: queuetest.NewModel()}
	it := r.accept(letter, theFilter)
	it.Generations[0].Size = 10 << 10
	f := &instant{item: it, content: bytes.Repeat([]byte("0123456789abcdef"), 640)}
	plain, stored := NewToken("filter:virus")
	s, err := New(Options{Queue: r.q, Filters: f, Tokens: []Token{stored}})
	if err != nil {
		b.Fatal(err)
	}
	for _, form := range []string{"application/json", filterproto.MediaFrames} {
		b.Run(form, func(b *testing.B) {
			b.SetBytes(30 * int64(len(f.content)))
			for range b.N {
				f.left.Store(30)
				req := httptest.NewRequest("POST", "/v1/filters/virus/claims", strings.NewReader(`{"max":30,"content":"inline"}`))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept", form)
				req.Header.Set("Authorization", "Bearer "+plain)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, req)
				if n := readForm(b, form, w.Body); n != 30 {
					b.Fatalf("%d claims", n)
				}
			}
		})
	}
}

func readForm(b *testing.B, form string, body io.Reader) (n int) {
	b.Helper()
	if form == "application/json" {
		var batch filterproto.ClaimBatch
		if err := json.NewDecoder(body).Decode(&batch); err != nil {
			b.Fatal(err)
		}
		return len(batch.Claims)
	}
	cr := filterproto.NewClaimReader(body, 1<<20)
	for {
		_, fail, err := cr.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil || fail != nil {
			b.Fatal(err, fail)
		}
		n++
	}
}
