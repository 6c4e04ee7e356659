package queuetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

// patience is how long a test waits for what has to come. It is never the
// measure of anything: a test that passes does not wait.
const patience = 20 * time.Second

// rig is one test's queue with the moves that tests are made of.
type rig struct {
	*testing.T
	*Subject
	q queue.Queue // the present one: Crash replaces it
}

func (r *rig) ctx() context.Context { return r.T.Context() }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// refused fails the test unless err is one of want.
func (r *rig) refused(err error, want ...error) {
	r.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	r.Fatalf("got error %v, want %v", err, want)
}

func (r *rig) now() time.Time {
	if r.Subject.Now != nil {
		return r.Subject.Now()
	}
	return time.Now()
}

// crash replaces the queue by what is left of it.
func (r *rig) crash() { r.q = r.Subject.Crash() }

// envelope to recipients; a recipient's next hop is its domain.
func envelope(to ...string) queue.Envelope {
	e := queue.Envelope{ReversePath: "author@example.org"}
	for _, path := range to {
		e.Recipients = append(e.Recipients, recipient(path))
	}
	return e
}

func recipient(path string) queue.Recipient {
	_, domain, _ := strings.Cut(path, "@")
	return queue.Recipient{Path: path, Transport: "smtp", NextHop: domain}
}

// open creates a message to its recipients and writes body.
func (r *rig) open(o queue.CreateOptions, body string, to ...string) queue.Writer {
	r.Helper()
	w, err := r.q.Create(r.ctx(), envelope(to...), o)
	r.must(err)
	_, err = io.WriteString(w, body)
	r.must(err)
	return w
}

const text = "Subject: test\r\n\r\nHello.\r\n"

// commit accepts a message.
func (r *rig) commit(o queue.CreateOptions, to ...string) queue.Item {
	r.Helper()
	it, err := r.open(o, text, to...).Commit(r.ctx())
	r.must(err)
	return it
}

// incoming and unfiltered accept a message to b@example.net.
func (r *rig) incoming() queue.Item {
	r.Helper()
	return r.commit(queue.CreateOptions{}, "b@example.net")
}

func (r *rig) unfiltered() queue.Item {
	r.Helper()
	return r.commit(queue.CreateOptions{Chain: "in", Stage: "scan"}, "b@example.net")
}

var (
	forScan     = queue.ClaimSpec{From: queue.Unfiltered, Stage: "scan", Holder: "scanner", Max: 100, Lease: time.Minute}
	forDelivery = queue.ClaimSpec{From: queue.Incoming, Holder: "qmgr", Max: 100, Lease: time.Minute}
	forRetry    = queue.ClaimSpec{From: queue.Deferred, Holder: "qmgr", Max: 100, Lease: time.Minute}
)

func (r *rig) claim(s queue.ClaimSpec) []queue.Claim {
	r.Helper()
	claims, err := r.q.Claim(r.ctx(), s)
	r.must(err)
	return claims
}

// claimOne claims exactly one item.
func (r *rig) claimOne(s queue.ClaimSpec) queue.Claim {
	r.Helper()
	claims := r.claim(s)
	if len(claims) != 1 {
		r.Fatalf("claimed %d items, want 1", len(claims))
	}
	return claims[0]
}

// claimNone fails when there is something to claim.
func (r *rig) claimNone(s queue.ClaimSpec) {
	r.Helper()
	if claims := r.claim(s); len(claims) != 0 {
		r.Fatalf("claimed %s, want nothing", ids(items(claims)))
	}
}

// claimSoon claims one item, waiting for it if it has to be.
func (r *rig) claimSoon(s queue.ClaimSpec) queue.Claim {
	r.Helper()
	s.Wait = queue.MaxWait
	ctx, cancel := context.WithTimeout(r.ctx(), patience)
	defer cancel()
	claims, err := r.q.Claim(ctx, s)
	r.must(err)
	if len(claims) != 1 {
		r.Fatalf("claimed %d items, want 1", len(claims))
	}
	return claims[0]
}

// change applies ops under a token; operate by ID.
func (r *rig) change(t queue.Token, ops ...queue.Op) []queue.Item {
	r.Helper()
	out, err := r.q.Apply(r.ctx(), queue.Txn{Token: t, By: "filter:scan", Ops: ops})
	r.must(err)
	return out
}

