package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"mtad/queue"
)

// job is a bulk change under way or done. It is written with every batch of its
// changes, and so goes on after a restart where it was.
type job struct {
	Status queue.JobStatus
	Filter queue.Filter
	Newest uint64   // message that was the newest when it began
	At     []byte   // key of the last item looked at
	Left   [][]byte // keys of items that were leased
	Walked bool     // every item was looked at once
}

const jobBatch = 500

// jobTable has the jobs of the last day. It is guarded by Engine.mu.
type jobTable struct {
	all   map[queue.JobID]*job
	ended chan struct{} // closed when a lease ended
	wants int           // jobs that wait for that
}

func (t *jobTable) init() {
	t.all = map[queue.JobID]*job{}
	t.ended = make(chan struct{})
}

// leaseEnded tells jobs that wait for leased items. mu is held.
func (t *jobTable) leaseEnded() {
	if t.wants > 0 {
		close(t.ended)
		t.ended = make(chan struct{})
	}
}

func jobKey(id queue.JobID) []byte { return append([]byte{kJob}, id...) }

func (j *job) encode() []byte {
	b, err := json.Marshal(j)
	if err != nil { // strings, numbers and times only
		panic("engine: job cannot be encoded: " + err.Error())
	}
	return seal(append(make([]byte, recordHeader), b...))
}

func decodeJob(b []byte) (*job, error) {
	body, err := unseal(b)
	if err != nil {
		return nil, err
	}
	j := &job{}
	return j, json.Unmarshal(body, j)
}

// Bulk implements queue.Queue.
func (e *Engine) Bulk(ctx context.Context, f queue.Filter, a queue.Action) (queue.JobID, error) {
	if err := checkAction(&a); err != nil {
		return "", err
	}
	f.IDs, f.States = slices.Clone(f.IDs), slices.Clone(f.States)
	l, err := e.listing(f)
	if err != nil {
		return "", err
	}
	j := &job{Filter: f, Status: queue.JobStatus{ID: queue.JobID(rand.Text()), Action: a, Started: l.asOf}}
	err = e.do(ctx, false, func(o *op) error {
		j.Newest = e.tot.newest
		o.puts = append(o.puts, put{jobKey(j.Status.ID), j.encode()})
		o.sync = true
		o.after = append(o.after, func() { e.jobs.all[j.Status.ID] = j })
		return nil
	})
	if err != nil {
		l.close()
		return "", err
	}
	id := j.Status.ID // the job is the goroutine's from here on
	e.work.Go(func() { e.runJob(j, l) })
	return id, nil
}

func checkAction(a *queue.Action) error {
	switch a.Kind {
	case queue.ActionFlush, queue.ActionRequeue, queue.ActionHold, queue.ActionRelease, queue.ActionDelete, queue.ActionBounce:
	case queue.ActionRedirect:
		if a.Redirect == nil {
			return fmt.Errorf("%w: a redirect names a recipient", queue.ErrInvalid)
		}
		if err := checkRecipient(&a.Redirect.To); err != nil {
			return err
		}
		if len(a.Redirect.ReversePath) > maxPath {
			return tooLarge("reverse-path", maxPath)
		}
	default:
		return fmt.Errorf("%w: action %q", queue.ErrInvalid, a.Kind)
	}
	if len(a.Reason) > queue.MaxText || len(a.By) > queue.MaxText {
		return tooLarge("reason", queue.MaxText)
	}
	if len(a.Stages) > 1000 {
		return tooLarge("stages", 1000)
	}
	for c, s := range a.Stages {
		if len(c) > maxName || len(s) > maxName {
			return tooLarge("stage or chain", maxName)
		}
	}
	return nil
}

// Job implements queue.Queue.
func (e *Engine) Job(_ context.Context, id queue.JobID) (queue.JobStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return queue.JobStatus{}, err
	}
	j := e.jobs.all[id]
	if j == nil {
		return queue.JobStatus{}, queue.ErrNotFound
	}
	return j.Status, nil
}

// loadJobs reads the jobs at start and goes on with those that were under way.
// mu is held.
func (e *Engine) loadJobs() error {
	first := len(e.jobs.all) == 0
	it, err := e.log.Range([]byte{kJob}, []byte{kJob + 1})
	if err != nil {
		return unavailable("read jobs", err)
	}
	defer it.Close()
	for it.Next() {
		j, err := decodeJob(it.Value())
		if err != nil {
			e.slog.Error("job cannot be read", "error", err)
			continue
		}
		if e.jobs.all[j.Status.ID] == nil {
			e.jobs.all[j.Status.ID] = j
			if first && j.Status.Finished.IsZero() {
				e.work.Go(func() { e.runJob(j, nil) })
			}
		}
	}
	return unavailable("read jobs", it.Err())
}

// runJob walks over what matches and changes it, batch by batch; then it waits
// for what was leased.
func (e *Engine) runJob(j *job, l *listing) {
	for {
		err := e.workOn(j, l)
		if l != nil {
			l.close()
			l = nil
		}
		switch {
		case err == nil || errors.Is(err, queue.ErrNotFound):
			return
		case e.ctx.Err() != nil:
			return
		}
		e.slog.Warn("job interrupted", "job", j.Status.ID, "error", err)
		if !e.pause(100 * time.Millisecond) {
			return
		}
	}
}

