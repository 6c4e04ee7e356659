package qmgr

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"mtad/internal/dsn"
	"mtad/queue"
)

// report tells of final recipients that nobody was told of, and notes that. What
// cannot be reported now stays unreported: the item does not finish before.
func (m *Manager) report(ctx context.Context, j *job) {
	failed, success := j.led.unreported()
	m.reportKind(ctx, j, dsn.Failed, failed, j.led.reported)
	m.reportKind(ctx, j, dsn.Success, success, j.led.reported)
}

func (m *Manager) reportKind(ctx context.Context, j *job, k dsn.Kind, is []int, note func([]int)) {
	if len(is) == 0 {
		return
	}
	if m.o.Report != nil && !j.Item.Sandbox() {
		if err := m.tell(ctx, j.Item, k, is); err != nil {
			m.log.Warn("report not made", "queue_id", j.Item.ID, "kind", k.String(), "error", err)
			return
		}
	}
	note(is)
}

// tell calls Options.Report. A panic of it is an error like others: one message
// must not end the delivery of all.
func (m *Manager) tell(ctx context.Context, it queue.Item, k dsn.Kind, is []int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.log.Error("report panicked", "queue_id", it.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	it.Expires = m.policy.expires(&it)
	return m.o.Report(ctx, it, k, is)
}

// settle writes what became of an item and ends the lease. What is pending is
// due again at retry, or after the back-off when that is zero.
func (m *Manager) settle(ctx context.Context, j *job, retry time.Time) {
	now := time.Now()
	j.led.expire(&m.policy, now)
	if failed, success := j.led.unreported(); len(failed)+len(success) > 0 {
		if ops := j.led.ops(); ops != nil && !m.apply(ctx, j, ops) {
			return
		}
		m.report(ctx, j)
	}
	m.reportKind(ctx, j, dsn.Delayed, j.led.late(&m.policy, now), j.led.delaySent)
	if at, finished := j.led.ending(&m.policy, retry, now, m.o.Rand()); finished {
		m.finish(ctx, j, now)
	} else {
		m.deferTo(ctx, j, at)
	}
}

func (m *Manager) deferTo(ctx context.Context, j *job, at time.Time) {
	if m.apply(ctx, j, append(j.led.ops(), queue.Move{To: queue.Deferred, NextAt: at})) {
		m.log.Info("deferred", "queue_id", j.Item.ID, "next_hop", j.at.nextHop, "until", at,
			"attempts", j.led.attempts(), "reply", j.led.lastReply())
	}
}

func (m *Manager) finish(ctx context.Context, j *job, now time.Time) {
	reply := j.led.summary()
	if !m.apply(ctx, j, append(j.led.ops(), queue.Finish{Disposition: queue.Done, Reply: oneLine(reply)})) {
		return
	}
	delivered, failed := j.led.counts()
	msg := "finished"
	if failed > 0 {
		msg = "bounced"
	}
	m.log.Info(msg, "queue_id", j.Item.ID, "next_hop", j.at.nextHop, "delivered", delivered, "failed", failed,
		"age", now.Sub(j.Item.Created), "reply", reply)
}

// apply writes a change under the job's lease, again and again while the store
// cannot answer: what happened has happened. It says whether the change was
// made; a lost lease ends the job without a word of its own, since whoever holds
// or ended it has the last one.
func (m *Manager) apply(ctx context.Context, j *job, ops []queue.Op) bool {
	for rest := firstRest; ; rest = min(2*rest, lastRest) {
		_, err := m.o.Queue.Apply(ctx, queue.Txn{Token: j.Token, By: m.o.Holder, Ops: ops})
		switch {
		case err == nil:
			return true
		case gone(err):
			m.met.refused.Inc()
			m.log.Warn("result refused", "queue_id", j.Item.ID, "error", err)
			return false
		case errors.Is(err, queue.ErrInvalid), errors.Is(err, queue.ErrTooLarge), errors.Is(err, queue.ErrCorrupt):
			m.log.Error("result not kept", "queue_id", j.Item.ID, "error", err)
			m.lastResort(ctx, j)
			return false
		}
		if rest == firstRest {
			m.log.Warn("result not written yet", "queue_id", j.Item.ID, "error", err)
		}
		if ended(ctx.Done(), rest) {
			return false
		}
	}
}

// lastResort defers an item whose results the queue does not take, so that it
// is not tried in a loop.
func (m *Manager) lastResort(ctx context.Context, j *job) {
	now := time.Now()
	at := now.Add(m.policy.backoff(j.Item.Attempts+1, m.o.Rand()))
	_, err := m.o.Queue.Apply(ctx, queue.Txn{Token: j.Token, By: m.o.Holder, Ops: []queue.Op{
		queue.Attempt{}, queue.Move{To: queue.Deferred, NextAt: at},
	}})
	if err != nil {
		_ = m.o.Queue.Release(ctx, j.Token, m.o.MinBackoff, true)
	}
}
