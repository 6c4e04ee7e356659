package filter

import (
	"context"
	"log/slog"
	"time"

	"mtad/queue"
)

// Bounds of one sweep of one filter; what is left comes next time.
const (
	sweepBatch = 100
	sweepPages = 10
	sweepLease = time.Minute
	// sweepRest keeps items that were looked at from being looked at again at once,
	// so that a long backlog is gone through. Nobody claims them meanwhile anyway.
	sweepRest = 5 * time.Second
)

// sweep looks for items whose pull filter failed them: nobody came, or a lease
// ran out. It claims like a scanner does, so that it never works on what a
// scanner holds, and it sees staged items too.
func (e *Engine) sweep(ctx context.Context) {
	now := e.now()
	lost := e.leases.expire(now)
	stats, err := e.q.Stats(ctx)
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "filter sweep", slog.String("error", err.Error()))
		return
	}
	e.gauge(stats, now)
	for name, def := range e.filters {
		if ctx.Err() != nil {
			return
		}
		for _, l := range lost[name] {
			e.parked(name, def, l.item, "its lease ran out")
		}
		if !hasWork(stats, name) {
			continue
		}
		absent := def.Pull() && e.absent(name, def, now)
		if absent && def.action(Unreachable) != Park || len(lost[name]) > 0 && def.minds() && !e.polled(name) {
			e.sweepStage(ctx, name, def, absent)
		}
		if stats.Held > 0 && def.actsOnPoison() {
			e.sweepPoison(ctx, name, def)
		}
	}
}

// hasWork says whether a filter's stage may hold something. Staged items need not
// be counted by stage.
func hasWork(s queue.Stats, filter string) bool {
	if s.Staged > 0 {
		return true
	}
	for _, st := range s.Stages {
		if st.Stage == filter && st.Messages > 0 {
			return true
		}
	}
	return false
}

// absent reports whether nobody has come to claim for the filter's Timeout.
func (e *Engine) absent(filter string, def Definition, now time.Time) (yes bool) {
	e.with(filter, func(s *state) { yes = s.polling == 0 && now.Sub(s.lastPoll) >= def.Timeout })
	return yes
}

// polled reports whether a scanner waits for work now: it is given what comes
// back, and Claim applies the rules to that.
func (e *Engine) polled(filter string) (yes bool) {
	e.with(filter, func(s *state) { yes = s.polling > 0 })
	return yes
}

// minds reports whether a lost lease leads to more than another try.
func (d Definition) minds() bool { return d.action(Timeout) != Park || d.action(Crash) != Park }

func (d Definition) actsOnPoison() bool {
	switch d.action(Crash) {
	case Reject, AcceptMarked:
		return true
	}
	return false
}

// sweepStage claims what waits for a filter and applies the failure rules.
func (e *Engine) sweepStage(ctx context.Context, filter string, def Definition, absent bool) {
	var rest []queue.Token
	for range sweepPages {
		claims, err := e.q.Claim(ctx, queue.ClaimSpec{
			From: queue.Unfiltered, Stage: filter, Holder: "mtad: failure rules", Max: sweepBatch, Lease: sweepLease,
		})
		if err != nil {
			e.log.LogAttrs(ctx, slog.LevelWarn, "filter sweep", slog.String("filter", filter), slog.String("error", err.Error()))
			break
		}
		for _, c := range claims {
			class, bad := def.triage(c.Item)
			if !bad && absent && def.givesUp(c.Item, e.now()) {
				class, bad = Unreachable, true
			}
			if bad {
				e.fail(ctx, filter, def, c, class, nil)
			} else {
				rest = append(rest, c.Token)
			}
		}
		if len(claims) < sweepBatch {
			break
		}
	}
	var delay time.Duration
	if absent {
		delay = sweepRest
	}
	for _, t := range rest {
		// An error leaves the lease to run out, which does the same.
		_ = e.q.Release(context.WithoutCancel(ctx), t, delay, false)
	}
}

