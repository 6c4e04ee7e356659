package app_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mtad/filterproto"
	"mtad/internal/app"
	"mtad/internal/filter/scannertest"
	"mtad/internal/milter/miltertest"
	"mtad/queue"
)

// Recipients whose names say what becomes of the message for them.
const (
	toYes  = "yes@example.net"
	toHold = "hold@example.net"
	toNo   = "no@example.net"
	toWait = "wait@example.net"
)

func pairConfig(next, timing, more string) string {
	sum := sha256.Sum256([]byte(secret))
	return fmt.Sprintf(`
listeners:
  smtp: {address: "127.0.0.1:0", chain: scan}
api:
  listen: ["127.0.0.1:0"]
  tokens: {scanner: {sha256: "%s", scopes: ["filter:*", "queue:read", "queue:write"]}}
filters: {first: {}, second: {}}
chains: {scan: {filters: [first, second], timing: %s, wait: 1m}}
smarthost: "[127.0.0.1]:%s"
%s`, hex.EncodeToString(sum[:]), timing, next[len("127.0.0.1:"):], more)
}

var timings = []string{"after", "inline", "inline-then-park"}

// judges are two scanners that judge by function and remember what they saw.
type judges struct {
	mu   sync.Mutex
	seen map[string][]string // by filter: the recipients of each claim, sorted
}

