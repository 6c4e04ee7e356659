package queuetest

import (
	"fmt"
	"strings"
	"time"

	"mtad/queue"
)

// ops reads the changes of a written history; DUR is a time.Duration from now.
//
//	incoming  unfiltered:STAGE  deferred:DUR     moves
//	edit:TEXT                                    a header line in front
//	relayed:N  busy:N  failed:N                  the result for recipient N
//	hold:REASON  unhold  priority:N  due:DUR     marks
//	part:N:OP…                                   recipient N parts with its own op
//	add:PATH                                     another recipient
//	attempt  bounce  done  discard  reject  delete
func (p *player) ops(words []string) []queue.Op {
	p.Helper()
	var ops []queue.Op
	for _, w := range words {
		ops = append(ops, p.op(w)...)
	}
	return ops
}

func (p *player) op(w string) []queue.Op {
	p.Helper()
	verb, arg, _ := strings.Cut(w, ":")
	switch verb {
	case "incoming":
		return []queue.Op{queue.Move{To: queue.Incoming}}
	case "unfiltered":
		return []queue.Op{queue.Move{To: queue.Unfiltered, Stage: arg}}
	case "active":
		return []queue.Op{queue.Move{To: queue.Active}}
	case "deferred":
		return []queue.Op{queue.Move{To: queue.Deferred, NextAt: p.due(arg)}}
	case "edit":
		return []queue.Op{queue.SetContent{By: "scan", Pieces: []queue.Piece{{Inline: []byte(arg + "\r\n")}, {FromCurrent: true, Length: -1}}}}
	case "relayed":
		return []queue.Op{p.result(arg, queue.Relayed, "250 2.0.0 ok")}
	case "busy":
		return []queue.Op{p.result(arg, queue.Pending, "450 4.2.1 busy")}
	case "failed":
		return []queue.Op{p.result(arg, queue.Failed, "550 5.1.1 no")}
	case "hold":
		return []queue.Op{queue.SetHold{Hold: queue.Hold{By: "filter:scan", Reason: arg}}}
	case "part":
		n, rest, _ := strings.Cut(arg, ":")
		return []queue.Op{queue.Split{Parts: []queue.Part{{Recipients: []int{p.atoi(n)}, Ops: p.op(rest)}}}}
	case "add":
		return []queue.Op{queue.AddRecipients{Recipients: []queue.Recipient{recipient(arg)}}}
	case "priority":
		return []queue.Op{queue.SetPriority{Priority: int8(p.atoi(arg))}}
	case "due":
		return []queue.Op{queue.SetNextAt{At: p.due(arg)}}
	}
	op, ok := map[string]queue.Op{
		"unhold": queue.ReleaseHold{}, "attempt": queue.Attempt{}, "bounce": queue.FailPending{Reply: "550 5.7.0 no"},
		"done": queue.Finish{Disposition: queue.Done}, "discard": queue.Finish{Disposition: queue.Discarded},
		"reject": queue.Finish{Disposition: queue.Rejected}, "delete": queue.Finish{Disposition: queue.Deleted},
	}[verb]
	if !ok {
		p.Fatalf("no op %q", w)
	}
	return []queue.Op{op}
}

func (p *player) atoi(s string) (n int) {
	p.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		p.Fatalf("number %q: %v", s, err)
	}
	return n
}

func (p *player) due(s string) time.Time {
	p.Helper()
	if d := p.duration(s); d > 0 {
		return p.now().Add(d)
	}
	return time.Time{}
}

func (p *player) result(index string, s queue.RecipientStatus, reply string) queue.Op {
	p.Helper()
	return queue.UpdateRecipients{Updates: []queue.RecipientUpdate{{Index: p.atoi(index), Status: s, Attempted: true, Reply: reply}}}
}

// show is one line for each item.
func (p *player) show(items []queue.Item) string {
	var b strings.Builder
	for _, it := range items {
		fmt.Fprintln(&b, p.line(it))
	}
	return b.String()
}

func (p *player) line(it queue.Item) string {
	name := "?"
	for _, n := range p.names {
		if p.ids[n] == it.ID.Message() {
			name = n
		}
	}
	if part := it.ID.Part(); part > 0 {
		name = fmt.Sprintf("%s.%d", name, part)
	}
	words := []string{name, it.State.String()}
	add := func(shown bool, format string, args ...any) {
		if shown {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	if it.Outcome != nil {
		words[1] = it.Outcome.Disposition.String()
	}
	add(it.Stage != "" && it.Outcome == nil, "%s", it.Stage)
	for _, r := range it.Envelope.Recipients {
		add(true, "<%s %s>", r.Path, r.Status)
	}
	add(it.Staged, "staged")
	add(it.Lease != nil && it.Outcome == nil, "leased")
	add(it.Generation().N > 0, "generation=%d", it.Generation().N)
	add(it.Attempts > 0, "attempts=%d", it.Attempts)
	add(it.LostClaims > 0, "lost=%d", it.LostClaims)
	if it.Hold != nil {
		add(true, "held=%s", it.Hold.Reason)
	}
	add(it.NextAt.After(p.now()), "due=%v", it.NextAt.Sub(p.now()).Round(time.Second))
	return strings.Join(words, " ")
}
