package spamdfilter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Bounds of what comes back.
const (
	maxHeader = 1 << 20 // octets of a header section
	maxGrowth = 1 << 20 // octets that a message may grow by
)

// rewritten compares the message in spamd's answer with the one that was sent, and
// returns the edits that make the one of the other.
func rewritten(ctx context.Context, m filter.Message, method string, answer *payload) ([]filterproto.Edit, error) {
	if answer.left > 2*m.Item.Size()+maxGrowth {
		return nil, scanner.Protocol("spamd gives back %d octets for %d", answer.left, m.Item.Size())
	}
	theirs, rest, err := filter.ReadFields(answer, maxHeader)
	if err != nil {
		return nil, foreign(err)
	}
	own, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	ours, body, err := filter.ReadFields(own, maxHeader)
	if err != nil {
		return nil, err // ours is too large to be edited, whoever asks
	}
	theirs = withoutFront(theirs, m)
	if method == methodHeaders {
		return headersOnly(ours, theirs, rest)
	}
	made := bufio.NewReaderSize(rest, 32<<10)
	n, same, err := common(bufio.NewReaderSize(body, 32<<10), made)
	if err != nil {
		return nil, err
	}
	if same {
		return diff(ours, theirs)
	}
	return replaced(ctx, m, theirs, n, made)
}

// foreign says that a header section that cannot be read is spamd's doing.
func foreign(err error) error {
	if v := new(filter.VerdictError); errors.As(err, &v) {
		return scanner.Protocol("spamd's header section: %s", v.Detail)
	}
	return err
}

// headersOnly is the answer to HEADERS: nothing follows it, unless the message
// has no fields, and no other body may be needed.
func headersOnly(ours, theirs []filter.Field, rest io.Reader) ([]filterproto.Edit, error) {
	if n, err := io.Copy(io.Discard, rest); err != nil || n > 4 && len(ours) > 0 {
		if err == nil {
			err = scanner.Protocol("spamd's answer to HEADERS has a body")
		}
		return nil, err
	}
	for _, name := range [...]string{"Content-Type", "Content-Transfer-Encoding"} {
		if values(ours, name) != values(theirs, name) {
			return nil, scanner.Protocol("spamd made another structure of the message: report_safe has to be 0 for the method headers")
		}
	}
	return diff(ours, theirs)
}

func values(list []filter.Field, name string) string {
	var b strings.Builder
	for _, f := range list {
		if strings.EqualFold(f.Name, name) {
			b.WriteString(unfolded(f) + "\n")
		}
	}
	return b.String()
}

func unfolded(f filter.Field) string { return strings.ReplaceAll(string(f.Value), "\r\n", "\n") }

// withoutFront takes off what was put in front of the message: Return-Path and
// our own trace fields.
func withoutFront(list []filter.Field, m filter.Message) []filter.Field {
	front := "Return-Path: <" + m.Item.Envelope.ReversePath + ">\r\n" + string(m.Item.Trace)
	added, _, err := filter.ReadFields(strings.NewReader(front), maxHeader)
	if err != nil {
		return list
	}
	out := make([]filter.Field, 0, len(list))
	for _, f := range list {
		taken := false
		for i, a := range added {
			if taken = same(f, a); taken {
				added = append(added[:i:i], added[i+1:]...)
				break
			}
		}
		if !taken {
			out = append(out, f)
		}
	}
	return out
}

func same(a, b filter.Field) bool {
	return strings.EqualFold(a.Name, b.Name) && unfolded(a) == unfolded(b)
}

// common counts the octets that two bodies begin with alike; same says that
// this is all of both. b is left before its first octet that differs.
func common(a, b *bufio.Reader) (n int64, same bool, err error) {
	for {
		p, errA := a.ReadByte()
		q, errB := b.ReadByte()
		switch {
		case errB != nil && errB != io.EOF:
			return n, false, errB
		case errA != nil && errA != io.EOF:
			return n, false, errA
		case errB == io.EOF:
			return n, errA == io.EOF, nil
		case errA == io.EOF || p != q:
			return n, false, b.UnreadByte()
		}
		n++
	}
}

// replaced uploads the message that spamd made: its header section, the n octets
// that both bodies begin with, and the rest of its own.
func replaced(ctx context.Context, m filter.Message, fields []filter.Field, n int64, rest io.Reader) ([]filterproto.Edit, error) {
	w, err := m.Upload(ctx)
	if err != nil {
		return nil, err
	}
	if err := write(ctx, w, m, fields, n, rest); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	blob, _, err := w.Seal(ctx)
	if err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return []filterproto.Edit{{Op: filterproto.MessageReplace, Upload: filter.UploadName(blob)}}, nil
}

func write(ctx context.Context, w io.Writer, m filter.Message, fields []filter.Field, n int64, rest io.Reader) error {
	var head bytes.Buffer
	for _, f := range fields {
		head.WriteString(f.Name + ":")
		head.Write(f.Value)
		head.WriteString("\r\n")
	}
	head.WriteString("\r\n")
	own, err := m.Open(ctx, false)
	if err != nil {
		return err
	}
	defer own.Close()
	_, body, err := filter.ReadFields(own, maxHeader)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.MultiReader(&head, io.LimitReader(body, n), rest))
	return err
}