// judging starts a scanner for each filter; it ends with the test.
func judging(t *testing.T, a *app.App, by map[string]func(rcpts []string) filterproto.Verdict) *judges {
	t.Helper()
	j := &judges{seen: map[string][]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s := newScanner(t, a)
	for name, verdict := range by {
		wg.Go(func() {
			for ctx.Err() == nil {
				got, err := s.Claim(ctx, name, filterproto.ClaimRequest{Max: 1, Wait: 10, Lease: 60})
				for _, c := range got {
					var rcpts []string
					for _, r := range c.Message.Envelope.Recipients {
						rcpts = append(rcpts, r.Path)
					}
					slices.Sort(rcpts)
					j.mu.Lock()
					j.seen[name] = append(j.seen[name], fmt.Sprint(rcpts))
					j.mu.Unlock()
					_, err = s.Verdicts(ctx, []filterproto.VerdictEntry{{Token: c.Token, Verdict: verdict(rcpts)}})
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return j
}

func (j *judges) saw(filter string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := slices.Clone(j.seen[filter])
	slices.Sort(list)
	return list
}

var (
	accepts = filterproto.Verdict{Disposition: filterproto.Accept}
	rejects = filterproto.Verdict{Disposition: filterproto.Reject, Reply: &filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "not for you"}}
	holds   = filterproto.Verdict{Disposition: filterproto.Accept, Score: 7, Quarantine: &filterproto.Quarantine{Reason: "odd"}}
	defers  = filterproto.Verdict{Disposition: filterproto.Defer, RetryAfter: 3600, Reply: &filterproto.Reply{Code: 451, Enhanced: "4.7.1", Text: "later"}}
)

// eachTheirs judges each recipient by name.
func eachTheirs(rcpts []string) filterproto.Verdict {
	by := map[string]filterproto.Verdict{toHold: holds, toNo: rejects, toWait: defers}
	v := accepts
	for _, r := range rcpts {
		if own, ok := by[r]; ok {
			v.Recipients = append(v.Recipients, filterproto.RecipientVerdict{Recipients: []string{r}, Verdict: own})
		}
	}
	return v
}

func acceptsAll([]string) filterproto.Verdict  { return accepts }
func rejectsAll([]string) filterproto.Verdict  { return rejects }
func holdsAll([]string) filterproto.Verdict    { return holds }
func rejectsEach([]string) filterproto.Verdict { return rejects }

// until waits for something to be so in the queue.
func until(t *testing.T, q queue.Queue, what string, ok func() bool) {
	t.Helper()
	s, err := q.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for limit := time.Now().Add(time.Minute); !ok(); {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := s.Next(ctx)
		waited := ctx.Err() != nil
		cancel()
		if err != nil && !waited || time.Now().After(limit) {
			t.Fatalf("did not come: %s (%v)", what, err)
		}
	}
}

// parts describes every part of a message: recipients with their status, and
// whether it is held or where it waits.
func parts(t *testing.T, q queue.Queue, id string) []string {
	t.Helper()
	items, err := q.History(t.Context(), queue.ID(id).Message())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, it := range items {
		var words []string
		for _, r := range it.Envelope.Recipients {
			words = append(words, strings.TrimSuffix(r.Path, "@example.net")+" "+r.Status.String())
		}
		slices.Sort(words)
		switch {
		case it.Outcome != nil:
			words = append(words, it.Outcome.Disposition.String())
		case it.Hold != nil:
			words = append(words, "held by "+it.Hold.By)
		default:
			words = append(words, strings.TrimSpace(it.State.String()+" "+it.Stage))
		}
		out = append(out, strings.Join(words, ", "))
	}
	slices.Sort(out)
	return out
}

func become(t *testing.T, q queue.Queue, id string, want ...string) {
	t.Helper()
	var got []string
	until(t, q, "the parts of "+id, func() bool { got = parts(t, q, id); return slices.Equal(got, want) || t.Context().Err() != nil })
}

func TestEachRecipientGetsItsOwnVerdict(t *testing.T) {
	for _, timing := range timings {
		t.Run(timing, func(t *testing.T) {
			next := newSink(t)
			a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, timing, "")))
			j := judging(t, a, map[string]func([]string) filterproto.Verdict{"first": eachTheirs, "second": acceptsAll})
			_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, toYes, toHold, toNo)
			become(t, a.Queue(), id, "hold pending, held by filter:first", "no failed, done", "yes relayed, done")
			byRcpt := map[string]received{}
			for range 2 {
				m := next.wait(t)
				byRcpt[fmt.Sprint(m.to)] = m
			}
			if m, ok := byRcpt["["+toYes+"]"]; !ok || content(t, m.data) != message {
				t.Errorf("delivered: %v", byRcpt)
			}
			report := byRcpt["[a@example.org]"]
			if text := string(report.data); report.from != "" || !strings.Contains(text, toNo) || !strings.Contains(text, "550 5.7.1 not for you") || strings.Contains(text, toHold) || strings.Contains(text, toYes) {
				t.Errorf("report from %q:\n%s", report.from, text)
			}
			// Held after the queue, the second filter waits; with a client waiting it does not.
			want := []string{"[" + toYes + "]"}
			if timing != "after" {
				want = []string{"[" + toHold + "]", "[" + toYes + "]"}
			}
			if got := j.saw("second"); !slices.Equal(got, want) {
				t.Errorf("the second filter saw %v, want %v", got, want)
			}
			// Released, it goes on under its ID, and the first filter does not see it again.
			part := heldPart(t, a.Queue(), id)
			if _, err := a.Queue().Apply(t.Context(), queue.Txn{ID: part, Ops: []queue.Op{queue.ReleaseHold{}}}); err != nil {
				t.Fatal(err)
			}
			if m := next.wait(t); fmt.Sprint(m.to) != "["+toHold+"]" || content(t, m.data) != message {
				t.Errorf("released to %v", m.to)
			}
			finished(t, a.Queue(), queue.ID(id))
			if got := j.saw("first"); len(got) != 1 {
				t.Errorf("the first filter saw %v", got)
			}
		})
	}
}

func heldPart(t *testing.T, q queue.Queue, id string) queue.ID {
	t.Helper()
	items, err := q.History(t.Context(), queue.ID(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if it.Hold != nil {
			return it.ID
		}
	}
	t.Fatalf("no part of %s is held", id)
	return ""
}

func TestAllRejectedIsOneReplyWhileTheClientWaits(t *testing.T) {
	rejectsYes := func(rcpts []string) filterproto.Verdict {
		if slices.Contains(rcpts, toYes) {
			return rejects
		}
		return accepts
	}
	eachItsReply := func(rcpts []string) filterproto.Verdict {
		v := rejects
		other := rejects
		other.Reply = &filterproto.Reply{Code: 554, Enhanced: "5.7.9", Text: "nor for you"}
		v.Recipients = []filterproto.RecipientVerdict{{Recipients: []string{toNo}, Verdict: other}}
		return v
	}
	for name, by := range map[string]map[string]func([]string) filterproto.Verdict{
		"by one verdict":      {"first": rejectsEach, "second": acceptsAll},
		"by their own":        {"first": eachItsReply, "second": acceptsAll},
		"by the second":       {"first": acceptsAll, "second": rejectsAll},
		"one after the other": {"first": eachTheirs, "second": rejectsYes},
	} {
		for _, timing := range timings {
			t.Run(name+"/"+timing, func(t *testing.T) {
				next := newSink(t)
				a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, timing, "")))
				judging(t, a, by)
				c := dial(t, a.Addr("smtp").String())
				if timing != "after" {
					c.sendTo(550, message, toYes, toNo)
					nothingLeft(t, a, next)
					return
				}
				_, id := c.sendTo(250, message, toYes, toNo)
				finished(t, a.Queue(), queue.ID(id))
				reported := ""
				for !strings.Contains(reported, toYes) || !strings.Contains(reported, toNo) {
					m := next.wait(t)
					if fmt.Sprint(m.to) != "[a@example.org]" {
						t.Fatalf("delivered to %v", m.to)
					}
					reported += string(m.data)
				}
			})
		}
	}
}

// nothingLeft checks that a refused message left nothing, and no report.
func nothingLeft(t *testing.T, a *app.App, next *sink) {
	t.Helper()
	tally, err := a.Queue().Count(t.Context(), queue.Filter{})
	if err != nil || tally.Messages != 0 || len(next.got) != 0 {
		t.Errorf("%d messages in the queue, %d at the next hop, %v", tally.Messages, len(next.got), err)
	}
}

