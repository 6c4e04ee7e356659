package rspamdfilter

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Bounds.
const (
	maxHeader = 1 << 20 // octets of the message's header section
	maxGrowth = 1 << 20 // octets that a body may grow by
)

// edits collects what an answer asks to be changed, in the order of rspamd's own
// milter: removals, additions, reverse-path, recipients, signatures, action.
type edits struct {
	f      *Filter
	m      filter.Message
	forged *scanner.Forged

	list   []filterproto.Edit
	counts map[string]int // fields by lower-case name, read when needed
}

func (e *edits) add(op filterproto.EditOp, name, value string, index int) {
	e.list = append(e.list, filterproto.Edit{Op: op, Name: name, Value: value, Index: index})
}

func (e *edits) all(ctx context.Context, a answer) error {
	e.list = e.forged.Remove(e.f.o.SpamField)
	for _, r := range a.Milter.Remove {
		if err := e.remove(ctx, r.Name, r.Value); err != nil {
			return err
		}
	}
	for _, h := range a.Milter.Add {
		for _, v := range h.Value {
			e.header(h.Name, v)
		}
	}
	if from := a.Milter.ChangeFrom; from != nil {
		e.add(filterproto.ReversePathSet, "", bare(*from), 0)
	}
	for _, r := range a.Milter.AddRcpt {
		e.add(filterproto.RecipientAdd, "", bare(r), 0)
	}
	for _, r := range a.Milter.DelRcpt {
		e.add(filterproto.RecipientDelete, "", bare(r), 0)
	}
	for i, s := range a.DKIM {
		e.add(filterproto.HeaderInsert, "DKIM-Signature", folded(s), i)
	}
	e.action(a)
	return nil
}

// remove takes off fields: 0 is all of the name, n the n-th, -n the n-th from
// the end. Later ones go first, so that positions hold.
func (e *edits) remove(ctx context.Context, name string, which []int) error {
	if slices.Contains(which, 0) {
		e.add(filterproto.HeaderDelete, name, "", 0)
		return nil
	}
	var at []int
	for _, n := range which {
		if n < 0 {
			count, err := e.count(ctx, name)
			if err != nil {
				return err
			}
			n += count + 1
		}
		if n > 0 && !slices.Contains(at, n) {
			at = append(at, n)
		}
	}
	slices.Sort(at)
	slices.Reverse(at)
	for _, n := range at {
		e.add(filterproto.HeaderDelete, name, "", n)
	}
	return nil
}

// count is how many fields of a name the message has.
func (e *edits) count(ctx context.Context, name string) (int, error) {
	if e.counts == nil {
		c, err := e.m.Open(ctx, false)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		fields, _, err := filter.ReadFields(c, maxHeader)
		if err != nil {
			return 0, err
		}
		e.counts = map[string]int{}
		for _, f := range fields {
			e.counts[strings.ToLower(f.Name)]++
		}
	}
	return e.counts[strings.ToLower(name)], nil
}

// header adds a field: at the end, or where its order says. rspamd counts our own
// Received field, which it was not shown, as 0: nothing goes above it.
func (e *edits) header(name string, a addition) {
	if a.Order == nil || *a.Order < 0 {
		e.add(filterproto.HeaderAdd, name, folded(a.Value), 0)
		return
	}
	e.add(filterproto.HeaderInsert, name, folded(a.Value), max(0, *a.Order-1))
}

// action adds what the action itself changes.
func (e *edits) action(a answer) {
	switch {
	case *a.Action == "add header" && len(a.Milter.SpamHeader.Fields) > 0:
		for _, h := range a.Milter.SpamHeader.Fields {
			e.add(filterproto.HeaderDelete, h.Name, "", 0)
			e.add(filterproto.HeaderAdd, h.Name, folded(h.Value), 0)
		}
	case *a.Action == "add header" && e.f.o.SpamField != "" && !a.Milter.NoAction:
		value := "Yes"
		if a.Milter.SpamHeader.Value != "" {
			value = folded(a.Milter.SpamHeader.Value)
		}
		e.add(filterproto.HeaderAdd, e.f.o.SpamField, value, 0)
	case *a.Action == "rewrite subject" && a.Subject != nil && !a.Milter.NoAction:
		e.add(filterproto.HeaderChange, "Subject", folded(*a.Subject), 1)
	}
}

// body uploads a rewritten body.
func (e *edits) body(ctx context.Context, r io.Reader) error {
	w, err := e.m.Upload(ctx)
	if err != nil {
		return err
	}
	limit := 2*e.m.Item.Size() + maxGrowth
	n, err := io.Copy(w, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = scanner.Protocol("rspamd's body is longer than %d octets", limit)
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	blob, _, err := w.Seal(ctx)
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	e.list = append(e.list, filterproto.Edit{Op: filterproto.BodyReplace, Upload: filter.UploadName(blob)})
	return nil
}

// bare takes the brackets off a path.
func bare(path string) string {
	if inner, ok := strings.CutPrefix(path, "<"); ok {
		return strings.TrimSuffix(inner, ">")
	}
	return path
}

// folded brings the line breaks of a value into the form of a folded field: what
// follows one begins with white space, and no line is empty.
func folded(v string) string {
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", "\n"), "\r", "\n"), "\n")
	out := lines[:1]
	for _, l := range lines[1:] {
		switch {
		case strings.Trim(l, " \t") == "":
			continue
		case l[0] != ' ' && l[0] != '\t':
			l = "\t" + l
		}
		out = append(out, l)
	}
	return strings.ReplaceAll(strings.Join(out, "\r\n"), "\x00", "?")
}
