package smtpfilter

import (
	"context"
	"strings"
	"sync"
	"time"

	"mtad/internal/smtp"
	"mtad/queue"
)

// Bounds of what is remembered of scans that have ended.
const (
	rememberFor = 10 * time.Minute
	remember    = 10_000
)

// Returns pairs the messages that scanners give back with those that they were
// given. One serves all filters and listeners of a process. It is safe for
// concurrent use; the zero value is ready.
type Returns struct {
	mu    sync.Mutex
	open  map[string]*pairing
	ended []ended // oldest first
	index map[string]*served
}

type ended struct {
	ident string
	at    time.Time
}

// served says for whom messages were taken under an identity.
type served struct{ paths map[string]bool }

func (s *served) all(rcpts []queue.Recipient) bool {
	for _, r := range rcpts {
		if !s.paths[key(r.Path)] {
			return false
		}
	}
	return true
}

// key is a path as it is compared: without quotes that are not needed, its domain
// in lower case.
func key(path string) string {
	if p, err := smtp.ParseMailbox(path); err == nil {
		path = p.String()
	}
	if i := strings.LastIndexByte(path, '@'); i >= 0 {
		return path[:i] + strings.ToLower(path[i:])
	}
	return path
}

func (r *Returns) begin(ident string, p *pairing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[string]*pairing{}
		r.index = map[string]*served{}
	}
	r.open[ident] = p
}

// end forgets a scan, except for whom it served, if it was judged by what came
// back.
func (r *Returns) end(ident string, s *served) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, ident)
	now := time.Now()
	for len(r.ended) > 0 && (len(r.ended) >= remember || now.Sub(r.ended[0].at) > rememberFor) {
		delete(r.index, r.ended[0].ident)
		r.ended = r.ended[1:]
	}
	if s != nil {
		r.index[ident] = s
		r.ended = append(r.ended, ended{ident, now})
	}
}

func (r *Returns) find(ident string) (*pairing, *served) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[ident], r.index[ident]
}

// The replies to messages that are given back.
var (
	okAgain  = smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "taken before"}
	okKept   = smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "kept until the other recipients are judged"}
	notOurs  = smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "no message is being filtered under this identity"}
	notTaken = smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "not taken, try again later"}
	notHere  = smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: "further mail under this identity is not taken; hand it in at another listener"}
	tooBig   = smtp.Reply{Code: 552, Enhanced: "5.3.4", Text: "message too big"}
)

// Open begins a message that is given back: ident is XFORWARD's, "" if there was
// none.
func (r *Returns) Open(ctx context.Context, ident string, env queue.Envelope) *Returned {
	x := &Returned{r: r, ctx: ctx, env: env}
	if ident != "" {
		x.pair(ident)
	}
	return x
}
