package milterfilter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/milter"
	"mtad/internal/smtp"
	"mtad/queue"
)

// collector turns modifications into edits, in the order they come. What they
// take in memory is bounded; a new body beyond inlineBody goes to the queue.
type collector struct {
	m          filter.Message
	exact      bool // header values hold the white space after the colon
	list       []filterproto.Edit
	quarantine *filterproto.Quarantine

	count  int // of modifications so far
	octets int // of header values so far
	trace  int // fields of our own trace, which milters count
	above  int // fields put above them
	added  []string
	body   newBody
}

// Bounds of what a milter may ask for. Pieces of a body count: libmilter's have 64
// KiB.
const (
	maxOctets        = 8 << 20 // of all edits but the body
	maxModifications = 100_000
)

func newCollector(m filter.Message, exact bool) *collector {
	c := &collector{m: m, exact: exact}
	for line := range bytes.Lines(m.Item.Trace) {
		if line[0] != ' ' && line[0] != '\t' {
			c.trace++
		}
	}
	c.body.limit = 4*m.Item.Size() + 16<<20
	return c
}

// add takes one modification.
func (c *collector) add(ctx context.Context, m milter.Modification) error {
	c.octets += len(m.Name) + len(m.Value) + len(m.Path) + len(m.Args)
	if c.count++; c.count > maxModifications || c.octets > maxOctets || len(c.list) >= filterproto.MaxEdits {
		return protocol("more modifications than can be taken")
	}
	switch m.Kind {
	case milter.AddHeader:
		c.header(filterproto.HeaderAdd, 0, m)
	case milter.InsertHeader:
		c.header(filterproto.HeaderInsert, c.position(m.Index), m)
	case milter.ChangeHeader:
		c.change(m)
	case milter.ReplaceBody:
		return c.body.write(ctx, c.m, m.Body)
	case milter.AddRecipient, milter.AddRecipientArg:
		c.addRecipient(m)
	case milter.DeleteRecipient:
		c.deleteRecipient(barePath(m.Path))
	case milter.ChangeSender:
		c.append(filterproto.Edit{Op: filterproto.ReversePathSet, Value: barePath(m.Path)})
	case milter.Quarantine:
		c.quarantine = &filterproto.Quarantine{Reason: clean(m.Value)}
	}
	return nil
}

func protocol(text string) error {
	return &filter.Failure{Class: filter.Protocol, Err: errors.New("milter: " + text)}
}

func (c *collector) append(e filterproto.Edit) { c.list = append(c.list, e) }

func (c *collector) header(op filterproto.EditOp, index int, m milter.Modification) {
	c.append(filterproto.Edit{Op: op, Name: m.Name, Value: c.value(m.Value), Index: index, Exact: true})
}

// position is where a milter's index lies in the content, whose fields begin
// below our trace: what is put above the trace stands on top of the content.
func (c *collector) position(index uint32) int {
	i := int(min(index, 1<<20))
	if i <= c.above {
		if c.trace > 0 {
			c.above++
		}
		return i
	}
	return max(c.above, i-c.trace)
}

func (c *collector) change(m milter.Modification) {
	index := int(max(1, min(m.Index, 1<<20)))
	if m.Value == "" {
		c.append(filterproto.Edit{Op: filterproto.HeaderDelete, Name: m.Name, Index: index})
		return
	}
	c.header(filterproto.HeaderChange, index, m)
}

// value is a header value as an edit has it. A milter that does not see the space
// behind the colon leaves it to us.
func (c *collector) value(v string) string {
	v = fieldValue(v)
	if c.exact {
		return v
	}
	return " " + v
}

// addRecipient takes a path with parameters. Those that RCPT would not take here
// are left out.
func (c *collector) addRecipient(m milter.Modification) {
	path := barePath(m.Path)
	args := m.Args
	if _, _, bad := smtp.ParseRcpt("<a@example.net> "+args, true); bad != nil || len(args) > filterproto.MaxParams {
		args = ""
	}
	c.added = append(c.added, path)
	c.append(filterproto.Edit{Op: filterproto.RecipientAdd, Value: path, Params: args})
}

// deleteRecipient matches what the milter was told, or added itself; the domain's
// case does not count.
func (c *collector) deleteRecipient(path string) {
	for _, r := range c.m.Item.Envelope.Recipients {
		if r.Status == queue.Pending && samePath(r.Path, path) {
			c.append(filterproto.Edit{Op: filterproto.RecipientDelete, Value: r.Path})
			return
		}
	}
	for _, a := range c.added {
		if samePath(a, path) {
			c.append(filterproto.Edit{Op: filterproto.RecipientDelete, Value: a})
			return
		}
	}
}

func samePath(a, b string) bool {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	if i < 0 || j < 0 {
		return a == b
	}
	return a[:i] == b[:j] && strings.EqualFold(a[i:], b[j:])
}

// finish completes the edits.
func (c *collector) finish(ctx context.Context) error {
	e, ok, err := c.body.edit(ctx)
	if err != nil {
		return fmt.Errorf("milterfilter: new body: %w", err)
	}
	if ok {
		c.append(e)
	}
	return nil
}

// abandon drops everything.
func (c *collector) abandon() {
	c.list, c.quarantine = nil, nil
	c.body.abandon()
}
