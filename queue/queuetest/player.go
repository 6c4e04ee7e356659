package queuetest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

// player plays the commands of a written history.
type player struct {
	*rig
	names   []string // of messages, in the order of their IDs
	ids     map[string]queue.ID
	writers map[string]queue.Writer
	tokens  map[string][]queue.Token // by holder: what it claimed last
}

func newPlayer(t *testing.T, s *Subject) *player {
	r := &rig{T: t, Subject: s, q: s.Queue}
	t.Cleanup(func() { r.q.Close() })
	return &player{rig: r, ids: map[string]queue.ID{}, writers: map[string]queue.Writer{}, tokens: map[string][]queue.Token{}}
}

// play answers one command: what it left, or its error.
func (p *player) play(line string) string {
	p.Helper()
	f := strings.Fields(line)
	commands := map[string]func([]string) (string, error){
		"create": p.create, "stage": p.create, "commit": p.commit, "abort": p.abort, "claim": p.claim, "answer": p.answer,
		"operate": p.operate, "release": p.release, "extend": p.extend, "advance": p.advance, "crash": p.crash, "list": p.list,
		"history": p.history, "content": p.content, "bulk": p.bulk,
	}
	command := commands[f[0]]
	if command == nil {
		p.Fatalf("no command %q", f[0])
	}
	if f[0] != "create" && f[0] != "stage" {
		f = f[1:]
	}
	out, err := command(f)
	if err != nil {
		return fmt.Sprintf("error: %v\n", kind(err))
	}
	return out
}

// options reads key=value and plain words.
func options(f []string) map[string]string {
	o := map[string]string{}
	for _, w := range f {
		k, v, _ := strings.Cut(w, "=")
		o[k] = v
	}
	return o
}

func (p *player) duration(s string) time.Duration {
	p.Helper()
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	p.must(err)
	return d
}

// create|stage NAME to=PATH,… [stage=S] [chain=C] [hold=REASON] [until=D] [then=END] [due=D] [dedupe=K]
func (p *player) create(f []string) (string, error) {
	name, o := f[1], options(f[2:])
	opts := queue.CreateOptions{Chain: o["chain"], Stage: o["stage"], DedupeKey: o["dedupe"]}
	if d := p.duration(o["due"]); d > 0 {
		opts.NextAt = p.now().Add(d)
	}
	if o["hold"] != "" {
		opts.Hold = p.holdOf(o)
	}
	w, err := p.q.Create(p.ctx(), envelope(strings.Split(o["to"], ",")...), opts)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return "", err
	}
	p.names = append(p.names, name)
	p.ids[name], p.writers[name] = w.ID(), w
	if f[0] == "stage" {
		return "", w.Stage(p.ctx())
	}
	return p.commit([]string{name})
}

func (p *player) holdOf(o map[string]string) *queue.Hold {
	h := &queue.Hold{By: "operator:ann", Reason: o["hold"]}
	if d := p.duration(o["until"]); d > 0 {
		h.Until = p.now().Add(d)
	}
	if o["then"] != "" {
		p.must(h.Then.UnmarshalText([]byte(o["then"])))
	}
	return h
}

func (p *player) commit(f []string) (string, error) {
	if _, err := p.writers[f[0]].Commit(p.ctx()); err != nil {
		return "", err
	}
	return p.history(f)
}

func (p *player) abort(f []string) (string, error) { return "", p.writers[f[0]].Abort() }

// claim HOLDER STATE [stage=S] [max=N] [lease=D]: the answers of HOLDER are for
// what it claimed last, in the order of IDs.
func (p *player) claim(f []string) (string, error) {
	o := options(f[2:])
	spec := queue.ClaimSpec{Holder: f[0], Stage: o["stage"], Max: 100, Lease: time.Minute}
	var err error
	spec.From, err = queue.ParseState(f[1])
	p.must(err)
	if o["lease"] != "" {
		spec.Lease = p.duration(o["lease"])
	}
	claims, err := p.q.Claim(p.ctx(), spec)
	if err != nil {
		return "", err
	}
	slices.SortFunc(claims, func(a, b queue.Claim) int { return compareID(a.Item.ID, b.Item.ID) })
	p.tokens[f[0]] = nil
	for _, c := range claims {
		p.tokens[f[0]] = append(p.tokens[f[0]], c.Token)
	}
	return p.show(items(claims)), nil
}

// answer HOLDER OP…: for each of its claims.
func (p *player) answer(f []string) (string, error) {
	var out []queue.Item
	for _, t := range p.tokens[f[0]] {
		got, err := p.q.Apply(p.ctx(), queue.Txn{Token: t, By: f[0], Ops: p.ops(f[1:])})
		if err != nil {
			return "", err
		}
		out = append(out, got...)
	}
	return p.show(out), nil
}

// operate NAME[.PART] [force] OP…
func (p *player) operate(f []string) (string, error) {
	base, part, _ := strings.Cut(f[0], ".")
	x := queue.Txn{ID: p.ids[base], By: "operator:ann"}
	if part != "" {
		x.ID += queue.ID("." + part)
	}
	f = f[1:]
	if f[0] == "force" {
		x.Force, f = true, f[1:]
	}
	x.Ops = p.ops(f)
	out, err := p.q.Apply(p.ctx(), x)
	if err != nil {
		return "", err
	}
	return p.show(out), nil
}

// release HOLDER [delay=D] [lost]
func (p *player) release(f []string) (string, error) {
	o := options(f[1:])
	_, lost := o["lost"]
	for _, t := range p.tokens[f[0]] {
		if err := p.q.Release(p.ctx(), t, p.duration(o["delay"]), lost); err != nil {
			return "", err
		}
	}
	return "", nil
}

// extend HOLDER D
func (p *player) extend(f []string) (string, error) {
	for _, err := range p.q.Extend(p.ctx(), p.tokens[f[0]], p.duration(f[1])) {
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

func (p *player) advance(f []string) (string, error) {
	p.Advance(p.duration(f[0]))
	return p.list(nil)
}

func (p *player) crash([]string) (string, error) {
	p.rig.crash()
	return p.list(nil)
}

func (p *player) list([]string) (string, error) {
	page, err := p.q.List(p.ctx(), queue.Filter{}, "", queue.MaxPage)
	if err != nil {
		return "", err
	}
	return p.show(page.Items), nil
}

func (p *player) history(f []string) (string, error) {
	parts, err := p.q.History(p.ctx(), p.ids[f[0]])
	if err != nil {
		return "", err
	}
	return p.show(parts), nil
}

// content NAME [GENERATION]
func (p *player) content(f []string) (string, error) {
	s := queue.OpenSpec{ID: p.ids[f[0]], Generation: -1}
	if len(f) > 1 {
		if _, err := fmt.Sscan(f[1], &s.Generation); err != nil {
			p.Fatal(err)
		}
	}
	c, err := p.q.Open(p.ctx(), s)
	if err != nil {
		return "", err
	}
	body, err := readAll(c)
	return fmt.Sprintf("%q\n", body), err
}

// bulk KIND FILTER…
func (p *player) bulk(f []string) (string, error) {
	filter, err := queue.ParseFilter(strings.Join(f[1:], " "))
	p.must(err)
	id, err := p.q.Bulk(p.ctx(), filter, queue.Action{
		Kind: queue.ActionKind(f[0]), By: "operator:ann", Reason: "bulk", Stages: map[string]string{"in": "scan"},
	})
	if err != nil {
		return "", err
	}
	st := p.finished(id)
	out, err := p.list(nil)
	return fmt.Sprintf("matched %d changed %d failed %d\n", st.Matched, st.Changed, st.Failed) + out, err
}
