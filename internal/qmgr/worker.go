package qmgr

import (
	"context"
	"time"

	"mtad/internal/smtp"
	"mtad/queue"
)

// worker takes jobs until the manager stops.
func (m *Manager) worker(tries, store context.Context) {
	var last *destination
	m.mu.Lock()
	defer m.mu.Unlock()
	for !m.stopping {
		j, putOff := m.core.next(last, time.Now())
		if j == nil {
			last = nil
			m.idle++
			m.wake.Wait()
			m.idle--
			continue
		}
		m.callAnother()
		last = j.dest
		news := m.runJob(tries, store, j, putOff)
		delete(m.live, j)
		opened := m.core.done(j, news.signal, news.reply, news.remote, time.Now())
		m.callAnother()
		m.tellClaimers(opened)
	}
}

// callAnother wakes one more worker when there is work for it.
func (m *Manager) callAnother() {
	if m.idle > 0 && m.core.more() {
		m.wake.Signal()
	}
}

func (m *Manager) tellClaimers(opened [classes]bool) {
	for c, is := range opened {
		if is {
			select {
			case m.kick[c] <- struct{}{}:
			default:
			}
		}
	}
}

// news is what a job's attempt says about its destination.
type news struct {
	signal        signal
	reply, remote string
}

// runJob does a job's work with the lock let go.
func (m *Manager) runJob(tries, store context.Context, j *job, putOff bool) news {
	if j.lost {
		return news{}
	}
	state := j.dest.health
	ctx, cancel := context.WithCancel(tries)
	j.cancel = cancel
	m.mu.Unlock()
	defer m.mu.Lock()
	defer cancel()
	return m.do(ctx, store, j, putOff, state)
}

// do takes an item through the steps of the package comment.
func (m *Manager) do(ctx, store context.Context, j *job, putOff bool, state health) news {
	if j.reroute {
		m.sendElsewhere(store, j)
		return news{}
	}
	m.report(store, j)
	pending := j.led.pending()
	if len(pending) == 0 {
		m.settle(store, j, time.Time{})
		return news{}
	}
	if putOff {
		m.putOff(store, j, pending, state)
		return news{}
	}
	n, ok := m.attempt(ctx, j, pending)
	if !ok {
		m.release(store, j)
		return news{}
	}
	m.settle(store, j, time.Time{})
	return n
}

// putOff defers an item of a dead destination until after the probe.
func (m *Manager) putOff(store context.Context, j *job, pending []int, state health) {
	reply := state.reply
	if reply == "" {
		reply = smtp.Reply{Code: 451, Enhanced: "4.4.1", Text: "next hop does not answer"}.String()
	}
	for _, i := range pending {
		j.led.excuse(i, reply, state.remote)
	}
	m.settle(store, j, state.deadUntil.Add(time.Duration(m.o.Rand()*float64(m.o.MinBackoff))))
}

// tryable are the pending recipients that go where the job goes: all of them,
// but for items that could not be split.
func tryable(j *job, pending []int) []int {
	var is []int
	for _, i := range pending {
		if rc := j.led.rcpt(i); (place{rc.Transport, rc.NextHop}) == j.at {
			is = append(is, i)
		}
	}
	return is
}

// content opens an item's content with our trace in front.
func (m *Manager) content(ctx context.Context, t queue.Token) func() (queue.Content, error) {
	return func() (queue.Content, error) {
		return m.o.Queue.Open(ctx, queue.OpenSpec{Token: t, Generation: -1, Trace: true})
	}
}