// givesUp reports whether the rule for an unreachable filter applies to an item:
// at once when a client waits, and when it has waited as long as the filter was
// away otherwise, so that new mail still has the chance of its return.
func (d Definition) givesUp(it queue.Item, now time.Time) bool {
	return d.effective(Unreachable, it) != Park && (it.Staged || now.Sub(waitingSince(it)) >= d.Timeout)
}

// waitingSince is when an item began to wait for its filter: the newest of what
// happened to it, lost claims aside.
func waitingSince(it queue.Item) time.Time {
	since := it.Created
	later := func(t time.Time) {
		if t.After(since) {
			since = t
		}
	}
	later(it.NextAt)
	for _, v := range it.Verdicts {
		later(v.At)
	}
	for _, s := range it.Trail {
		if s.Kind != queue.EventClaimLost {
			later(s.At)
		}
	}
	return since
}

// sweepPoison applies the crash rule to items that the queue itself held for
// losing too many claims. One page at a time: those dealt with leave the list.
func (e *Engine) sweepPoison(ctx context.Context, filter string, def Definition) {
	held := true
	page, err := e.q.List(ctx, queue.Filter{States: []queue.State{queue.Unfiltered}, Stage: filter, Held: &held, Reason: "poison"}, "", sweepBatch)
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "filter sweep", slog.String("filter", filter), slog.String("error", err.Error()))
		return
	}
	for _, it := range page.Items {
		if err := e.settlePoison(ctx, filter, def, it.ID); err != nil {
			e.log.LogAttrs(ctx, slog.LevelError, "failure rule not carried out", slog.String("queue_id", string(it.ID)),
				slog.String("filter", filter), slog.String("class", string(Crash)), slog.String("error", err.Error()))
		}
	}
}

func (e *Engine) settlePoison(ctx context.Context, filter string, def Definition, id queue.ID) error {
	it, err := e.q.Get(ctx, id)
	if err != nil {
		return err
	}
	action := def.effective(Crash, it)
	p := e.planner(filter, def, it, "")
	if action == AcceptMarked {
		p.marked, p.meta = string(AcceptMarked), unscanned(it, filter)
	}
	ops, err := p.ops(ctx, failVerdict(filter, Crash, action))
	if err != nil {
		return err
	}
	e.count(filter, Crash, action, nil)
	_, err = e.q.Apply(ctx, queue.Txn{ID: it.ID, Rev: it.Rev, By: by(filter), Ops: append([]queue.Op{queue.ReleaseHold{}}, ops...)})
	return err
}

// gauge sets the metrics that follow the queue's counters.
func (e *Engine) gauge(s queue.Stats, now time.Time) {
	e.metrics.orphans.Reset()
	seen := make(map[string]bool)
	for _, st := range s.Stages {
		if _, ok := e.filters[st.Stage]; !ok {
			// The label of a chain that is gone comes from a door's configuration, or an
			// older one: few, but not ours. One label stands for all.
			e.metrics.orphans.WithLabelValues("unconfigured").Add(float64(st.Messages))
			continue
		}
		seen[st.Stage] = true
		e.metrics.depth.WithLabelValues(st.Stage).Set(float64(st.Messages))
		e.metrics.leased.WithLabelValues(st.Stage).Set(float64(st.Leased))
		e.metrics.oldest.WithLabelValues(st.Stage).Set(age(st.Oldest, now).Seconds())
	}
	for name := range e.filters {
		if !seen[name] {
			e.metrics.depth.WithLabelValues(name).Set(0)
			e.metrics.leased.WithLabelValues(name).Set(0)
			e.metrics.oldest.WithLabelValues(name).Set(0)
		}
		e.with(name, func(s *state) { e.metrics.breaker.WithLabelValues(name).Set(float64(s.breaker.mode)) })
	}
}

func age(oldest, now time.Time) time.Duration {
	if oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(oldest))
}
