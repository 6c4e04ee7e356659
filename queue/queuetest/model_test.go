package queuetest

import (
	"context"
	"io"
	"testing"
	"time"

	"mtad/queue"
)

var _ queue.Queue = (*Model)(nil)

func TestModelTakesAMessageThroughFilterAndDelivery(t *testing.T) {
	ctx := context.Background()
	m := NewModel()
	w, err := m.Create(ctx, queue.Envelope{ReversePath: "a@example.org", Recipients: []queue.Recipient{
		{Path: "b@example.net", Transport: "smtp", NextHop: "example.net"},
		{Path: "c@example.com", Transport: "smtp", NextHop: "example.com"},
	}}, queue.CreateOptions{Chain: "in", Stage: "scan"})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "Subject: x\r\n\r\nbody\r\n")
	if _, err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	claims, err := m.Claim(ctx, queue.ClaimSpec{From: queue.Unfiltered, Stage: "scan", Max: 10, Lease: time.Minute})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	items, err := m.Apply(ctx, queue.Txn{Token: claims[0].Token, Ops: []queue.Op{
		queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("X: y\r\n")}, {FromCurrent: true, Length: -1}}},
		queue.Move{To: queue.Incoming},
	}})
	if err != nil || len(items) != 2 {
		t.Fatalf("items %v, %v", items, err)
	}
	claims, err = m.Claim(ctx, queue.ClaimSpec{From: queue.Incoming, Max: 10, Lease: time.Minute})
	if err != nil || len(claims) != 2 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	for _, c := range claims {
		if _, err := m.Apply(ctx, queue.Txn{Token: c.Token, Ops: []queue.Op{
			queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Status: queue.Relayed, Attempted: true}}},
			queue.Finish{},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := m.History(ctx, w.ID()); err != nil || len(h) != 2 || h[1].Outcome == nil {
		t.Fatalf("history %v, %v", h, err)
	}
}
