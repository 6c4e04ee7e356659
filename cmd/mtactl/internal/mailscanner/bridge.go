package mailscanner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mtad/filterproto"
)

// bridge is one Run.
type bridge struct {
	o    Options
	x    *exchange
	self *instance
	log  *slog.Logger

	mu     sync.Mutex
	claims map[string]*claim // by name
	n      uint64
	warned map[string]bool // files that were found strange
}

// claim is a message that MailScanner has. Its name is registered before a file of it
// is made, and as long as somebody waits for its answer.
type claim struct {
	sent
	m    *filterproto.Message
	wake chan struct{} // something happened to its files
}

// Run hands the mail of a filter to MailScanner and its answers to mtad, until ctx
// ends: then it claims no more, waits for MailScanner for Options.Drain, gives back
// what is unanswered, and removes its files. An error is one of the directories, or a
// refusal by the server that will not mend by itself.
func Run(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	b := &bridge{
		o: o, x: &exchange{in: o.Incoming, out: o.Outgoing, step: o.step}, log: o.Logger,
		claims: make(map[string]*claim), warned: make(map[string]bool),
	}
	if err := b.x.check(); err != nil {
		return err
	}
	if b.self, err = newInstance(o.Incoming); err != nil {
		return err
	}
	defer b.self.end()
	b.sweep()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var tasks sync.WaitGroup
	tasks.Go(func() { b.watch(background) })
	tasks.Go(func() { b.keepSweeping(background, fail) })
	err = filterproto.Run(ctx, filterproto.Options{
		Client: o.Client, Filter: o.Filter, Concurrency: o.Concurrency, Batch: o.Batch,
		InlineMax: 64 << 10, Lease: o.Lease, RetryDelay: o.RetryDelay, Drain: o.Drain, Logger: o.Logger,
	}, b.judge)
	stop()
	tasks.Wait()
	b.sweep()
	if errors.Is(context.Cause(ctx), errDisowned) {
		return errDisowned
	}
	return err
}

// judge has MailScanner judge one message.
func (b *bridge) judge(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
	c := b.begin(m)
	defer b.o.step("send")
	defer b.end(c)
	b.o.step("write")
	if err := b.x.put(ctx, &c.sent, m); err != nil {
		return filterproto.Verdict{}, err
	}
	b.log.Info("handed over", "queue_id", m.ID, "name", c.name)
	b.o.step("wait")
	o, err := b.await(ctx, c)
	if err != nil {
		return filterproto.Verdict{}, b.giveBack(ctx, c, err)
	}
	b.o.step("read")
	var v filterproto.Verdict
	if o == answered {
		v, err = b.answeredVerdict(ctx, c)
	} else {
		v, err = b.vanishedVerdict(c)
	}
	if err != nil {
		return v, b.giveBack(ctx, c, err)
	}
	b.log.Info("judged", "queue_id", m.ID, "name", c.name, "disposition", v.Disposition,
		"held", v.Quarantine != nil, "edits", len(v.Edits), "reason", v.Reason)
	return v, nil
}

func (b *bridge) begin(m *filterproto.Message) *claim {
	c := &claim{m: m, sent: sent{envelope: newEnvelope(&m.Envelope)}, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	c.name = newName(m.ID, b.self.name, b.n)
	c.preamble = preamble(c.name, m.Envelope.Client, m.Created)
	b.claims[c.name] = c
	return c
}

// end removes a claim's files. What MailScanner has locked is left to sweep.
func (b *bridge) end(c *claim) {
	b.mu.Lock()
	delete(b.claims, c.name)
	b.mu.Unlock()
	b.o.step("remove")
	b.removeAnswer(c.name)
	b.x.withdraw(c.name)
}

// errPatience: MailScanner had its time.
var errPatience = errors.New("mailscanner: no answer in time")

// await waits until MailScanner is through with a message.
func (b *bridge) await(ctx context.Context, c *claim) (outcome, error) {
	poll := time.NewTicker(b.o.Poll)
	defer poll.Stop()
	patience := time.NewTimer(b.o.Patience)
	defer patience.Stop()
	for {
		if o, err := b.x.look(c.name); err != nil {
			b.log.Warn("look", "queue_id", c.m.ID, "error", err)
		} else if o != pending {
			return o, nil
		}
		select {
		case <-ctx.Done():
			return pending, fmt.Errorf("mailscanner: %s: %w", c.name, context.Cause(ctx))
		case <-patience.C:
			return pending, errPatience
		case <-c.wake:
		case <-poll.C:
		}
	}
}

// giveBack says to the server that a message broke its scanner, when it did:
// MailScanner is stuck with it, or wrote half an answer. So it is not tried for ever.
func (b *bridge) giveBack(ctx context.Context, c *claim, err error) error {
	broke := errors.Is(err, errDamaged) || errors.Is(err, errPatience) && !b.x.withdraw(c.name)
	if broke && ctx.Err() == nil {
		if _, e := b.o.Client.Release(ctx, []string{c.m.Token}, b.o.RetryDelay, true); e != nil {
			b.log.Warn("release", "queue_id", c.m.ID, "error", e)
		}
	}
	return err
}

// poke wakes who waits for a name.
func (b *bridge) poke(name string) {
	b.mu.Lock()
	c := b.claims[name]
	b.mu.Unlock()
	if c != nil {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// expects reports whether somebody waits for a name.
func (b *bridge) expects(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.claims[name] != nil
}
