package qmgr

import (
	"strings"
	"time"

	"mtad/internal/deliver"
	"mtad/internal/dsn"
	"mtad/queue"
)

// mark says what of a recipient has to be written.
type mark uint8

const (
	markStatus   mark = 1 << iota // status, reply, remote
	markTried                     // an attempt was made
	markRouted                    // transport and next hop
	markReported                  // Recipient.Reported
	markDelayed                   // Recipient.DelaySent
)

// ledger is an item while it is worked on: the copy says how it will be, marks
// what of that the queue does not know yet. It decides, and does no I/O.
type ledger struct {
	it      *queue.Item
	marks   []mark
	tried   bool // an Attempt is to be counted
	counted bool // it is in the queue already
}

func newLedger(it *queue.Item) *ledger {
	return &ledger{it: it, marks: make([]mark, len(it.Envelope.Recipients))}
}

func (l *ledger) rcpt(i int) *queue.Recipient { return &l.it.Envelope.Recipients[i] }

// pending are the recipients to be tried.
func (l *ledger) pending() (is []int) {
	for i := range l.it.Envelope.Recipients {
		if l.rcpt(i).Status == queue.Pending {
			is = append(is, i)
		}
	}
	return is
}

// record takes the result of an attempt for one recipient. told says that a
// success needs no report of ours: the next hop took that over.
func (l *ledger) record(i int, s queue.RecipientStatus, reply, remote string, told bool, now time.Time) {
	rc := l.rcpt(i)
	rc.Status, rc.LastAttempt = s, now
	rc.Attempts++
	l.reply(rc, reply, remote)
	l.marks[i] |= markStatus | markTried
	if s != queue.Pending {
		l.close(i, told)
	}
}

func (l *ledger) reply(rc *queue.Recipient, reply, remote string) {
	if reply != "" {
		rc.LastReply, rc.LastRemote = oneLine(reply), oneLine(remote)
	}
}

// close marks a final recipient of which nobody is to be told.
func (l *ledger) close(i int, told bool) {
	if told || !dsn.Wanted(l.it, kindOf(l.rcpt(i).Status), i) {
		l.rcpt(i).Reported = true
		l.marks[i] |= markReported
	}
}

func kindOf(s queue.RecipientStatus) dsn.Kind {
	if s == queue.Failed {
		return dsn.Failed
	}
	return dsn.Success
}

// excuse notes why a pending recipient was not tried.
func (l *ledger) excuse(i int, reply, remote string) {
	rc := l.rcpt(i)
	if rc.LastReply == "" && reply != "" {
		l.reply(rc, reply, remote)
		l.marks[i] |= markStatus
	}
}

// expire fails what is pending, when the time is up. The last reply stays: it is
// what the sender is told.
func (l *ledger) expire(p *policy, now time.Time) {
	if now.Before(p.expires(l.it)) {
		return
	}
	for _, i := range l.pending() {
		rc := l.rcpt(i)
		rc.Status = queue.Failed
		if rc.LastReply == "" {
			l.reply(rc, "451 4.4.7 delivery time expired", "")
		}
		l.marks[i] |= markStatus
		l.close(i, false)
	}
}

// unreported are the final recipients of which somebody is to be told.
func (l *ledger) unreported() (failed, success []int) {
	for i := range l.it.Envelope.Recipients {
		rc := l.rcpt(i)
		if rc.Reported || rc.Status == queue.Pending || rc.Status == queue.Removed || !dsn.Wanted(l.it, kindOf(rc.Status), i) {
			continue
		}
		if rc.Status == queue.Failed {
			failed = append(failed, i)
		} else {
			success = append(success, i)
		}
	}
	return failed, success
}

func (l *ledger) reported(is []int) {
	for _, i := range is {
		l.rcpt(i).Reported = true
		l.marks[i] |= markReported
	}
}

func (l *ledger) delaySent(is []int) {
	for _, i := range is {
		l.rcpt(i).DelaySent = true
		l.marks[i] |= markDelayed
	}
}

func (l *ledger) routed(i int, to place) {
	rc := l.rcpt(i)
	rc.Transport, rc.NextHop = to.transport, to.nextHop
	l.marks[i] |= markRouted
}