func (r *rig) operate(id queue.ID, ops ...queue.Op) []queue.Item {
	r.Helper()
	out, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, By: "operator:ann", Ops: ops})
	r.must(err)
	return out
}

// tries returns the error of a change under a token.
func (r *rig) tries(t queue.Token, ops ...queue.Op) error {
	_, err := r.q.Apply(r.ctx(), queue.Txn{Token: t, Ops: ops})
	return err
}

func (r *rig) get(id queue.ID) queue.Item {
	r.Helper()
	it, err := r.q.Get(r.ctx(), id)
	r.must(err)
	return it
}

func (r *rig) history(id queue.ID) []queue.Item {
	r.Helper()
	parts, err := r.q.History(r.ctx(), id)
	r.must(err)
	return parts
}

// absent fails when the item can be got.
func (r *rig) absent(id queue.ID) {
	r.Helper()
	_, err := r.q.Get(r.ctx(), id)
	r.refused(err, queue.ErrNotFound)
}

func (r *rig) inState(id queue.ID, want queue.State) {
	r.Helper()
	if it := r.get(id); it.State != want {
		r.Fatalf("%s is in state %s, want %s", id, it.State, want)
	}
}

func (r *rig) list(f queue.Filter) []queue.Item {
	r.Helper()
	page, err := r.q.List(r.ctx(), f, "", queue.MaxPage)
	r.must(err)
	return page.Items
}

func (r *rig) stats() queue.Stats {
	r.Helper()
	st, err := r.q.Stats(r.ctx())
	r.must(err)
	return st
}

// read reads content to the end.
func (r *rig) read(s queue.OpenSpec) string {
	r.Helper()
	c, err := r.q.Open(r.ctx(), s)
	r.must(err)
	defer c.Close()
	size := c.Size()
	b, err := io.ReadAll(c)
	r.must(err)
	if int64(len(b)) != size {
		r.Fatalf("read %d octets, Size said %d", len(b), size)
	}
	return string(b)
}

func (r *rig) reads(s queue.OpenSpec, want string) {
	r.Helper()
	if got := r.read(s); got != want {
		r.Fatalf("read %d octets %.60q, want %d octets %.60q", len(got), got, len(want), want)
	}
}

// eventually polls for what a queue does in its own time.
func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-limit:
			r.Fatalf("did not come: %s", what)
		case <-tick.C:
		}
	}
}

// deferred makes an item that is Deferred and due.
func (r *rig) deferred() queue.Item {
	r.Helper()
	r.incoming()
	c := r.claimOne(forDelivery)
	return r.change(c.Token, queue.Attempt{}, queue.Move{To: queue.Deferred})[0]
}

// relayed are the ops of a delivery that succeeded for the first n recipients.
func relayed(n int) []queue.Op {
	var u []queue.RecipientUpdate
	for i := range n {
		u = append(u, queue.RecipientUpdate{Index: i, Status: queue.Relayed, Attempted: true, Reply: "250 2.0.0 ok", Remote: "mx.example.net"})
	}
	return []queue.Op{queue.Attempt{}, queue.UpdateRecipients{Updates: u}, queue.Finish{Disposition: queue.Done}}
}

// judge claims at the stage scan and lets the item go on to Incoming.
func (r *rig) judge(ops ...queue.Op) []queue.Item {
	r.Helper()
	c := r.claimOne(forScan)
	return r.change(c.Token, append(ops, queue.Move{To: queue.Incoming})...)
}

func items(claims []queue.Claim) []queue.Item {
	var out []queue.Item
	for _, c := range claims {
		out = append(out, c.Item)
	}
	return out
}

func ids(items []queue.Item) []queue.ID {
	var out []queue.ID
	for _, it := range items {
		out = append(out, it.ID)
	}
	return out
}

func paths(it queue.Item) []string {
	var out []string
	for _, r := range it.Envelope.Recipients {
		out = append(out, r.Path)
	}
	slices.Sort(out)
	return out
}

// octets makes n octets that look like anything but text.
func octets(n int) string {
	var b bytes.Buffer
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		b.WriteByte(byte(x >> 24))
	}
	return b.String()
}
