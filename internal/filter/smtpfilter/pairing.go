package smtpfilter

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/smtp"
	"mtad/queue"
)

// commitTime bounds the commit of a verdict, whose caller may be gone.
const commitTime = time.Minute

// errEnded: the scan that a message belongs to has ended.
var errEnded = errors.New("smtpfilter: the scan has ended")

// pairing is one message that a scanner has. Its mutex keeps the scan from ending
// while something that came back is worked on.
type pairing struct {
	m       filter.Message
	src     *filter.Source
	limit   int64
	byField bool // the identity went out in a header field

	mu    sync.Mutex
	ended bool
	// open are the indexes of recipients for whom nothing came back yet.
	open map[int]bool
	kept []kept
	// verdict is that of a message that came back for everybody; judged says that it
	// is durable, err that it cannot be.
	verdict *filterproto.Verdict
	judged  bool
	err     error
	served  served
}

// kept is what came back for some recipients.
type kept struct {
	rcpts []int // indexes in the envelope; each in one kept only
	edits []filterproto.Edit
}

func newPairing(m filter.Message, src *filter.Source, limit int64) *pairing {
	p := &pairing{m: m, src: src, limit: limit, open: map[int]bool{}, served: served{paths: map[string]bool{}}}
	for i, r := range m.Item.Envelope.Recipients {
		if r.Status == queue.Pending {
			p.open[i] = true
		}
	}
	return p
}

// whileOpen runs f unless the message is judged: its lease is not to be used then.
func (p *pairing) whileOpen(f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.verdict != nil {
		return errEnded
	}
	return f()
}

// spoil makes the scan fail, unless it was judged.
func (p *pairing) spoil(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *pairing) replacement(ctx context.Context) *filter.Replacement {
	return p.m.Replacement(ctx, p.limit)
}

// take settles a message that came back whole.
func (p *pairing) take(x *Returned) smtp.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended && p.judged && p.served.all(x.env.Recipients), !p.ended && p.served.all(x.env.Recipients):
		if !p.ended {
			_ = x.out.Abort()
		}
		if p.verdict != nil && !p.judged {
			return notTaken
		}
		return okAgain
	case p.ended:
		return notOurs
	case p.verdict != nil:
		_ = x.out.Abort()
		return notHere
	case x.err != nil:
		_ = x.out.Abort()
		return notTaken
	}
	k, ok := p.match(x.env)
	if !ok {
		_ = x.out.Abort()
		return notHere
	}
	edits, err := x.out.Edits(x.ctx, p.src)
	if err != nil {
		return notTaken
	}
	k.edits = append(edits, k.edits...)
	p.keep(k, x.env)
	if len(p.open) > 0 {
		return okKept
	}
	v := p.verdictOf(nil)
	p.verdict = &v
	return p.commit()
}

// match finds out whom of the message's recipients this is for: by path, or, for
// one that was rewritten, by ORCPT (RFC 3461 §4.2), or as the only one that is
// left. Who is not among them is added.
func (p *pairing) match(env queue.Envelope) (kept, bool) {
	var k kept
	var added []queue.Recipient
	taken := map[int]bool{}
	for _, r := range env.Recipients {
		found := p.find(func(o *queue.Recipient) bool { return key(o.Path) == key(r.Path) })
		if len(found) == 0 && !p.served.paths[key(r.Path)] {
			added = append(added, r)
			found = p.find(func(o *queue.Recipient) bool { return original(o, r.ORCPT) })
			k.drop(p, found)
		}
		for _, i := range found {
			if !taken[i] {
				taken[i] = true
				k.rcpts = append(k.rcpts, i)
			}
		}
	}
	if len(k.rcpts) == 0 && p.alone() {
		k.rcpts = p.find(func(*queue.Recipient) bool { return true })
		k.drop(p, k.rcpts)
	}
	for _, r := range added {
		k.edits = append(k.edits, filterproto.Edit{Op: filterproto.RecipientAdd, Value: r.Path, Params: paramsOf(r)})
	}
	if env.ReversePath != p.m.Item.Envelope.ReversePath {
		k.edits = append(k.edits, filterproto.Edit{Op: filterproto.ReversePathSet, Value: env.ReversePath})
	}
	return k, len(k.rcpts) > 0
}

func (p *pairing) gone(i int) filterproto.Edit {
	return filterproto.Edit{Op: filterproto.RecipientDelete, Value: p.m.Item.Envelope.Recipients[i].Path}
}

// paramsOf are the parameters of RCPT that a recipient came with.
func paramsOf(r queue.Recipient) string {
	var list []string
	for _, m := range []struct {
		bit  queue.Notify
		name string
	}{{queue.NotifyNever, "NEVER"}, {queue.NotifySuccess, "SUCCESS"}, {queue.NotifyFailure, "FAILURE"}, {queue.NotifyDelay, "DELAY"}} {
		if r.Notify&m.bit != 0 {
			list = append(list, m.name)
		}
	}
	params := ""
	if len(list) > 0 {
		params = "NOTIFY=" + strings.Join(list, ",")
	}
	if kind, addr, ok := strings.Cut(r.ORCPT, ";"); ok && strings.EqualFold(kind, "rfc822") {
		params = strings.TrimLeft(params+" ORCPT="+kind+";"+smtp.Xtext(addr), " ")
	}
	if len(params) > filterproto.MaxParams {
		return ""
	}
	return params
}

// drop adds the edits that take recipients off.
func (k *kept) drop(p *pairing, rcpts []int) {
	for _, i := range rcpts {
		k.edits = append(k.edits, p.gone(i))
	}
}

// find lists open recipients, in order. One path may stand in an envelope twice.
func (p *pairing) find(f func(*queue.Recipient) bool) (list []int) {
	for i := range p.m.Item.Envelope.Recipients {
		if p.open[i] && f(&p.m.Item.Envelope.Recipients[i]) {
			list = append(list, i)
		}
	}
	return list
}

// alone reports whether one mailbox is left.
func (p *pairing) alone() bool {
	paths := map[string]bool{}
	for i := range p.open {
		paths[key(p.m.Item.Envelope.Recipients[i].Path)] = true
	}
	return len(paths) == 1
}

// original reports whether orcpt says that a recipient was o before.
func original(o *queue.Recipient, orcpt string) bool {
	return orcpt != "" && (strings.EqualFold(orcpt, o.ORCPT) || o.ORCPT == "" && strings.EqualFold(orcpt, "rfc822;"+o.Path))
}

func (p *pairing) keep(k kept, env queue.Envelope) {
	for _, i := range k.rcpts {
		delete(p.open, i)
		p.served.paths[key(p.m.Item.Envelope.Recipients[i].Path)] = true
	}
	for _, r := range env.Recipients {
		p.served.paths[key(r.Path)] = true
	}
	p.kept = append(p.kept, k)
}

// commit makes the verdict durable before the scanner is told.
func (p *pairing) commit() smtp.Reply {
	ctx, cancel := context.WithTimeout(context.Background(), commitTime)
	defer cancel()
	err := p.m.Judge(ctx, *p.verdict)
	var refused *filter.VerdictError
	switch {
	case err == nil:
		p.judged = true
		return smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "taken as " + string(p.m.Item.ID)}
	case errors.As(err, &refused), errors.Is(err, queue.ErrLeaseLost):
		p.verdict, p.err = nil, err
	}
	return notTaken // the scan tries once more, unless it cannot be
}
