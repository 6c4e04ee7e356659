package smtpfilter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/smtp"
	"mtad/internal/smtpclient"
)

// verdictOf is the verdict for what came back, and, by index, for those for whom
// nothing did.
func (p *pairing) verdictOf(rest map[int]filterproto.Verdict) filterproto.Verdict {
	if v, ok := p.single(rest); ok {
		return v
	}
	var v filterproto.Verdict
	for _, k := range p.kept {
		part := filterproto.RecipientVerdict{Verdict: filterproto.Verdict{Disposition: filterproto.Accept, Edits: k.edits}}
		for _, i := range k.rcpts {
			if path := p.m.Item.Envelope.Recipients[i].Path; !slices.Contains(part.Recipients, path) {
				part.Recipients = append(part.Recipients, path)
			}
		}
		v.Recipients = append(v.Recipients, part)
	}
	named := map[string]bool{}
	for _, i := range slices.Sorted(maps.Keys(rest)) {
		path := p.m.Item.Envelope.Recipients[i].Path
		if named[path] { // it stands in the envelope twice
			continue
		}
		named[path] = true
		v.Recipients = append(v.Recipients, filterproto.RecipientVerdict{Recipients: []string{path}, Verdict: rest[i]})
	}
	// Everybody has a verdict of their own; the outer one is for nobody.
	v.Disposition = filterproto.Defer
	return v
}

// single is the verdict when one does for all, or one message came back and the
// others were dropped.
func (p *pairing) single(rest map[int]filterproto.Verdict) (v filterproto.Verdict, ok bool) {
	switch {
	case len(p.kept) > 1:
		return v, false
	case len(p.kept) == 1:
		v = filterproto.Verdict{Disposition: filterproto.Accept, Edits: p.kept[0].edits}
		for _, i := range slices.Sorted(maps.Keys(rest)) {
			if rest[i].Disposition != filterproto.Discard {
				return v, false
			}
			v.Edits = append(v.Edits, p.gone(i))
		}
		return v, len(v.Edits) <= filterproto.MaxEdits
	}
	first := true
	for _, r := range rest {
		if !first && (r.Disposition != v.Disposition || r.Reply != nil && *r.Reply != *v.Reply) {
			return v, false
		}
		v, first = r, false
	}
	return v, !first
}

// finish ends the scan: with what was judged before, or with what the scanner's
// replies say of the recipients for whom nothing came back. sent are their
// indexes in the order of the replies.
func (p *pairing) finish(out *smtpclient.Outcome, sent []int) (filterproto.Verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.verdict != nil {
		return *p.verdict, nil
	}
	if p.err != nil {
		return filterproto.Verdict{}, p.err
	}
	if err := p.src.Err(); err != nil {
		return filterproto.Verdict{}, err
	}
	rest := map[int]filterproto.Verdict{}
	for n, i := range sent {
		if !p.open[i] {
			continue
		}
		v, err := answer(out.Results[n], out)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		rest[i] = v
	}
	v := p.verdictOf(rest)
	if len(p.kept) > 0 {
		p.verdict = &v
	}
	return v, nil
}

// answer makes a verdict of a reply.
func answer(r smtpclient.Result, out *smtpclient.Outcome) (v filterproto.Verdict, err error) {
	text := "smtp: " + string(r.Stage) + ": " + r.Reply.String()
	switch {
	case r.Reply.Code == 552 && r.Stage != smtpclient.StageRcpt: // there it is about their number
		return v, failure(filter.OverSize, errors.New(text))
	case r.Local, misunderstood(r.Reply.Code):
		return v, failure(filter.Protocol, errors.New(text))
	case r.Reply.IsZero():
		return v, lost(out)
	case r.Reply.Code == 421 && r.Stage != smtpclient.StageEnd:
		return v, failure(filter.Unreachable, errors.New(text))
	case r.Reply.Positive():
		return filterproto.Verdict{Disposition: filterproto.Discard, Reason: clip("taken and not given back: "+r.Reply.String(), 500)}, nil
	case r.Reply.Permanent():
		return filterproto.Verdict{Disposition: filterproto.Reject, Reply: reply(r.Reply), Reason: clip(text, 500)}, nil
	case r.Reply.Transient():
		return filterproto.Verdict{Disposition: filterproto.Defer, Reply: reply(r.Reply), Reason: clip(text, 500)}, nil
	}
	return v, failure(filter.Protocol, errors.New(text))
}

// misunderstood are the replies of a peer that does not know what is said to it
// (RFC 5321 §4.2.2): no word about the message.
func misunderstood(code int) bool { return code >= 500 && code <= 504 || code == 555 }

// lost is the failure of a connection that ended without a reply.
func lost(out *smtpclient.Outcome) error {
	e := out.Err
	if e == nil {
		return failure(filter.Protocol, errors.New("no reply"))
	}
	class := filter.Unreachable
	switch {
	case errors.Is(e, smtpclient.ErrProtocol), errors.Is(e, smtpclient.ErrTooLong):
		class = filter.Protocol
	case e.Stage == smtpclient.StageContent, e.Stage == smtpclient.StageEnd:
		class = filter.Crash
	}
	return failure(class, e)
}

func failure(c filter.Class, err error) error {
	return &filter.Failure{Class: c, Err: fmt.Errorf("smtpfilter: %w", err)}
}

// reply is a scanner's reply in one line.
func reply(r smtp.Reply) *filterproto.Reply {
	text := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(r.Text, "?"))
	out := &filterproto.Reply{Code: r.Code, Text: clip(text, filterproto.MaxReplyText)}
	if strings.HasPrefix(r.Enhanced, fmt.Sprint(r.Code/100)+".") {
		out.Enhanced = r.Enhanced
	}
	return out
}

// clip bounds a text, in octets, and keeps it UTF-8.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
