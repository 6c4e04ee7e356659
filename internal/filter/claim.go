package filter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mtad/queue"
)

// ErrNoFilter: no filter of that name is configured, or it is not of the pull
// kind where that is asked for.
var ErrNoFilter = errors.New("filter: no such filter")

// ClaimRequest asks for work for a pull filter. Zero values take the filter's
// defaults; values outside its bounds are cut to them.
type ClaimRequest struct {
	Filter   string
	Holder   string // for people; at most 200 octets are kept
	Max      int
	MaxBytes int64
	Lease    time.Duration
	Wait     time.Duration
}

const maxHolder = 200

// Claim leases messages that wait for a pull filter. It waits up to Wait for the
// first. Messages that the filter is not to see (too large, or lost before where
// the configuration does not offer them again) are dealt with on the way.
func (e *Engine) Claim(ctx context.Context, r ClaimRequest) ([]queue.Claim, error) {
	def, ok := e.filters[r.Filter]
	if !ok || !def.Pull() {
		return nil, ErrNoFilter
	}
	spec := def.spec(r)
	e.with(r.Filter, func(s *state) { s.polling++ })
	defer e.with(r.Filter, func(s *state) { s.polling--; s.lastPoll = e.now() })
	end := time.Now().Add(spec.Wait)
	for {
		claims, err := e.take(ctx, r.Filter, def, spec)
		if err != nil || len(claims) > 0 {
			return claims, err
		}
		spec.Wait = time.Until(end)
		if spec.Wait <= 0 || ctx.Err() != nil {
			return nil, nil
		}
	}
}

func (d Definition) spec(r ClaimRequest) queue.ClaimSpec {
	if r.Max <= 0 || r.Max > d.MaxBatch {
		r.Max = d.MaxBatch
	}
	if r.Lease <= 0 {
		r.Lease = d.DefaultLease
	}
	if len(r.Holder) > maxHolder {
		r.Holder = r.Holder[:maxHolder]
	}
	return queue.ClaimSpec{
		From: queue.Unfiltered, Stage: r.Filter, Holder: r.Holder,
		Max: r.Max, MaxBytes: max(0, r.MaxBytes),
		Lease: min(max(r.Lease, d.MinLease), d.MaxLease),
		Wait:  min(max(r.Wait, 0), d.MaxWait),
	}
}

// take makes one claim on the queue and keeps what the filter may see.
func (e *Engine) take(ctx context.Context, filter string, def Definition, spec queue.ClaimSpec) ([]queue.Claim, error) {
	claims, err := e.q.Claim(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("filter: claim for %s: %w", filter, err)
	}
	kept := claims[:0]
	now := e.now()
	for _, c := range claims {
		if class, bad := def.triage(c.Item); bad {
			e.fail(ctx, filter, def, c, class, nil)
			continue
		}
		e.leases.put(c.Token, lease{filter: filter, item: c.Item, taken: now, until: now.Add(c.For)})
		kept = append(kept, c)
	}
	e.metrics.claims.WithLabelValues(filter).Add(float64(len(kept)))
	return kept, nil
}

// triage finds the failure class of an item that is not to be offered.
func (d Definition) triage(it queue.Item) (Class, bool) {
	switch {
	case d.MaxSize > 0 && it.Size() > d.MaxSize:
		return OverSize, true
	case it.LostClaims >= d.MaxClaims && d.effective(Crash, it) != Park:
		return Crash, true
	case it.LostClaims > 0 && d.effective(Timeout, it) != Park:
		return Timeout, true
	}
	return "", false
}

// effective is the action for an item: tempfail means nothing once the client is
// gone, and quarantine nothing where somebody released the message from it.
func (d Definition) effective(c Class, it queue.Item) Action {
	a := d.action(c)
	if a == Tempfail && !waitsAlone(it) {
		return Park
	}
	if a == Quarantine && releasedOnce(it) {
		return Park
	}
	return a
}

func waitsAlone(it queue.Item) bool { return it.Staged && it.Meta[metaSplit] == "" }

// owns refuses a token that was handed to another filter: to this one it is as
// good as forged.
func (e *Engine) owns(filter string, t queue.Token) error {
	if _, ok := e.filters[filter]; !ok {
		return ErrNoFilter
	}
	if l, ok := e.leases.get(t); ok && l.filter != filter {
		return queue.ErrLeaseLost
	}
	return nil
}

// Extend renews leases of a filter to run d from now, within its bounds; errs[i]
// belongs to tokens[i], nil is success.
func (e *Engine) Extend(ctx context.Context, filter string, tokens []queue.Token, d time.Duration) (errs []error) {
	def := e.filters[filter]
	if d <= 0 {
		d = def.DefaultLease
	}
	d = min(max(d, def.MinLease), def.MaxLease)
	errs = make([]error, len(tokens))
	var good []queue.Token
	var at []int
	for i, t := range tokens {
		if errs[i] = e.owns(filter, t); errs[i] == nil {
			good, at = append(good, t), append(at, i)
		}
	}
	if len(good) == 0 {
		return errs
	}
	now := e.now()
	for i, err := range e.q.Extend(ctx, good, d) {
		errs[at[i]] = err
		if err == nil {
			e.leases.extend(good[i], now.Add(d))
		}
	}
	return errs
}

// Release gives a message back unjudged; it is not offered for delay. With lost it
// counts towards MaxClaims: the scanner knows that it broke on this message.
func (e *Engine) Release(ctx context.Context, filter string, t queue.Token, delay time.Duration, lost bool) error {
	if err := e.owns(filter, t); err != nil {
		return err
	}
	if err := e.q.Release(ctx, t, max(0, delay), lost); err != nil {
		return err
	}
	if l, ok := e.leases.get(t); ok && lost {
		e.parked(filter, e.filters[filter], l.item, "the scanner gave it back as lost")
	}
	e.leases.drop(t)
	return nil
}

// Open reads a claimed message. generation -1 is the current one.
func (e *Engine) Open(ctx context.Context, filter string, t queue.Token, generation int, trace bool, offset int64) (queue.Content, error) {
	if err := e.owns(filter, t); err != nil {
		return nil, err
	}
	return e.q.Open(ctx, queue.OpenSpec{Token: t, Generation: generation, Trace: trace, Offset: offset})
}

// Upload opens a blob under a claim; UploadName of what Seal returns is for
// Edit.Upload.
func (e *Engine) Upload(ctx context.Context, filter string, t queue.Token) (queue.BlobWriter, error) {
	if err := e.owns(filter, t); err != nil {
		return nil, err
	}
	return e.q.Upload(ctx, t)
}
