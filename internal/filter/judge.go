package filter

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"

	"mtad/filterproto"
	"mtad/queue"
)

// Judge carries out a verdict on a claimed message, durably, and returns the
// items it left or made. It takes effect once under a token and nonce ("" is a
// nonce too), and answers the same when it is repeated within ten minutes.
//
// Errors: *VerdictError (nothing changed, the lease runs on), ErrNoFilter,
// queue.ErrLeaseLost, queue.ErrUncertain (repeat it), and other errors of the
// queue, which are transient.
func (e *Engine) Judge(ctx context.Context, filterName string, t queue.Token, nonce string, v filterproto.Verdict) ([]queue.Item, error) {
	def, ok := e.filters[filterName]
	if !ok {
		return nil, ErrNoFilter
	}
	if err := e.owns(filterName, t); err != nil {
		return nil, err
	}
	if err := Validate(v); err != nil {
		e.metrics.refused.WithLabelValues(filterName).Inc()
		return nil, err
	}
	j := judgement{e: e, filter: filterName, def: def, token: t, nonce: nonceOf(t, nonce), verdict: v}
	items, err := j.run(ctx)
	if err != nil {
		return nil, err
	}
	j.done(items)
	return items, nil
}

// judgement is one verdict under way.
type judgement struct {
	e       *Engine
	filter  string
	def     Definition
	token   queue.Token
	nonce   string
	verdict filterproto.Verdict
	marked  string            // see planner
	meta    map[string]string // see planner

	item queue.Item
}

func (j *judgement) run(ctx context.Context) ([]queue.Item, error) {
	l, known := j.e.leases.get(j.token)
	if known {
		j.item = l.item
	} else if again, err := j.look(ctx); err != nil || again != nil {
		return again, err
	}
	items, err := j.apply(ctx)
	if errors.Is(err, queue.ErrConflict) && j.item.Staged {
		// The client stopped waiting and the message was committed meanwhile.
		if again, err := j.look(ctx); err != nil || again != nil {
			return again, err
		}
		items, err = j.apply(ctx)
	}
	if errors.Is(err, queue.ErrLeaseLost) {
		return j.replay(ctx)
	}
	return items, err
}

// look reads the item as it is now. When the lease has ended because of this very
// verdict, it returns the first answer instead.
func (j *judgement) look(ctx context.Context) ([]queue.Item, error) {
	items, err := j.e.q.Apply(ctx, queue.Txn{Token: j.token, By: by(j.filter)})
	if errors.Is(err, queue.ErrLeaseLost) {
		return j.replay(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(items) == 0 || items[0].State != queue.Unfiltered || items[0].Stage != j.filter {
		return nil, queue.ErrLeaseLost
	}
	j.item = items[0]
	return nil, nil
}

// replay asks for the answer to a verdict that was made. Its Txn is empty: were
// the nonce unknown after all, nothing would happen.
func (j *judgement) replay(ctx context.Context) ([]queue.Item, error) {
	return j.e.q.Apply(ctx, queue.Txn{Token: j.token, Nonce: j.nonce, By: by(j.filter)})
}

func (j *judgement) apply(ctx context.Context) ([]queue.Item, error) {
	p := j.e.planner(j.filter, j.def, j.item, j.token)
	p.marked, p.meta = j.marked, j.meta
	ops, err := p.ops(ctx, j.verdict)
	if err != nil {
		return nil, err
	}
	items, err := j.e.q.Apply(ctx, queue.Txn{Token: j.token, Nonce: j.nonce, By: by(j.filter), Ops: ops})
	if errors.Is(err, queue.ErrInvalid) && uploads(j.verdict) {
		return nil, &VerdictError{Code: CodeUpload, Field: "edits", Detail: "no such upload under this lease"}
	}
	return items, err
}

func (j *judgement) done(items []queue.Item) {
	e := j.e
	disposition := string(j.verdict.Disposition)
	if j.item.ID == "" {
		return // a repeat
	}
	if l, ok := e.leases.get(j.token); ok {
		e.metrics.latency.WithLabelValues(j.filter).Observe(e.now().Sub(l.taken).Seconds())
	}
	e.leases.drop(j.token)
	e.metrics.verdicts.WithLabelValues(j.filter, disposition).Inc()
	e.with(j.filter, func(s *state) { s.verdicts[disposition]++ })
	e.log.LogAttrs(context.Background(), slog.LevelInfo, "verdict",
		slog.String("queue_id", string(j.item.ID)), slog.String("filter", j.filter),
		slog.String("disposition", disposition), slog.Bool("staged", j.item.Staged),
		slog.Bool("quarantine", j.verdict.Quarantine != nil), slog.Float64("score", j.verdict.Score),
		slog.Int("edits", len(j.verdict.Edits)), slog.Int("parts", len(items)),
		slog.String("reason", j.verdict.Reason))
}

// uploads reports whether a verdict names an upload.
func uploads(v filterproto.Verdict) bool {
	for _, e := range v.Edits {
		if e.Upload != "" {
			return true
		}
	}
	for _, r := range v.Recipients {
		if uploads(r.Verdict) {
			return true
		}
	}
	return false
}

// nonceOf makes the queue's nonce: one of a scanner's choice alone could meet
// another message's.
func nonceOf(t queue.Token, nonce string) string {
	h := sha256.Sum256([]byte(string(t) + "\x00" + nonce))
	return base64.RawURLEncoding.EncodeToString(h[:])
}
