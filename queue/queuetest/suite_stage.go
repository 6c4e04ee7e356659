package queuetest

import (
	"context"
	"errors"
	"io"
	"slices"

	"mtad/queue"
)

// stage makes a message whose client still waits.
func (r *rig) stage(to ...string) queue.Writer {
	r.Helper()
	w := r.open(queue.CreateOptions{Chain: "in", Stage: "scan"}, text, to...)
	r.must(w.Stage(r.ctx()))
	return w
}

// wait is Writer.Wait that has to return.
func (r *rig) wait(w queue.Writer) []queue.Item {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx(), patience)
	defer cancel()
	items, err := w.Wait(ctx)
	r.must(err)
	return items
}

var rejected = []queue.Op{
	queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Status: queue.Failed, Reply: "554 5.7.1 no"}}},
	queue.Finish{Disposition: queue.Rejected, Reply: "554 5.7.1 no"},
}

var stageTests = []behaviour{
	{"a staged message is claimed by its stage", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		c := r.claimOne(forScan)
		if c.Item.ID != w.ID() || !c.Item.Staged || c.Item.State != queue.Unfiltered {
			r.Errorf("claimed %+v", c.Item)
		}
		r.reads(queue.OpenSpec{Token: c.Token, Generation: -1}, text)
	}},
	{"a staged message is seen by nobody else", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		r.absent(w.ID())
		if _, err := r.q.History(r.ctx(), w.ID()); !errors.Is(err, queue.ErrNotFound) {
			r.Errorf("History: %v", err)
		}
		if _, err := r.q.Open(r.ctx(), queue.OpenSpec{ID: w.ID(), Generation: -1}); !errors.Is(err, queue.ErrNotFound) {
			r.Errorf("Open by ID: %v", err)
		}
		if _, err := r.q.Apply(r.ctx(), queue.Txn{ID: w.ID(), Ops: []queue.Op{queue.SetPriority{Priority: 1}}}); !errors.Is(err, queue.ErrNotFound) {
			r.Errorf("Apply by ID: %v", err)
		}
		if n, err := r.q.Count(r.ctx(), queue.Filter{}); err != nil || n.Messages != 0 || len(r.list(queue.Filter{})) != 0 {
			r.Errorf("Count: %v, %v", n, err)
		}
	}},
	{"staged messages are counted apart", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		if st := r.stats(); st.Staged != 1 || st.States[0].Messages != 0 {
			r.Errorf("stats %+v", st)
		}
		r.must(w.Abort())
		if st := r.stats(); st.Staged != 0 {
			r.Errorf("after the abort %+v", st)
		}
	}},
	{"wait returns the message as judged", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		r.judge()
		if got := r.wait(w); len(got) != 1 || got[0].State != queue.Incoming || got[0].Outcome != nil {
			r.Errorf("waited for %+v", got)
		}
	}},
	{"wait is woken by the verdict", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(r.ctx(), patience)
		defer cancel()
		go func() {
			_, err := w.Wait(ctx)
			done <- err
		}()
		r.judge()
		r.must(<-done)
	}},
	{"wait goes on while the chain does", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		r.change(r.claimOne(forScan).Token, queue.Move{To: queue.Unfiltered, Stage: "second"})
		ctx, cancel := context.WithCancel(r.ctx())
		cancel()
		if _, err := w.Wait(ctx); !errors.Is(err, context.Canceled) {
			r.Errorf("Wait: %v, want it to go on", err)
		}
		second := forScan
		second.Stage = "second"
		r.change(r.claimOne(second).Token, queue.Move{To: queue.Incoming})
		r.wait(w)
	}},
	{"a hold in the filters ends the wait, and is committed", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		r.change(r.claimOne(forScan).Token, queue.SetHold{Hold: queue.Hold{By: "filter:scan", Reason: "dead"}}, queue.Move{To: queue.Unfiltered, Stage: "scan"})
		if got := r.wait(w); len(got) != 1 || got[0].State != queue.Unfiltered || got[0].Hold == nil {
			r.Errorf("waited for %+v", got)
		}
		it, err := w.Commit(r.ctx())
		r.must(err)
		r.claimNone(forScan)
		r.operate(it.ID, queue.ReleaseHold{})
		r.claimOne(forScan)
	}},
	{"wait shows a rejected message with its outcome", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		r.change(r.claimOne(forScan).Token, rejected...)
		got := r.wait(w)
		if len(got) != 1 || got[0].Outcome == nil || got[0].Outcome.Disposition != queue.Rejected || got[0].Outcome.Reply != "554 5.7.1 no" {
			r.Errorf("waited for %+v", got)
		}
	}},
	{"wait waits for every part", nothing, func(r *rig) {
		w := r.stage("b@example.net", "c@example.net")
		defer w.Abort()
		c := r.claimOne(forScan)
		r.change(c.Token, queue.Split{Parts: []queue.Part{{Recipients: []int{1}, Ops: []queue.Op{queue.Move{To: queue.Unfiltered, Stage: "second"}}}}},
			queue.Finish{Disposition: queue.Discarded})
		ctx, cancel := context.WithCancel(r.ctx())
		cancel()
		if _, err := w.Wait(ctx); !errors.Is(err, context.Canceled) {
			r.Fatalf("Wait: %v, want it to go on", err)
		}
		second := forScan
		second.Stage = "second"
		r.change(r.claimOne(second).Token, queue.Move{To: queue.Incoming})
		if got := r.wait(w); len(got) != 2 {
			r.Errorf("waited for %d parts, want 2", len(got))
		}
	}},
	{"when the wait is over the message stays staged", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		ctx, cancel := context.WithCancel(r.ctx())
		cancel()
		_, err := w.Wait(ctx)
		r.refused(err, context.Canceled)
		_, err = w.Commit(r.ctx())
		r.must(err)
		r.inState(w.ID(), queue.Unfiltered)
		r.judge()
	}},
	{"a judged message is not delivered before its commit", nothing, func(r *rig) {
		w := r.stage("b@example.net", "c@example.com")
		r.judge()
		r.claimNone(forDelivery)
		_, err := w.Commit(r.ctx())
		r.must(err)
		if n := len(r.claim(forDelivery)); n != 2 {
			r.Errorf("claimed %d parts, want 2", n)
		}
	}},
	{"a lease outlives the commit", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		c := r.claimOne(forScan)
		_, err := w.Commit(r.ctx())
		r.must(err)
		r.claimNone(forScan)
		r.change(c.Token, queue.Move{To: queue.Incoming})
		r.inState(w.ID(), queue.Incoming)
	}},
	{"a rejected message that is committed leaves only its record", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		r.change(r.claimOne(forScan).Token, rejected...)
		it, err := w.Commit(r.ctx())
		r.must(err)
		r.absent(w.ID())
		if h := r.history(w.ID()); it.Outcome == nil || len(h) != 1 || h[0].Outcome == nil || h[0].Outcome.Disposition != queue.Rejected {
			r.Errorf("committed %+v, history %+v", it, h)
		}
	}},
	{"a commit keeps the parts that are not finished", nothing, func(r *rig) {
		w := r.stage("b@example.net", "c@example.net")
		r.change(r.claimOne(forScan).Token,
			queue.Split{Parts: []queue.Part{{Recipients: []int{1}, Ops: []queue.Op{queue.Finish{Disposition: queue.Discarded}}}}},
			queue.Move{To: queue.Incoming})
		_, err := w.Commit(r.ctx())
		r.must(err)
		c := r.claimOne(forDelivery)
		if !slices.Equal(paths(c.Item), []string{"b@example.net"}) || len(r.history(w.ID())) != 2 {
			r.Errorf("kept %v", paths(c.Item))
		}
	}},
	{"an abort ends the leases and it never was", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		c := r.claimOne(forScan)
		r.must(w.Abort())
		r.refused(r.tries(c.Token, queue.Move{To: queue.Incoming}), queue.ErrLeaseLost)
		r.absent(w.ID())
		r.claimNone(forScan)
	}},
	{"an abort ends the wait", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(r.ctx(), patience)
		defer cancel()
		go func() {
			_, err := w.Wait(ctx)
			done <- err
		}()
		r.must(w.Abort())
		if err := <-done; err == nil || errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("Wait: %v", err)
		}
	}},
	{"no write may follow the staging", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		defer w.Abort()
		if _, err := io.WriteString(w, "more"); err == nil {
			r.Error("took a write")
		}
	}},
	{"a message without a stage cannot be staged", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{}, text, "b@example.net")
		defer w.Abort()
		r.refused(w.Stage(r.ctx()), queue.ErrInvalid)
	}},
	{"edits before the commit are committed", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		r.judge(queue.SetContent{By: "scan", Pieces: []queue.Piece{{Inline: []byte("X: y\r\n")}, {FromCurrent: true, Length: -1}}},
			queue.SetReversePath{Path: "other@example.org"})
		_, err := w.Commit(r.ctx())
		r.must(err)
		r.reads(queue.OpenSpec{ID: w.ID(), Generation: -1}, "X: y\r\n"+text)
		if got := r.get(w.ID()).Envelope.ReversePath; got != "other@example.org" {
			r.Errorf("reverse-path %q", got)
		}
	}},
}
