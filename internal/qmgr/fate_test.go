package qmgr

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtad/internal/smtp"
	"mtad/queue"
)

// TestFates replays testdata/*.fate as TestHistories does: what becomes of one
// item. Commands:
//
//	item FROM PATH[=NOTIFY+NOTIFY] ...   a new item, accepted now
//	wait DURATION                        time passes
//	claim                                what is to be reported before an attempt
//	try PATH=CODE[+DSN] ...              an attempt; CODE is 250, 450, 550 or 000: no result
//	skip                                 no attempt: the destination is dead for an hour
//	bounce                               an operator's FailPending
//
// After try, skip and claim reports go out, unless "mute" was said before.
func TestFates(t *testing.T) {
	files, err := filepath.Glob("testdata/*.fate")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replayFate(t, string(want))
			if *rewrite {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(want) {
				err = fmt.Errorf("got\n%s", got)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func replayFate(t *testing.T, text string) string {
	o := Options{DelayWarning: time.Hour, Lifetime: 24 * time.Hour, NullLifetime: 2 * time.Hour, MinBackoff: 10 * time.Minute}.withDefaults()
	f := &fate{p: newPolicy(&o), begin: time.Unix(0, 0).UTC()}
	f.now = f.begin
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line)
		if w := strings.Fields(line); len(w) > 0 && w[0][0] != '#' {
			for l := range strings.Lines(f.run(t, w)) {
				out.WriteString("\t" + l)
			}
		}
	}
	return out.String()
}

type fate struct {
	p          policy
	begin, now time.Time
	it         queue.Item
	mute       bool
	out        strings.Builder
}

func (f *fate) run(t *testing.T, w []string) string {
	t.Helper()
	f.out.Reset()
	l := newLedger(&f.it)
	switch w[0] {
	case "item":
		f.item(w[1], w[2:])
	case "wait":
		f.now = f.now.Add(duration(t, w[1]))
	case "mute":
		f.mute = w[1] == "on"
	case "bounce":
		for _, i := range l.pending() {
			rc := l.rcpt(i)
			rc.Status, rc.LastReply = queue.Failed, "550 5.7.1 not wanted"
		}
	case "claim":
		f.reports(l)
	case "skip":
		for _, i := range l.pending() {
			l.excuse(i, "451 4.4.1 no answer", "")
		}
		f.settle(l, f.now.Add(time.Hour))
	case "try":
		l.tried = true
		for _, r := range w[1:] {
			f.try(l, r)
		}
		f.settle(l, time.Time{})
	default:
		t.Fatalf("command %q", w[0])
	}
	return f.out.String()
}

var notifyNames = map[string]queue.Notify{"never": queue.NotifyNever, "success": queue.NotifySuccess, "failure": queue.NotifyFailure, "delay": queue.NotifyDelay}

func (f *fate) item(from string, paths []string) {
	f.it = queue.Item{Created: f.now, Envelope: queue.Envelope{ReversePath: strings.Trim(from, "<>")}}
	for _, p := range paths {
		path, notify, _ := strings.Cut(p, "=")
		rc := queue.Recipient{Path: path}
		for n := range strings.SplitSeq(notify, "+") {
			rc.Notify |= notifyNames[n]
		}
		f.it.Envelope.Recipients = append(f.it.Envelope.Recipients, rc)
	}
}

func (f *fate) try(l *ledger, r string) {
	path, code, _ := strings.Cut(r, "=")
	code, told, _ := strings.Cut(code, "+")
	for i := range f.it.Envelope.Recipients {
		if l.rcpt(i).Path != path {
			continue
		}
		switch code {
		case "250":
			l.record(i, queue.Relayed, "250 2.0.0 ok", "mx", told == "DSN", f.now)
		case "450":
			l.record(i, queue.Pending, "450 4.2.1 busy", "mx", false, f.now)
		case "550":
			l.record(i, queue.Failed, "550 5.1.1 unknown", "mx", false, f.now)
		default:
			l.record(i, queue.Pending, smtp.Reply{}.String(), "", false, f.now)
		}
	}
}

// settle is Manager.settle with reports that are printed.
func (f *fate) settle(l *ledger, retry time.Time) {
	l.expire(&f.p, f.now)
	f.reports(l)
	late := l.late(&f.p, f.now)
	f.report("delayed", l, late, l.delaySent)
	at, finished := l.ending(&f.p, retry, f.now, 0.5)
	for _, op := range l.ops() {
		if _, ok := op.(queue.Attempt); ok {
			f.it.Attempts++
		}
	}
	for i := range f.it.Envelope.Recipients {
		rc := l.rcpt(i)
		fmt.Fprintf(&f.out, "%s: %s after %d, %q\n", rc.Path, rc.Status, rc.Attempts, rc.LastReply)
	}
	if finished {
		fmt.Fprintf(&f.out, "finished, %q\n", l.summary())
	} else {
		fmt.Fprintf(&f.out, "deferred from %s until %s\n", f.now.Sub(f.begin), at.Sub(f.begin))
	}
}

func (f *fate) reports(l *ledger) {
	failed, success := l.unreported()
	f.report("failed", l, failed, l.reported)
	f.report("success", l, success, l.reported)
}

func (f *fate) report(kind string, l *ledger, is []int, note func([]int)) {
	if len(is) == 0 {
		return
	}
	if f.mute {
		fmt.Fprintf(&f.out, "no report %s\n", kind)
		return
	}
	fmt.Fprintf(&f.out, "report %s:", kind)
	for _, i := range is {
		fmt.Fprintf(&f.out, " %s", l.rcpt(i).Path)
	}
	f.out.WriteString("\n")
	note(is)
}
