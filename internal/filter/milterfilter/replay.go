package milterfilter

import (
	"bytes"
	"context"
	"errors"
	"io"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/milter"
)

// replay leads a milter through one message.
type replay struct {
	f      *Filter
	s      *milter.Session
	m      filter.Message
	macros macros
	edits  *collector

	refused []filterproto.RecipientVerdict // recipients that the milter did not take
	taken   int                            // and how many it did
	ongoing bool                           // the conversation can go on with another message
}

// newReplay makes a replay; without a session it only knows of answers.
func newReplay(f *Filter, s *milter.Session, m filter.Message) *replay {
	r := &replay{f: f, s: s, m: m, macros: macros{}}
	r.edits = newCollector(m, s != nil && s.HeaderSpace())
	return r
}

// step is a part of the dialogue.
type step func(context.Context) (milter.Answer, error)

// whole leads through everything, with connect and HELO when the conversation is
// fresh, and returns the verdict on the message.
func (r *replay) whole(ctx context.Context, fresh bool) (filterproto.Verdict, error) {
	c := &r.m.Item.Envelope.Client
	r.macros.client(&r.f.o, c)
	r.s.Macros = r.macros.lookup
	if fresh {
		if v, through, err := r.run(ctx, r.connect, r.helo); !through {
			return v, err
		}
	}
	r.macros.helo(c)
	r.ongoing = true
	return r.toTheEnd(ctx, r.mail, r.recipients, r.data, r.content, r.end)
}

// rest leads through the content, in a conversation that heard what goes before it
// with these macros.
func (r *replay) rest(ctx context.Context, m macros) (filterproto.Verdict, error) {
	r.macros, r.ongoing = m, true
	r.macros.mail(&r.m.Item.Envelope, string(r.m.Item.ID))
	r.s.Macros = r.macros.lookup
	return r.toTheEnd(ctx, r.content, r.end)
}

func (r *replay) toTheEnd(ctx context.Context, steps ...step) (filterproto.Verdict, error) {
	v, through, err := r.run(ctx, steps...)
	if through {
		v = r.verdict(milter.Answer{Action: milter.Accept})
	}
	return v, err
}

// run takes steps until the verdict is clear; through says that it is not.
func (r *replay) run(ctx context.Context, steps ...step) (v filterproto.Verdict, through bool, err error) {
	for _, step := range steps {
		a, err := step(ctx)
		switch {
		case err != nil:
			return filterproto.Verdict{}, false, err
		case r.taken == 0 && len(r.refused) > 0:
			return r.nobody(), false, nil
		case !a.Through():
			r.ongoing = r.ongoing && a.Action != milter.Shutdown
			return r.verdict(a), false, nil
		}
	}
	return v, true, nil
}

// drop drops the edits of a dialogue that failed.
func (r *replay) drop(err error) {
	if err != nil {
		r.edits.abandon()
	}
}

func (r *replay) connect(context.Context) (milter.Answer, error) {
	return r.s.Connect(peerOf(&r.m.Item.Envelope.Client))
}

func (r *replay) helo(context.Context) (milter.Answer, error) {
	c := &r.m.Item.Envelope.Client
	r.macros.helo(c)
	return r.s.Helo(heloOf(c))
}

func (r *replay) mail(context.Context) (milter.Answer, error) {
	e := &r.m.Item.Envelope
	r.macros.mail(e, string(r.m.Item.ID))
	return r.s.Mail(wirePath(e.ReversePath), mailArgs(e))
}

// recipients names those that still wait. A refusal is the recipient's own; every
// other answer is about the message.
func (r *replay) recipients(context.Context) (milter.Answer, error) {
	for rc := range waiting(&r.m.Item.Envelope) {
		r.macros.rcpt(rc)
		a, err := r.s.Rcpt(wirePath(rc.Path), rcptArgs(rc))
		switch {
		case err != nil:
			return a, err
		case a.Action == milter.Reject || a.Action == milter.Tempfail:
			r.refuse(rc.Path, refusal(a))
		case a.Through():
			r.taken++
		default:
			r.taken++
			return a, nil
		}
	}
	return milter.Answer{Action: milter.Continue}, nil
}

func (r *replay) data(context.Context) (milter.Answer, error) { return r.s.Data() }

// content shows header section and body.
func (r *replay) content(ctx context.Context) (milter.Answer, error) {
	c, err := r.m.Open(ctx, false)
	if err != nil {
		return milter.Answer{}, err
	}
	defer c.Close()
	fields, body, err := filter.ReadFields(c, r.f.o.MaxHeader)
	if large, ok := errors.AsType[*filter.VerdictError](err); ok {
		return milter.Answer{}, &filter.Failure{Class: filter.OverSize, Err: large}
	}
	if err != nil {
		return milter.Answer{}, err
	}
	if a, err := r.header(fields); err != nil || !a.Through() {
		return a, err
	}
	return r.body(body)
}

func (r *replay) header(fields []filter.Field) (milter.Answer, error) {
	for _, f := range fields {
		value := string(bytes.ReplaceAll(f.Value, []byte("\r\n"), []byte("\n")))
		a, err := r.s.Header(f.Name, value)
		if err != nil || !a.Through() {
			return a, err
		}
		if a.Action == milter.Skip {
			break
		}
	}
	return r.s.EndOfHeaders()
}

func (r *replay) body(body io.Reader) (milter.Answer, error) {
	buf := make([]byte, min(milter.MaxData, r.m.Item.Size()+1)) // one more: the end is seen with the last piece
	for r.s.WantsBody() {
		n, err := io.ReadFull(body, buf)
		if n > 0 {
			if a, err := r.s.Body(buf[:n]); err != nil || !a.Through() {
				return a, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return milter.Answer{}, err
		}
	}
	return milter.Answer{Action: milter.Continue}, nil
}

func (r *replay) end(ctx context.Context) (milter.Answer, error) {
	a, err := r.s.End(func(m milter.Modification) error { return r.edits.add(ctx, m) })
	if err != nil || !a.Through() && a.Action != milter.Accept {
		r.edits.abandon()
		return a, err
	}
	return a, r.edits.finish(ctx)
}
