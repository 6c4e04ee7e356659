package execfilter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"mtad/filterproto"
	"mtad/internal/filter"
)

// Filter runs one program. It is a filter.Kind, safe for concurrent use.
type Filter struct {
	o   Options
	who identity
}

// Scan runs the program on a message. The error is a *filter.Failure, ctx's own,
// or one of the queue.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	src, err := m.Source(ctx, f.o.Trace)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer src.Close()
	dir, remove, err := f.directory()
	if err != nil {
		return filterproto.Verdict{}, fail(filter.Unreachable, err)
	}
	defer remove()
	r := &run{f: f, m: m, src: src}
	if f.o.Replace {
		r.out = m.Replacement(ctx, f.o.Limits.Output)
		r.out.FixLineEnds = true
		defer func() { _ = r.out.Abort() }()
	}
	if err := r.program(ctx, dir); err != nil {
		return filterproto.Verdict{}, err
	}
	return r.verdict(ctx)
}

func fail(c filter.Class, err error) error {
	return &filter.Failure{Class: c, Err: fmt.Errorf("execfilter: %w", err)}
}

// directory makes the place where a program runs.
func (f *Filter) directory() (dir string, remove func(), err error) {
	if f.o.Directory != "" {
		return f.o.Directory, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "mtad-exec-")
	if err != nil {
		return "", nil, err
	}
	remove = func() {
		if err := os.RemoveAll(dir); err != nil {
			f.o.Logger.Warn("directory of a program is left behind", "directory", dir, "error", err)
		}
	}
	if c := f.who.credential; c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			remove()
			return "", nil, err
		}
	}
	return dir, remove, nil
}

// run is one message going through the program.
type run struct {
	f    *Filter
	m    filter.Message
	src  *filter.Source
	out  *filter.Replacement // nil: none is wanted
	errs stderr

	outErr  error // of the replacement
	readErr error // of our end of standard output
	state   *os.ProcessState
}

// program starts it, feeds it, and waits for its end and that of ctx, whichever
// is first.
func (r *run) program(ctx context.Context, dir string) error {
	x, err := r.f.pipes()
	if err != nil {
		return fail(filter.Unreachable, err)
	}
	defer x.close()
	p, err := r.f.launch(x, r.f.environ(r.m.Filter, r.m.Item, dir), dir)
	if err != nil {
		return fail(filter.Unreachable, err)
	}
	tooMuch := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { r.feed(x) })
	wg.Go(func() { _ = writeEnvelope(x.env, r.m.Item); x.env.Close() })
	wg.Go(func() { _, _ = io.Copy(&r.errs, x.errs) })
	if x.out != nil {
		wg.Go(func() { r.collect(x.out, tooMuch) })
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.end(r.f.o.Limits.Grace)
	case <-tooMuch:
		p.end(r.f.o.Limits.Grace)
	}
	x.drain()
	wg.Wait()
	r.state = p.state
	r.log()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.err != nil:
		return fail(filter.Crash, p.err)
	}
	return r.src.Err()
}

// feed writes the content. A program may close its input when it has seen
// enough: an error of the pipe is none.
func (r *run) feed(x *pipes) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{x.in}, struct{ io.Reader }{r.src}, make([]byte, 32<<10))
	x.in.Close()
}

// collect takes standard output; tooMuch is closed when it cannot go on.
func (r *run) collect(out io.Reader, tooMuch chan<- struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := out.Read(buf)
		if n > 0 {
			if _, r.outErr = r.out.Write(buf[:n]); r.outErr != nil {
				close(tooMuch)
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				r.readErr = err
			}
			return
		}
	}
}

// verdict reads the exit status.
func (r *run) verdict(ctx context.Context) (filterproto.Verdict, error) {
	if errors.Is(r.outErr, filter.ErrReplacementLarge) {
		return filterproto.Verdict{}, fail(filter.Protocol, r.outErr)
	} else if r.outErr != nil {
		return filterproto.Verdict{}, r.outErr
	}
	ws, _ := r.state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return filterproto.Verdict{}, fail(filter.Crash, fmt.Errorf("signal %d (%s)%s", ws.Signal(), ws.Signal(), r.errs.tail()))
	}
	code := r.state.ExitCode()
	reason := fmt.Sprintf("exit status %d%s", code, r.errs.tail())
	a := r.f.answer(code)
	if a == Unknown {
		return filterproto.Verdict{}, fail(filter.Protocol, errors.New(reason))
	}
	if r.out == nil || a != Accept && a != Quarantine {
		return a.verdict(reason, nil), nil
	}
	if r.readErr != nil {
		return filterproto.Verdict{}, fail(filter.Protocol, errors.New("standard output stayed open after the end"))
	}
	edits, err := r.out.Edits(ctx, r.src)
	if errors.Is(err, filter.ErrReplacementEmpty) {
		err = fail(filter.Protocol, err)
	}
	if err != nil {
		return filterproto.Verdict{}, err
	}
	return a.verdict(reason, edits), nil
}

func (r *run) log() {
	if text := r.errs.String(); text != "" {
		r.f.o.Logger.Info("standard error of a program", "queue_id", string(r.m.Item.ID), "filter", r.m.Filter,
			"program", r.f.o.Command[0], "text", text, "octets", r.errs.total)
	}
}
