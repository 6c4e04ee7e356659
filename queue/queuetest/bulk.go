package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

// job is a bulk change; left are the items it has still to do.
type job struct {
	status queue.JobStatus
	left   []queue.ID
}

var actions = []queue.ActionKind{
	queue.ActionFlush, queue.ActionRequeue, queue.ActionHold, queue.ActionRelease, queue.ActionDelete, queue.ActionBounce,
	queue.ActionRedirect,
}

// Bulk starts a change of everything that matches now.
func (m *Model) Bulk(ctx context.Context, f queue.Filter, a queue.Action) (queue.JobID, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return "", err
	}
	if !slices.Contains(actions, a.Kind) {
		return "", fmt.Errorf("%w: action %q", queue.ErrInvalid, a.Kind)
	}
	if a.Kind == queue.ActionRedirect && (a.Redirect == nil || a.Redirect.To.Path == "") {
		return "", fmt.Errorf("%w: a redirect names a recipient", queue.ErrInvalid)
	}
	if len(a.Reason) > queue.MaxText {
		return "", fmt.Errorf("%w: reason", queue.ErrTooLarge)
	}
	m.durable(false)
	m.state.jobN++
	id := queue.JobID(fmt.Sprintf("job-%d", m.state.jobN))
	j := &job{status: queue.JobStatus{ID: id, Action: a, Started: now}}
	for _, it := range m.matching(f) {
		j.left = append(j.left, it.ID)
	}
	j.status.Matched = int64(len(j.left))
	m.state.jobs[id] = j
	return id, nil
}

// Job reports on a job.
func (m *Model) Job(ctx context.Context, id queue.JobID) (queue.JobStatus, error) {
	now, err := m.enter()
	defer m.leave()
	if err != nil {
		return queue.JobStatus{}, err
	}
	m.runJobs(now)
	j := m.state.jobs[id]
	if j == nil {
		return queue.JobStatus{}, queue.ErrNotFound
	}
	return j.status, nil
}

// runJobs does what can be done now; items that are leased stay for later.
func (m *Model) runJobs(now time.Time) {
	for n := 1; n <= m.state.jobN; n++ {
		j := m.state.jobs[queue.JobID(fmt.Sprintf("job-%d", n))]
		if j == nil || !j.status.Finished.IsZero() {
			continue
		}
		var left []queue.ID
		for _, id := range j.left {
			if !m.runJob(j, id, now) {
				left = append(left, id)
			}
		}
		j.left = left
		if len(left) == 0 {
			j.status.Finished = now
		}
	}
}

// runJob does one item and says whether that is settled.
func (m *Model) runJob(j *job, id queue.ID, now time.Time) bool {
	it, a := m.state.items[id], j.status.Action
	if it == nil {
		return true // finished by somebody else meanwhile
	}
	if it.lease != nil && !a.Force {
		return false
	}
	ops, err := actionOps(it, a, now), error(nil)
	if a.Kind == queue.ActionRedirect {
		seen := it.view()
		ops, err = a.Redirect.Ops(&seen, a.By)
	}
	if err == nil {
		_, err = m.apply(queue.Txn{ID: id, Force: a.Force, By: a.By, Ops: ops}, now)
	}
	switch {
	case errors.Is(err, queue.ErrNotFound):
	case err != nil:
		j.status.Failed++
		j.status.LastFail = err.Error()
	default:
		j.status.Changed++
	}
	return true
}

// actionOps is what an action does to one item.
func actionOps(it *item, a queue.Action, now time.Time) []queue.Op {
	switch a.Kind {
	case queue.ActionFlush:
		return []queue.Op{queue.SetNextAt{}}
	case queue.ActionHold:
		return []queue.Op{queue.SetHold{Hold: queue.Hold{By: a.By, Reason: a.Reason, Since: now, Until: a.Until}}}
	case queue.ActionRelease:
		return []queue.Op{queue.ReleaseHold{}}
	case queue.ActionDelete:
		return []queue.Op{queue.Finish{Disposition: queue.Deleted, Reply: a.Reason}}
	case queue.ActionBounce:
		return []queue.Op{queue.ReleaseHold{}, queue.FailPending{Reply: a.Reason}}
	}
	return requeueOps(it, a)
}

// requeueOps lets a held item go: what goes through the queue again has to be
// claimable.
func requeueOps(it *item, a queue.Action) []queue.Op {
	ops := []queue.Op{queue.ReleaseHold{}}
	switch stage := a.Stages[it.Chain]; {
	case stage != "":
		return append(ops, queue.Move{To: queue.Unfiltered, Stage: stage})
	case it.State == queue.Incoming && it.lease == nil:
		return append(ops, queue.SetNextAt{})
	}
	return append(ops, queue.Move{To: queue.Incoming})
}
