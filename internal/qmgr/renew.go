package qmgr

import (
	"context"
	"errors"
	"time"

	"mtad/queue"
)

// renewer extends leases at a third of their time, until ctx ends. A job whose
// lease is lost is not begun any more, and is cancelled when it runs.
func (m *Manager) renewer(ctx context.Context) {
	every := m.o.Lease / 12
	t := time.NewTicker(max(every, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			m.renew(ctx, now)
		}
	}
}

func (m *Manager) renew(ctx context.Context, now time.Time) {
	m.mu.Lock()
	m.core.sweep(now)
	var due []*job
	for j := range m.live {
		if !j.lost && !now.Before(j.renewAt) {
			due = append(due, j)
		}
	}
	m.mu.Unlock()
	for len(due) > 0 {
		n := min(len(due), queue.MaxClaim)
		m.extend(ctx, due[:n])
		due = due[n:]
	}
}

func (m *Manager) extend(ctx context.Context, jobs []*job) {
	tokens := make([]queue.Token, len(jobs))
	for i, j := range jobs {
		tokens[i] = j.Token
	}
	now := time.Now()
	errs := m.o.Queue.Extend(ctx, tokens, m.o.Lease)
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed int
	var err error
	for i, j := range jobs {
		switch {
		case i >= len(errs) || errs[i] == nil:
			j.renewAt = now.Add(m.o.Lease / 3)
		case errors.Is(errs[i], queue.ErrLeaseLost):
			m.lose(j)
		default: // the store cannot answer: asked again with the next tick
			failed, err = failed+1, errs[i]
		}
	}
	if failed > 0 {
		m.log.Warn("leases not renewed", "items", failed, "error", err)
	}
}

// lose gives a job up. One that has ended meanwhile is not in live any more.
func (m *Manager) lose(j *job) {
	if _, ok := m.live[j]; !ok {
		return
	}
	j.lost = true
	if j.cancel != nil {
		j.cancel()
	}
	m.log.Warn("lease lost", "queue_id", j.Item.ID)
}
