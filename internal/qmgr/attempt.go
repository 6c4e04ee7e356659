package qmgr

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"mtad/internal/deliver"
	"mtad/internal/smtp"
	"mtad/queue"
)

var (
	noResult    = smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "no result"}
	noTransport = smtp.Reply{Code: 451, Enhanced: "4.3.5", Text: "no such transport"}
	sandboxed   = smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "sandbox: not delivered"}
	crashed     = smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "internal error"}
)

// attempt has the transport try the pending recipients and takes down the
// results. It is not ok when the attempt was cut short by the end of the run or
// of the lease and proved nothing: as if it had not been made.
func (m *Manager) attempt(ctx context.Context, j *job, pending []int) (n news, ok bool) {
	asked := tryable(j, pending)
	results := heard(asked, m.deliver(ctx, j, asked))
	if ctx.Err() != nil && allPending(results) {
		return news{}, false
	}
	now := time.Now()
	j.led.tried = true
	for _, r := range results {
		j.led.record(r.Index, r.Status, r.Reply.String(), r.Remote, told(r), now)
		m.met.result(r.Status, now.Sub(j.Item.Created))
	}
	return judge(results), true
}

// deliver calls the transport. A panic of it is an error like others.
func (m *Manager) deliver(ctx context.Context, j *job, asked []int) (results []deliver.Result) {
	if j.Item.Sandbox() {
		return inSandbox(asked)
	}
	t := m.o.Transports[j.at.transport]
	if t == nil {
		m.log.Error("no such transport", "queue_id", j.Item.ID, "transport", j.at.transport)
		return forAll(asked, noTransport)
	}
	defer func() {
		if p := recover(); p != nil {
			m.log.Error("transport panicked", "queue_id", j.Item.ID, "transport", j.at.transport,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			results = forAll(asked, crashed)
		}
	}()
	return t.Deliver(ctx, deliver.Job{
		Item: j.Item, Recipients: asked, NextHop: j.at.nextHop, Open: m.content(ctx, j.Token),
	})
}

// sandboxRemote is who "took" what was never delivered.
const sandboxRemote = "sandbox"

func inSandbox(asked []int) []deliver.Result {
	out := forAll(asked, sandboxed)
	for n := range out {
		out[n].Status, out[n].Remote = queue.Delivered, sandboxRemote
	}
	return out
}

func forAll(asked []int, reply smtp.Reply) []deliver.Result {
	out := make([]deliver.Result, len(asked))
	for n, i := range asked {
		out[n] = deliver.Result{Index: i, Status: queue.Pending, Reply: reply}
	}
	return out
}

func allPending(results []deliver.Result) bool {
	for _, r := range results {
		if r.Status != queue.Pending {
			return false
		}
	}
	return true
}