func (e *Engine) workOn(j *job, l *listing) error {
	if !j.Walked {
		if err := e.walkJob(j, l); err != nil {
			return err
		}
	}
	for len(j.Left) > 0 {
		e.mu.Lock()
		ended := e.jobs.ended
		e.jobs.wants++
		e.mu.Unlock()
		err := e.jobStep(j, leftKeys(j), true)
		if err == nil && len(j.Left) > 0 {
			err = e.awaitLease(ended)
		}
		e.mu.Lock()
		e.jobs.wants--
		e.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return e.endJob(j)
}

func leftKeys(j *job) []key {
	var ks []key
	for _, b := range j.Left[:min(len(j.Left), jobBatch)] {
		ks = append(ks, tailKey(b))
	}
	return ks
}

func (e *Engine) awaitLease(ended chan struct{}) error {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	case <-e.ctx.Done():
		return queue.ErrUnavailable
	}
	return nil
}

// walkJob looks at every item that matches once.
func (e *Engine) walkJob(j *job, l *listing) error {
	if l == nil {
		var err error
		if l, err = e.listing(j.Filter); err != nil {
			return err
		}
		defer l.close()
	}
	for {
		var ks []key
		var last key
		more, err := e.walk(e.ctx, l, tailKey(j.At), func(k key, r *rec) bool {
			last = k
			if r != nil && k.msg <= j.Newest {
				ks = append(ks, k)
			}
			return len(ks) < jobBatch
		})
		if err != nil {
			return err
		}
		at := j.At
		if last != (key{}) {
			at = appendKey(nil, last)
		}
		err = e.do(e.ctx, false, func(o *op) error {
			c := j.copy()
			e.changeAll(o, c, ks, false)
			c.At, c.Walked = at, !more
			o.keepJob(j, c)
			return nil
		})
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// jobStep tries items that were leased.
func (e *Engine) jobStep(j *job, ks []key, again bool) error {
	return e.do(e.ctx, false, func(o *op) error {
		c := j.copy()
		e.changeAll(o, c, ks, again)
		o.keepJob(j, c)
		return nil
	})
}

// changeAll makes the job's change to each item; those that are leased stay for
// later. It runs on the commit loop, as one batch.
func (e *Engine) changeAll(o *op, j *job, ks []key, again bool) {
	if again {
		j.Left = j.Left[len(ks):]
	} else {
		j.Status.Matched += int64(len(ks))
	}
	o.sync = true
	for _, k := range ks {
		if e.leases.byKey[k] != nil && !j.Status.Action.Force {
			j.Left = append(j.Left, appendKey(nil, k))
			continue
		}
		sub := op{b: o.b}
		err := e.changeOne(&sub, j, k)
		switch {
		case err == nil:
			o.b.merge(&sub)
			j.Status.Changed++
		case errors.Is(err, queue.ErrNotFound):
		default:
			j.Status.Failed++
			j.Status.LastFail = string(k.id()) + ": " + err.Error()
		}
	}
}

func (e *Engine) changeOne(o *op, j *job, k key) error {
	r, err := o.load(k)
	if err != nil {
		return err
	}
	a := &j.Status.Action
	ops := actionOps(r, e.leases.byKey[k] != nil, a)
	if a.Kind == queue.ActionRedirect {
		it := r.Item
		it.State = e.stateOf(r, e.leases.byKey[k])
		if ops, err = a.Redirect.Ops(&it, a.By); err != nil {
			return err
		}
	}
	t := txn{e: e, o: o, x: &queue.Txn{ID: k.id(), Force: a.Force, By: a.By, Ops: ops}}
	return t.run()
}

// actionOps is what an action does to one item.
func actionOps(r *rec, leased bool, a *queue.Action) []queue.Op {
	switch a.Kind {
	case queue.ActionFlush:
		return []queue.Op{queue.SetNextAt{}}
	case queue.ActionHold:
		return []queue.Op{queue.SetHold{Hold: queue.Hold{By: a.By, Reason: a.Reason, Until: a.Until}}}
	case queue.ActionRelease:
		return []queue.Op{queue.ReleaseHold{}}
	case queue.ActionDelete:
		return []queue.Op{queue.Finish{Disposition: queue.Deleted, Reply: a.Reason}}
	case queue.ActionBounce:
		ops := []queue.Op{queue.ReleaseHold{}, queue.FailPending{Reply: a.Reason}}
		if r.State == queue.Unfiltered {
			ops = append(ops, queue.Move{To: queue.Incoming})
		}
		return ops
	}
	// A requeued item has to be claimable: a hold ends.
	ops := []queue.Op{queue.ReleaseHold{}}
	switch stage := a.Stages[r.Chain]; {
	case stage != "":
		return append(ops, queue.Move{To: queue.Unfiltered, Stage: stage})
	case r.State == queue.Incoming && !leased:
		return append(ops, queue.SetNextAt{})
	}
	return append(ops, queue.Move{To: queue.Incoming})
}

// copy is a job to change; it becomes the job when it is durable.
func (j *job) copy() *job {
	c := *j
	c.Left = slices.Clone(j.Left)
	return &c
}

func (o *op) keepJob(j, c *job) {
	o.puts = append(o.puts, put{jobKey(c.Status.ID), c.encode()})
	o.after = append(o.after, func() { *j = *c })
}

// endJob writes that the job is done.
func (e *Engine) endJob(j *job) error {
	return e.do(e.ctx, false, func(o *op) error {
		c := j.copy()
		c.Status.Finished = o.b.now
		o.keepJob(j, c)
		o.sync = true
		return nil
	})
}
