package filterproto

import (
	"context"
	"time"
)

// renew keeps the leases of all tasks alive.
func (r *runner) renew(ctx context.Context) {
	tick := time.NewTicker(min(max(r.o.Lease/12, 10*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if tokens := r.due(time.Now()); len(tokens) > 0 {
			r.renewed(ctx, tokens)
		}
	}
}

// due are the tokens whose lease is past its first third. A task whose lease has
// run out is told so.
func (r *runner) due(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var tokens []string
	for token, t := range r.leases {
		left := t.until.Sub(now)
		switch {
		case left <= 0:
			t.cancel()
		case left < t.lease*2/3 && len(tokens) < MaxBatch:
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func (r *runner) renewed(ctx context.Context, tokens []string) {
	asked := time.Now() // the lease runs from some time after this
	results, err := r.o.Client.Renew(ctx, tokens, r.o.Lease)
	if err != nil {
		r.log.Warn("renew", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, res := range results {
		t := r.leases[tokens[i]]
		switch {
		case t == nil:
		case res.OK:
			t.until = asked.Add(min(t.lease, r.o.Lease))
		case res.Error != nil && res.Error.Code == CodeLeaseLost:
			t.cancel()
		}
	}
}
