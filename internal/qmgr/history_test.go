package qmgr

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into testdata/*.history")

// TestHistories replays testdata/*.history: lines of commands, each followed by
// what it printed, indented by a tab. Lines that begin with # and empty ones are
// for the reader. Commands:
//
//	options KEY=VALUE ...          a new core; durations and numbers
//	add CLASS TRANSPORT/HOP ID ... claimed items join the active set
//	                               (CLASS! for items an operator flushed)
//	order CLASS                    what would be claimed
//	next [WORKER]                  a worker takes a job; it stays where it was
//	done ID SIGNAL [REPLY]         a job ends: good, bad or silent
//	wait DURATION                  time passes
//	sweep                          idle destinations are forgotten
//	state                          the destinations
//	backoff ATTEMPTS R             what policy says, R in [0,1)
func TestHistories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.history")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
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

func replay(t *testing.T, text string) string {
	h := &history{now: time.Unix(0, 0).UTC(), jobs: map[string]*job{}, at: map[string]*destination{}}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line)
		if f := strings.Fields(line); len(f) > 0 && f[0][0] != '#' {
			for l := range strings.Lines(h.run(t, f)) {
				out.WriteString("\t" + l)
			}
			h.check(t, line)
		}
	}
	return out.String()
}

type history struct {
	o    Options
	c    *core
	now  time.Time
	jobs map[string]*job
	at   map[string]*destination // where a worker's last job was
}

var classNames = [classes]string{"fresh", "retry"}

func (h *history) run(t *testing.T, f []string) string {
	t.Helper()
	switch f[0] {
	case "options":
		h.options(t, f[1:])
	case "add":
		transport, hop, _ := strings.Cut(f[2], "/")
		for _, id := range f[3:] {
			j := &job{class: class(slices.Index(classNames[:], strings.TrimSuffix(f[1], "!")))}
			j.eager = strings.HasSuffix(f[1], "!")
			j.Item.ID = queue.ID(id)
			h.jobs[id] = j
			h.c.add(j, place{transport, hop}, h.now)
		}
	case "order":
		return h.order(class(slices.Index(classNames[:], f[1])))
	case "next":
		return h.next(strings.Join(f[1:], ""))
	case "done":
		s := signal(slices.Index([]string{"silent", "good", "bad"}, f[2]))
		return h.done(h.jobs[f[1]], s, strings.Join(f[3:], " "))
	case "wait":
		h.now = h.now.Add(duration(t, f[1]))
	case "sweep":
		h.c.sweep(h.now)
	case "state":
		return h.state()
	case "backoff":
		p := newPolicy(&h.o)
		r, _ := strconv.ParseFloat(f[2], 64)
		return p.backoff(number(t, f[1]), r).String() + "\n"
	default:
		t.Fatalf("command %q", f[0])
	}
	return ""
}

func (h *history) options(t *testing.T, kvs []string) {
	h.o = Options{}
	for _, kv := range kvs {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "active":
			h.o.ActiveLimit = number(t, v)
		case "workers":
			h.o.Concurrency = number(t, v)
		case "initial":
			h.o.Initial = number(t, v)
		case "limit":
			h.o.Limit = number(t, v)
		case "dead-after":
			h.o.DeadAfter = number(t, v)
		case "dead-min":
			h.o.DeadMin = duration(t, v)
		case "dead-max":
			h.o.DeadMax = duration(t, v)
		default:
			t.Fatalf("option %q", k)
		}
	}
	h.o = h.o.withDefaults()
	h.c = newCore(&h.o)
}

func (h *history) order(c class) string {
	o := h.c.order(c)
	if o.max == 0 {
		return "nothing\n"
	}
	s := fmt.Sprintf("max %d, of one next hop %d\n", o.max, o.perHop)
	for _, hop := range slices.Sorted(maps.Keys(o.perHopMax)) {
		s += fmt.Sprintf("of %s %d\n", hop, o.perHopMax[hop])
	}
	for _, hop := range slices.Sorted(maps.Keys(o.not)) {
		s += fmt.Sprintf("not %s\n", hop)
	}
	return s
}

func (h *history) next(worker string) string {
	j, putOff := h.c.next(h.at[worker], h.now)
	if j == nil {
		h.at[worker] = nil
		return "none\n"
	}
	h.at[worker] = j.dest
	s := fmt.Sprintf("%s %s", j.Item.ID, j.dest.name())
	if putOff {
		s += " put off until " + h.clock(j.dest.deadUntil)
	} else if j.dest.probing() {
		s += " probe"
	}
	return s + "\n"
}

func (h *history) done(j *job, s signal, reply string) string {
	out := ""
	for c, is := range h.c.done(j, s, reply, "", h.now) {
		if is {
			out += "claim " + classNames[c] + "\n"
		}
	}
	return out
}

func (h *history) state() (s string) {
	s = fmt.Sprintf("at %s: active fresh %d retry %d\n", h.clock(h.now), h.c.active[fresh], h.c.active[retry])
	byName := func(a, b *destination) int { return strings.Compare(a.name(), b.name()) }
	for _, d := range slices.SortedFunc(maps.Values(h.c.dests), byName) {
		s += fmt.Sprintf("%s: held %d+%d running %d window %.2f", d.name(), d.held[fresh], d.held[retry], d.running, d.window)
		if d.failures > 0 {
			s += fmt.Sprintf(" failures %d", d.failures)
		}
		if d.dead(h.now) {
			s += " dead until " + h.clock(d.deadUntil)
		} else if d.probing() {
			s += " to be probed"
		}
		s += "\n"
	}
	return s
}

func (d *destination) name() string {
	if d.place == desk {
		return "desk"
	}
	return d.transport + "/" + d.nextHop
}

func (h *history) clock(t time.Time) string { return t.Sub(time.Unix(0, 0)).String() }

// check is the core's invariants.
func (h *history) check(t *testing.T, after string) {
	t.Helper()
	if err := h.c.check(h.now); err != nil {
		t.Fatalf("after %q: %v", after, err)
	}
}

func (c *core) check(now time.Time) error {
	var sum [classes]int
	lined := map[*destination]*line{}
	for _, l := range []*line{&c.calm, &c.busy} {
		n := 0
		for d := l.first; d != nil; d = d.after {
			lined[d] = l
			n++
		}
		if n != l.n {
			return fmt.Errorf("a line of %d counts %d", n, l.n)
		}
	}
	idle, running := 0, 0
	for p, d := range c.dests {
		waiting := d.waiting[fresh].n + d.waiting[retry].n
		switch {
		case d.place != p:
			return fmt.Errorf("%v is filed under %v", d.place, p)
		case waiting+d.running != d.total() || d.running < 0:
			return fmt.Errorf("%s: waiting %d running %d held %v", d.name(), waiting, d.running, d.held)
		case d.line != lined[d] || d.ready(now) && d.line == nil:
			return fmt.Errorf("%s: ready %v, lined up %v", d.name(), d.ready(now), d.line != nil)
		case d.line == &c.busy && d.calm(now):
			return fmt.Errorf("%s waits with the busy ones", d.name())
		case d.place != desk && (d.window < 1 || d.window > float64(c.limit)):
			return fmt.Errorf("%s: window %v", d.name(), d.window)
		}
		if d.total() == 0 {
			idle++
		}
		running += d.running
		for cl := range classes {
			sum[cl] += d.held[cl]
		}
	}
	if sum != c.active || idle != c.idle || idle > maxIdle || running != c.running {
		return fmt.Errorf("active %v, held %v; idle %d, counted %d; running %d, counted %d", c.active, sum, idle, c.idle, running, c.running)
	}
	if sum[fresh]+sum[retry] > c.activeLimit {
		return fmt.Errorf("active %v over %d", sum, c.activeLimit)
	}
	return nil
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
