package submission

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits bound a block. Zero fields take the defaults.
type Limits struct {
	Line       int // octets of a line without its end; default and least of the specification: 2048
	Recipients int // default 1000
	Block      int // octets of the whole block; default 1 MiB
}

// Defaults of Limits.
const (
	DefaultLine       = 2048
	DefaultRecipients = 1000
	DefaultBlock      = 1 << 20
)

func (l Limits) withDefaults() Limits {
	if l.Line <= 0 {
		l.Line = DefaultLine
	}
	if l.Recipients <= 0 {
		l.Recipients = DefaultRecipients
	}
	if l.Block <= 0 {
		l.Block = DefaultBlock
	}
	return l
}

// Read reads a block up to and with its blank line; r then stands at the content,
// which is not looked at beyond its first line. What is wrong with the block is
// an *Error; any other error is the reader's.
func Read(r *bufio.Reader, l Limits) (*Envelope, error) {
	b := block{r: r, l: l.withDefaults(), env: &Envelope{}}
	for {
		line, err := b.line()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			break
		}
		if err := b.attribute(line); err != nil {
			return nil, err
		}
	}
	if err := b.complete(); err != nil {
		return nil, err
	}
	return b.env, b.checkContent()
}

// block is one block being read.
type block struct {
	r     *bufio.Reader
	l     Limits
	env   *Envelope
	n     int // lines so far
	size  int // octets so far
	given uint64
	// Of the recipient above.
	notify, orcpt bool
}

func (b *block) fail(name, format string, args ...any) error {
	return &Error{Line: b.n, Attribute: name, Reason: fmt.Sprintf(format, args...)}
}

func (b *block) tooLarge(name, format string, args ...any) error {
	return &Error{Line: b.n, Attribute: name, Reason: fmt.Sprintf(format, args...), TooLarge: true}
}

// line returns the next line without its end; it is good until the next call.
func (b *block) line() ([]byte, error) {
	b.n++
	line, err := b.r.ReadSlice('\n')
	b.size += len(line)
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > b.l.Line+2:
		return nil, b.tooLarge("", "longer than %d octets", b.l.Line)
	case errors.Is(err, io.EOF):
		return nil, b.fail("", "the end came before the blank line")
	case err != nil:
		return nil, err
	case b.size > b.l.Block:
		return nil, b.tooLarge("", "the attributes are more than %d octets", b.l.Block)
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > b.l.Line {
		return nil, b.tooLarge("", "longer than %d octets", b.l.Line)
	}
	return line, nil
}

// attribute takes in one line.
func (b *block) attribute(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return b.fail("", "want name: value, or the blank line before the message")
	}
	name, value := string(line[:colon]), bytes.Trim(line[colon+1:], " \t")
	switch {
	case !isName(name):
		return b.fail("", "what stands before the colon is not the name of an attribute")
	case !clean(value):
		return b.fail(b.nameOf(name), "control characters, or not UTF-8")
	}
	if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "x_") {
		return nil // private use: everybody passes over it
	}
	return b.set(name, string(value))
}

// nameOf is a name that may be repeated to anybody.
func (b *block) nameOf(name string) string {
	if known(name) {
		return name
	}
	return ""
}

func (b *block) set(name, value string) error {
	switch name {
	case nameVersion:
		return b.version(value)
	case nameRecipient:
		return b.recipient(value)
	case nameNotify, nameORCPT:
		return b.option(name, value)
	}
	i := find(name)
	if i < 0 {
		return b.fail("", "unknown attribute%s", hint(name))
	}
	if b.given&(1<<i) != 0 {
		return b.fail(name, "given twice")
	}
	b.given |= 1 << i
	if value == "" && name != nameSender {
		return nil // nothing is known of it
	}
	if err := messageAttributes[i].set(b.env, value); err != nil {
		return b.fail(name, "%s", err)
	}
	return nil
}

func (b *block) version(value string) error {
	switch {
	case b.n != 1:
		return b.fail(nameVersion, "stands in the first line or nowhere")
	case value != Version:
		return b.fail(nameVersion, "only version "+Version+" is spoken here")
	}
	return nil
}

func (b *block) recipient(value string) error {
	if len(b.env.Recipients) >= b.l.Recipients {
		return b.tooLarge(nameRecipient, "more than %d recipients", b.l.Recipients)
	}
	path, err := ParseAddress(value)
	switch {
	case err != nil:
		return b.fail(nameRecipient, "%s", err)
	case path == "":
		return b.fail(nameRecipient, "a recipient cannot be <>")
	}
	b.env.Recipients = append(b.env.Recipients, Recipient{Path: path})
	b.notify, b.orcpt = false, false
	return nil
}

// option is an attribute of the recipient above.
func (b *block) option(name, value string) error {
	if len(b.env.Recipients) == 0 {
		return b.fail(name, "stands before the first recipient")
	}
	r, given := &b.env.Recipients[len(b.env.Recipients)-1], &b.notify
	if name == nameORCPT {
		given = &b.orcpt
	}
	if *given {
		return b.fail(name, "given twice for one recipient")
	}
	*given = true
	if value == "" {
		return nil
	}
	var err error
	if name == nameNotify {
		r.Notify, err = ParseNotify(value)
	} else {
		r.ORCPT, err = ParseORCPT(value)
	}
	if err != nil {
		return b.fail(name, "%s", err)
	}
	return nil
}

func (b *block) complete() error {
	if b.given&(1<<find(nameSender)) == 0 {
		return &Error{Attribute: nameSender, Reason: "is missing; <> is the null reverse-path"}
	}
	if len(b.env.Recipients) == 0 {
		return &Error{Attribute: nameRecipient, Reason: "is missing"}
	}
	return nil
}

// checkContent looks at the first line of the content: what has the form and name
// of an attribute there was meant for the block, and would be lost.
func (b *block) checkContent() error {
	const most = 64 // octets of the longest name and the colon
	head, err := b.r.Peek(most)
	if len(head) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return &Error{Reason: "there is no message behind the blank line"}
	}
	if colon := bytes.IndexByte(head, ':'); colon > 0 && known(string(head[:colon])) {
		b.n++
		return b.fail(string(head[:colon]), "an attribute behind the blank line")
	}
	return nil
}

// isName is the grammar of names: lower-case letters, digits, "-" and "_".
func isName(s string) bool {
	if s == "" || len(s) > maxWord {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// hint is the name that was meant where one stands close: the other mark, or a
// letter more or less.
func hint(name string) string {
	for _, swapped := range []string{strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "_", "-")} {
		if known(swapped) {
			return "; it is written " + swapped
		}
	}
	return ""
}
