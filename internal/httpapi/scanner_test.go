package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/queue"
)

// scan runs a scanner on the rig over its unix socket until stop is called; stop
// returns what Run returned.
func (r *rig) scan(o filterproto.Options, h filterproto.Handler) (stop func() error) {
	r.t.Helper()
	cancel, done := r.scanner(o, h)
	return func() error { cancel(); return <-done }
}

func (r *rig) scanner(o filterproto.Options, h filterproto.Handler) (context.CancelFunc, <-chan error) {
	r.t.Helper()
	_, sock, _, _ := r.run()
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:" + sock, Token: r.tokens["virus"]})
	if err != nil {
		r.t.Fatal(err)
	}
	o.Client, o.Filter = c, theFilter
	if o.Wait == 0 {
		o.Wait = 20 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- filterproto.Run(ctx, o, h) }()
	r.t.Cleanup(cancel)
	return cancel, done
}

// until waits for a state of the queue. It watches the queue's events, so that
// nothing is polled.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	events, err := r.q.Watch(ctx, "")
	if err != nil {
		r.t.Fatal(err)
	}
	defer events.Close()
	for !ok() {
		if _, err := events.Next(ctx); err != nil {
			r.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (r *rig) count(f queue.Filter) int64 {
	r.t.Helper()
	n, err := r.q.Count(context.Background(), f)
	if err != nil {
		r.t.Fatal(err)
	}
	return n.Messages
}

func TestScannerJudgesEverythingThatComes(t *testing.T) {
	r := newRig(t, rigOptions{})
	const n = 200
	var mu sync.Mutex
	seen := map[string]int{}
	stop := r.scan(filterproto.Options{InlineMax: 4 << 10}, func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
		b, err := m.Bytes(ctx, 1<<20)
		if err != nil || int64(len(b)) != m.Size {
			return filterproto.Verdict{}, errors.Join(err, fmt.Errorf("%d octets, want %d", len(b), m.Size))
		}
		mu.Lock()
		seen[m.ID]++
		mu.Unlock()
		if bytes.Contains(b, []byte("evil")) {
			return filterproto.Verdict{Disposition: filterproto.Discard}, nil
		}
		return filterproto.Verdict{Disposition: filterproto.Accept}, nil
	})
	for i := range n {
		body := strings.Repeat("line\r\n", i*10) // some inline, some fetched
		if i%10 == 0 {
			body += "evil\r\n"
		}
		r.accept("Subject: x\r\n\r\n"+body, theFilter)
	}
	r.until("all judged", func() bool { return r.count(queue.Filter{Stage: theFilter}) == 0 })
	if got := r.count(queue.Filter{Stage: "spam"}); got != n*9/10 {
		t.Errorf("%d passed, want %d", got, n*9/10)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if len(seen) != n {
		t.Errorf("%d messages seen, want %d", len(seen), n)
	}
}

func TestScannerNeverAcceptsOnErrorOrPanic(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	other := r.accept("Subject: panic\r\n\r\n", theFilter)
	stop := r.scan(filterproto.Options{RetryDelay: time.Hour}, func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
		if m.ID == string(other.ID) {
			panic("broken")
		}
		return filterproto.Verdict{Disposition: filterproto.Accept}, errors.New("scanner is broken")
	})
	r.until("a lost claim", func() bool { return r.get(other.ID).LostClaims == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []queue.ID{it.ID, other.ID} {
		if got := r.get(id); got.Stage != theFilter || len(got.Verdicts) != 0 {
			t.Errorf("%s went on to %s", id, got.Stage)
		}
	}
	if got := r.get(it.ID); got.LostClaims != 0 {
		t.Errorf("an error counted as a lost lease")
	}
}

func TestScannerStopsGracefully(t *testing.T) {
	r := newRig(t, rigOptions{})
	first := r.accept(letter, theFilter)
	var later []queue.ID
	for range 3 {
		later = append(later, r.accept(letter, theFilter).ID)
	}
	begun := make(chan struct{})
	goOn := make(chan struct{})
	cancel, ended := r.scanner(filterproto.Options{Concurrency: 1}, func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
		close(begun) // once: a second message would panic, and count as lost
		<-goOn
		return filterproto.Verdict{Disposition: filterproto.Accept}, nil
	})
	<-begun
	cancel()
	close(goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, id := range append(later, first.ID) {
		it := r.get(id)
		if it.Lease != nil || it.LostClaims != 0 {
			t.Errorf("%s was not given back: %+v", id, it.Lease)
		}
		if it.Stage == "spam" {
			judged++
		}
	}
	if judged == 0 {
		t.Error("the verdict of the message under way was dropped")
	}
}

func TestScannerRenewsItsLease(t *testing.T) {
	spy := &spy{extend: make(chan struct{}, 1)}
	r := newRig(t, rigOptions{filters: spy.on})
	it := r.accept(letter, theFilter)
	stop := r.scan(filterproto.Options{Lease: 1200 * time.Millisecond}, func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
		first := r.get(it.ID).Lease.Until
		select {
		case <-ctx.Done():
			return filterproto.Verdict{}, ctx.Err()
		case <-spy.extend:
		}
		if !r.get(it.ID).Lease.Until.After(first) {
			return filterproto.Verdict{}, errors.New("not extended")
		}
		return filterproto.Verdict{Disposition: filterproto.Accept}, nil
	})
	r.until("judged", func() bool { return r.get(it.ID).Stage == "spam" })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestScannerIsToldOfARefusalThatWillNotMend(t *testing.T) {
	r := newRig(t, rigOptions{})
	_, sock, _, _ := r.run()
	for _, c := range []struct{ token, filter, code string }{
		{"", "virus", filterproto.CodeUnauthorized}, {r.tokens["spam"], "virus", filterproto.CodeForbidden}, {r.tokens["filters"], "nobody", filterproto.CodeNoFilter},
	} {
		client, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:" + sock, Token: c.token})
		if err != nil {
			t.Fatal(err)
		}
		err = filterproto.Run(t.Context(), filterproto.Options{Client: client, Filter: c.filter}, nil)
		if !errors.Is(err, &filterproto.Error{Code: c.code}) {
			t.Errorf("%s: %v, want %s", c.filter, err, c.code)
		}
	}
}

func TestClientUploadsAndReadsOverASocket(t *testing.T) {
	r := newRig(t, rigOptions{})
	addr, _, _, _ := r.run()
	r.accept(letter, theFilter)
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "http://" + addr, Token: r.tokens["virus"]})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Claim(t.Context(), theFilter, filterproto.ClaimRequest{})
	if err != nil || len(got) != 1 || got[0].Inline {
		t.Fatalf("%+v %v", got, err)
	}
	body, err := c.Content(t.Context(), got[0].Token, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	body.Close()
	if err != nil || string(b) != letter {
		t.Fatalf("%q %v", b, err)
	}
	u, err := c.Upload(t.Context(), got[0].Token, strings.NewReader("new\r\n"))
	if err != nil || u.Size != 5 {
		t.Fatalf("%+v %v", u, err)
	}
	if _, err := c.Release(t.Context(), []string{got[0].Token}, 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Content(t.Context(), got[0].Token, false, 0); !errors.Is(err, &filterproto.Error{Code: filterproto.CodeLeaseLost}) {
		t.Errorf("content after release: %v", err)
	}
}
