package filterproto

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Handler judges one message. ctx ends when the lease is lost or the scanner has
// to stop. An error gives the message back, to be offered again: it never accepts.
// A panic does the same and counts as a lost lease, so that a message that breaks
// its scanner time and again is held in the end.
type Handler func(ctx context.Context, m *Message) (Verdict, error)

// Run makes a scanner of a function: it claims messages for a filter in batches,
// runs h on several at a time, keeps their leases alive, and sends the verdicts. It
// goes on until ctx ends; then it claims no more, gives back what no handler has
// begun, lets handlers end for Options.Drain, sends what they said, and returns
// nil. Trouble with the server is waited out. Only a refusal of the very first
// claim that will not mend by itself (a bad token, no such filter) is returned.
//
// A crash at any moment is harmless: leases run out and the messages are where
// they were.
func Run(ctx context.Context, o Options, h Handler) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	sending, cancelSending := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelSending()
	r := &runner{
		o: o, h: h, log: o.Logger.With("filter", o.Filter),
		todo:    make(chan *task, o.Batch),
		done:    make(chan *task, o.Batch),
		room:    make(chan struct{}, 1),
		leases:  make(map[string]*task),
		stopped: ctx.Done(),
	}
	var handlers, senders, renewer sync.WaitGroup
	for range o.Concurrency {
		handlers.Go(func() { r.handle(work) })
	}
	for range sendersN {
		senders.Go(func() { r.send(sending) })
	}
	renewing, stopRenewing := context.WithCancel(sending)
	renewer.Go(func() { r.renew(renewing) })

	err = r.claim(ctx)
	close(r.todo)
	defer time.AfterFunc(o.Drain, cancelWork).Stop()
	defer time.AfterFunc(o.Drain+o.Client.timeout, cancelSending).Stop()
	handlers.Wait()
	close(r.done)
	senders.Wait()
	stopRenewing()
	renewer.Wait()
	return err
}

// A server makes verdicts durable with a sync, and that takes time. So sendersN
// requests with verdicts are under way at once, and aheadN batches may be claimed
// whose verdicts have not come back: the store groups them all.
const (
	sendersN = 4
	aheadN   = 4
)

// runner is one Run. claim feeds todo, handle moves tasks from todo to done, send
// ends them.
type runner struct {
	o       Options
	h       Handler
	log     *slog.Logger
	todo    chan *task
	done    chan *task
	room    chan struct{} // a task ended
	stopped <-chan struct{}

	sending atomic.Int32 // senders with tasks in hand

	mu        sync.Mutex
	leases    map[string]*task // by token: what is not ended
	unhandled int              // of these, what no handler is through with
}

// task is one claimed message.
type task struct {
	m      *Message
	lost   context.Context // ends with the lease
	cancel context.CancelFunc
	lease  time.Duration // as granted
	until  time.Time     // when it ends; guarded by runner.mu

	entry   VerdictEntry // when release is unset
	release *release
}

// release says how to give a message back.
type release struct {
	delay time.Duration
	lost  bool
}

// claim claims until ctx ends.
func (r *runner) claim(ctx context.Context) error {
	worked := false
	pause := backoff{min: 100 * time.Millisecond, max: 5 * time.Second}
	for r.waitForRoom(ctx) {
		got, err := r.o.Client.Claim(ctx, r.o.Filter, ClaimRequest{
			Max: r.o.Batch, MaxBytes: r.o.MaxBytes, Lease: r.o.Lease.Seconds(), Wait: r.o.Wait.Seconds(),
			Holder: r.o.Holder, Content: ContentInline, InlineMax: r.o.InlineMax,
		})
		if ctx.Err() != nil {
			r.giveBack(ctx, got)
			return nil
		}
		if err != nil {
			if !worked && permanent(err) {
				return err
			}
			r.log.Warn("claim", "error", err)
			pause.wait(ctx, err)
			continue
		}
		worked = true
		pause.reset()
		for _, g := range got {
			r.todo <- r.begin(ctx, g)
		}
	}
	return nil
}

// permanent reports whether an error will not mend by itself.
func permanent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != 408 && e.Status != 429
}

// waitForRoom waits for an idle handler. What waits for its verdict to be sent is
// no hindrance up to aheadN batches: the next one arrives meanwhile.
func (r *runner) waitForRoom(ctx context.Context) bool {
	for {
		r.mu.Lock()
		idle := r.unhandled < r.o.Concurrency
		n := len(r.leases)
		r.mu.Unlock()
		if idle && n <= r.o.Concurrency+aheadN*r.o.Batch {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.room:
		}
	}
}

func (r *runner) begin(ctx context.Context, g Received) *task {
	if g.Fail != nil {
		r.log.Warn("content not sent along", "queue_id", g.Message.ID, "error", g.Fail)
	}
	t := &task{m: &Message{
		MessageInfo: g.Message, Token: g.Token, client: r.o.Client, content: g.Content, inline: g.Inline,
	}}
	t.lost, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.lease = time.Duration(g.Lease * float64(time.Second))
	t.until = time.Now().Add(t.lease)
	r.mu.Lock()
	r.leases[g.Token] = t
	r.unhandled++
	r.mu.Unlock()
	return t
}

// end forgets a task.
func (r *runner) end(t *task) {
	t.cancel()
	r.mu.Lock()
	delete(r.leases, t.m.Token)
	r.mu.Unlock()
	r.wake()
}

// handled says that a handler is through with a task.
func (r *runner) handled() {
	r.mu.Lock()
	r.unhandled--
	r.mu.Unlock()
	r.wake()
}

func (r *runner) wake() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// giveBack releases claims that arrived when nobody wants them any more.
func (r *runner) giveBack(ctx context.Context, got []Received) {
	var tokens []string
	for _, g := range got {
		tokens = append(tokens, g.Token)
	}
	if len(tokens) == 0 {
		return
	}
	if _, err := r.o.Client.Release(context.WithoutCancel(ctx), tokens, 0, false); err != nil {
		r.log.Warn("release", "error", err)
	}
}
