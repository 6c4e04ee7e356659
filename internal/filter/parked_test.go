package filter

import (
	"context"
	"strings"
	"testing"
	"time"
)

// Where the rule is to wait, the message is offered again; that its lease was lost
// shows all the same, once for each.
func TestALostLeaseShowsWhereTheMessageWaitsOn(t *testing.T) {
	r := newRig(t, oneFilter(Definition{}))
	id := r.commit("Subject: x\r\n\r\n")
	c := r.claim("f")
	if err := r.e.Release(context.Background(), "f", c.Token, 0, true); err != nil {
		t.Fatal(err)
	}
	c = r.claim("f")
	r.clock.Advance(c.For + time.Second)
	r.e.sweep(context.Background())
	r.e.sweep(context.Background())
	st, err := r.e.Status(context.Background())
	if err != nil || st[0].Failures["timeout"] != 2 || !strings.Contains(st[0].LastError, string(id)) {
		t.Errorf("%v %+v, want two timeouts, the last one of %s", err, st, id)
	}
	if got := r.get(id); got.LostClaims != 2 {
		t.Errorf("%d claims are lost by the queue's count", got.LostClaims)
	}
}
