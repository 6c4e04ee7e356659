package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mtad/internal/admission"
	"mtad/internal/maildrop"
	"mtad/internal/submission"
)

// Door is what is needed of *admission.Door.
type Door interface {
	Submit(ctx context.Context, c admission.Caller, r admission.Request) (admission.Result, error)
	GrantOf(uid int, groups []int) (admission.Grant, bool)
	Limits() submission.Limits
	Settings() admission.Settings
}

// Options say what a Pickup works with. Dir and Door are required.
type Options struct {
	Dir      string // the maildrop
	Door     Door
	Hostname string // written into the maildrop for writers
	Logger   *slog.Logger
	Now      func() time.Time // default time.Now
	Rescan   time.Duration    // looks without a notification; default 1 min
	Stale    time.Duration    // age of a half-written file that is set aside; default 24 h
	PerUser  int              // files of one user in one pass; default 100
	MaxAside int              // files set aside; more stay where they are; default 10000
}

// Pickup goes through a maildrop. Run is called once; Status at any time.
type Pickup struct {
	o        Options
	log      *slog.Logger
	in, away string
	gid      uint32          // of the directory, and of every file that was made there
	stays    map[string]bool // of the last pass; Run's

	mu     sync.Mutex
	status Status
}

// Status is what lies in a maildrop, as of the last pass.
type Status struct {
	Directory string
	Waiting   int            // could not be taken now
	Aside     map[string]int // by reason; what cannot even be moved is counted, too
}

// New makes the directories where they are missing and looks at their owners and
// modes. It takes nothing yet.
func New(o Options) (*Pickup, error) {
	p := &Pickup{o: o, log: o.Logger, in: filepath.Join(o.Dir, maildrop.In), away: filepath.Join(o.Dir, maildrop.Aside)}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.o.Now == nil {
		p.o.Now = time.Now
	}
	p.o.Rescan = orDefault(p.o.Rescan, time.Minute)
	p.o.Stale = orDefault(p.o.Stale, 24*time.Hour)
	p.o.PerUser = orDefault(p.o.PerUser, 100)
	p.o.MaxAside = orDefault(p.o.MaxAside, 10_000)
	p.status = Status{Directory: o.Dir}
	if err := p.directories(); err != nil {
		return nil, fmt.Errorf("pickup: %w", err)
	}
	return p, nil
}

func orDefault[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Status is a copy of what the last pass found.
func (p *Pickup) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Aside = maps.Clone(s.Aside)
	return s
}

// Bounds of the time between two passes.
const (
	breath     = 20 * time.Millisecond // after every pass, so that nobody keeps mtad busy with renames
	firstRetry = 2 * time.Second       // when a message could not be taken for now
)

// Run takes what is there and what comes, until ctx ends.
func (p *Pickup) Run(ctx context.Context) error {
	w, watched := watch(ctx, p.in, p.log)
	defer func() { <-watched }()
	retry := firstRetry
	for ctx.Err() == nil {
		next := p.o.Rescan
		switch left, err := p.pass(ctx); {
		case ctx.Err() != nil:
		case err != nil:
			p.log.Error("maildrop", "error", err)
		case left == more:
			next = breath
		case left == later:
			next = min(retry, p.o.Rescan)
			retry = min(2*retry, p.o.Rescan)
		default:
			retry = firstRetry
		}
		if !wait(ctx, w, next) {
			break
		}
	}
	return ctx.Err()
}

// wait waits for a notification or the time; false: ctx ended.
func wait(ctx context.Context, w <-chan struct{}, d time.Duration) bool {
	if !pause(ctx, nil, min(d, breath)) {
		return false
	}
	return d <= breath || pause(ctx, w, d-breath)
}

func pause(ctx context.Context, w <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w:
	case <-t.C:
	}
	return true
}

// rest says what a pass left.
type rest uint8

const (
	nothing rest = iota
	later        // could not be taken now
	more         // of somebody with many
)

// pass goes through the directory once.
func (p *Pickup) pass(ctx context.Context) (rest, error) {
	d, err := os.Open(p.in)
	if err != nil {
		return nothing, err
	}
	defer d.Close()
	r := &round{p: p, taken: map[uint32]int{}, tired: map[uint32]bool{}, fixed: map[string]int{}, stays: map[string]bool{}}
	for ctx.Err() == nil && !r.stopped {
		entries, err := d.ReadDir(256)
		for _, e := range entries {
			if ctx.Err() != nil || r.stopped {
				break
			}
			r.entry(ctx, e)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nothing, err
		}
	}
	p.count(r)
	p.stays = r.stays
	switch {
	case r.stopped || r.waiting > 0 && !r.more:
		return later, nil
	case r.more:
		return more, nil
	}
	return nothing, nil
}

// count brings Status up to date.
func (p *Pickup) count(r *round) {
	s := Status{Directory: p.o.Dir, Waiting: r.waiting, Aside: map[string]int{}}
	if entries, err := readSome(p.away, p.o.MaxAside); err == nil {
		for _, e := range entries {
			s.Aside[reasonOf(e)]++
		}
	}
	for reason, n := range r.fixed {
		s.Aside[reason] += n
	}
	p.mu.Lock()
	p.status = s
	p.mu.Unlock()
}