// late are the pending recipients of which a delayed DSN is due.
func (l *ledger) late(p *policy, now time.Time) (is []int) {
	for _, i := range l.pending() {
		if p.warn(l.it, i, now) {
			is = append(is, i)
		}
	}
	return is
}

// reportRest is how long an item waits whose report could not be made.
const reportRest = time.Minute

// ending says how the item goes on: it is finished, or due again at a time. What
// is pending waits until retry, or for the back-off when that is zero.
func (l *ledger) ending(p *policy, retry, now time.Time, r float64) (at time.Time, finished bool) {
	failed, success := l.unreported()
	switch {
	case len(l.pending()) > 0 && retry.IsZero():
		return p.retryAt(l.it, now.Add(p.backoff(l.it.Attempts+1, r)), now), false
	case len(l.pending()) > 0:
		return p.retryAt(l.it, retry, now), false
	case len(failed)+len(success) > 0:
		return now.Add(reportRest), false
	}
	return time.Time{}, true
}

// ops are the changes the queue does not know yet; it is assumed to know them
// afterwards.
func (l *ledger) ops() (ops []queue.Op) {
	var updates []queue.RecipientUpdate
	for i, m := range l.marks {
		if m != 0 {
			updates = append(updates, update(i, m, l.rcpt(i)))
			l.marks[i] = 0
		}
	}
	if updates != nil {
		ops = append(ops, queue.UpdateRecipients{Updates: updates})
	}
	if l.tried && !l.counted {
		l.counted = true
		ops = append(ops, queue.Attempt{})
	}
	return ops
}

func update(i int, m mark, rc *queue.Recipient) queue.RecipientUpdate {
	u := queue.RecipientUpdate{
		Index: i, Status: rc.Status, Attempted: m&markTried != 0,
		Reported: m&markReported != 0, DelaySent: m&markDelayed != 0,
	}
	if m&markStatus != 0 {
		u.Reply, u.Remote = rc.LastReply, rc.LastRemote
	}
	if m&markRouted != 0 {
		u.Transport, u.NextHop = rc.Transport, rc.NextHop
	}
	return u
}

// attempts counts those of the item, the present one included.
func (l *ledger) attempts() int {
	if l.tried {
		return l.it.Attempts + 1
	}
	return l.it.Attempts
}

// summary is the reply an item is finished with: that of its worst recipient.
func (l *ledger) summary() string {
	var s string
	for i := range l.it.Envelope.Recipients {
		rc := l.rcpt(i)
		if rc.Status == queue.Failed {
			return rc.LastReply
		}
		if rc.Status != queue.Removed {
			s = rc.LastReply
		}
	}
	return s
}

// oneLine bounds a text for the queue: one line, printable, at most MaxText octets.
func oneLine(s string) string {
	clean := len(s) <= queue.MaxText
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] != 0x7f
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), queue.MaxText)], ""))
}

// heard turns the results of an attempt into one for each recipient asked for,
// in that order. A recipient without a valid one was not proven delivered or
// failed: it stays pending.
func heard(asked []int, results []deliver.Result) []deliver.Result {
	out := make([]deliver.Result, len(asked))
	at := make(map[int]int, len(asked))
	for n, i := range asked {
		out[n] = deliver.Result{Index: i}
		out[n].Reply = noResult
		at[i] = n
	}
	for _, r := range results {
		n, ok := at[r.Index]
		if ok && (r.Status == queue.Pending || r.Status == queue.Delivered || r.Status == queue.Relayed || r.Status == queue.Failed) {
			out[n] = r
		}
	}
	return out
}

// counts are recipients by how they ended.
func (l *ledger) counts() (delivered, failed int) {
	for i := range l.it.Envelope.Recipients {
		switch l.rcpt(i).Status {
		case queue.Delivered, queue.Relayed:
			delivered++
		case queue.Failed:
			failed++
		}
	}
	return delivered, failed
}

// lastReply is what the first pending recipient heard last.
func (l *ledger) lastReply() string {
	for i := range l.it.Envelope.Recipients {
		if rc := l.rcpt(i); rc.Status == queue.Pending {
			return rc.LastReply
		}
	}
	return ""
}