func TestAllQuarantinedIsAccepted(t *testing.T) {
	for _, timing := range timings {
		t.Run(timing, func(t *testing.T) {
			next := newSink(t)
			a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, timing, "quarantine: {keep: 1d, then: bounce}")))
			judging(t, a, map[string]func([]string) filterproto.Verdict{"first": holdsAll, "second": acceptsAll})
			_, id := dial(t, a.Addr("smtp").String()).sendTo(250, message, toYes, toHold)
			become(t, a.Queue(), id, "hold pending, yes pending, held by filter:first")
			it, err := a.Queue().Get(t.Context(), queue.ID(id))
			if err != nil {
				t.Fatal(err)
			}
			if h := it.Hold; h.Then != queue.HoldBounce || h.Until.Sub(h.Since) != 24*time.Hour {
				t.Errorf("hold %+v", h)
			}
			if len(next.got) != 0 {
				t.Error("something was delivered")
			}
		})
	}
}

// With one recipient deferred SMTP can only defer all; after the queue each goes
// its own way.
func TestDeferredForOneIsDeferredForAllWhileTheClientWaits(t *testing.T) {
	for _, timing := range timings {
		t.Run(timing, func(t *testing.T) {
			next := newSink(t)
			a, _ := start(t, read(t, t.TempDir(), pairConfig(next.addr, timing, "")))
			j := judging(t, a, map[string]func([]string) filterproto.Verdict{"first": eachTheirs, "second": acceptsAll})
			c := dial(t, a.Addr("smtp").String())
			if timing != "after" {
				c.sendTo(451, message, toYes, toWait, toNo)
				nothingLeft(t, a, next)
				return
			}
			_, id := c.sendTo(250, message, toYes, toWait, toNo)
			become(t, a.Queue(), id, "no failed, done", "wait pending, unfiltered first", "yes relayed, done")
			if got := j.saw("second"); !slices.Equal(got, []string{"[" + toYes + "]"}) {
				t.Errorf("the second filter saw %v", got)
			}
		})
	}
}

// mtad is killed when the verdict was taken: every part is where its verdict put
// it, once.
func TestKilledBehindAVerdictForEachEveryPartGoesItsWay(t *testing.T) {
	next, dir := newSink(t), t.TempDir()
	text := pairConfig(next.addr, "after", fmt.Sprintf(`
hostname: mx.test
spool: {directory: %s/spool, allow_volatile: true, free_floor: 1M, ballast: 0}
`, dir))
	apiAddr := scannertest.FreeAddr(t)
	text = strings.Replace(text, `listen: ["127.0.0.1:0"]`, fmt.Sprintf("listen: [%q]", apiAddr), 1)
	file := filepath.Join(dir, "mtad.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	first := spawn(t, file)
	_, id := dial(t, first.addr).sendTo(250, message, toYes, toHold, toNo)
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "http://" + apiAddr, Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Claim(t.Context(), "first", filterproto.ClaimRequest{Max: 1, Wait: 60, Lease: 60})
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	res, err := c.Verdicts(t.Context(), []filterproto.VerdictEntry{{Token: got[0].Token, Verdict: eachTheirs([]string{toYes, toHold, toNo})}})
	if err != nil || !res[0].OK {
		t.Fatal(res, err)
	}
	first.kill(t)

	a, _ := startFile(t, file)
	judging(t, a, map[string]func([]string) filterproto.Verdict{"first": eachTheirs, "second": acceptsAll})
	become(t, a.Queue(), id, "hold pending, held by filter:first", "no failed, done", "yes relayed, done")
}

// A milter says at RCPT what it thinks of each recipient, and holds the rest at the
// end.
func TestMilterJudgesEachRecipient(t *testing.T) {
	for _, timing := range timings {
		t.Run(timing, func(t *testing.T) {
			s := miltertest.Start(t, "unix")
			s.Answer = func(p miltertest.Packet) []miltertest.Packet {
				switch {
				case p.Command == 'E':
					return []miltertest.Packet{{Command: 'q', Data: "odd\x1b\x00"}, {Command: 'c'}}
				case p.Command == 'R' && strings.HasPrefix(p.Data, "<"+toWait):
					return []miltertest.Packet{{Command: 'y', Data: "451 4.7.1 later\x00"}}
				}
				return refuse('R', "<"+toNo, "550 5.7.1 not for you")(p)
			}
			next := newSink(t)
			a, _ := start(t, read(t, t.TempDir(), milterConfig(next.addr, s, timing, "")))
			c := dial(t, a.Addr("smtp").String())
			_, id := c.sendTo(250, message, toYes, toNo)
			become(t, a.Queue(), id, "no failed, done", "yes pending, held by filter:m")
			if m := next.wait(t); fmt.Sprint(m.to) != "[a@example.org]" || !strings.Contains(string(m.data), toNo) || strings.Contains(string(m.data), "Final-Recipient: rfc822; "+toYes) {
				t.Errorf("report to %v:\n%s", m.to, m.data)
			}
			if timing != "after" {
				c.sendTo(550, message, toNo)
				c.sendTo(451, message, toYes, toWait)
			}
			if len(next.got) != 0 {
				t.Errorf("more was sent: %v", (<-next.got).to)
			}
		})
	}
}
