package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"mtad/cmd/mtactl/internal/sendmail"
)

// handIn hands a message of sendmail's in and returns its queue ID. An input error
// is told before anything else.
func (t *tool) handIn(ctx context.Context, m *sendmail.Message) (id string, err error) {
	head, err := m.Envelope.Append(nil)
	if err != nil {
		return "", &exitError{status: exitData, msg: err.Error()}
	}
	start, rest, err := readAhead(m.Content)
	if err != nil {
		return "", err
	}
	s := &submitting{t: t, key: "maildrop:" + token()}
	t.patient = true
	if err := t.connect(); err != nil {
		return "", err
	}
	parts := []io.Reader{bytes.NewReader(head), bytes.NewReader(start)}
	if rest != nil {
		parts = append(parts, rest)
	}
	res, err := s.sendUntilHeard(ctx, io.MultiReader(parts...))
	if err != nil {
		return "", err
	}
	return res.ID, nil
}

// readAhead reads the beginning of a message; rest is nil when that was all of it.
func readAhead(content io.Reader) (start []byte, rest io.Reader, err error) {
	var b bytes.Buffer
	_, err = io.CopyN(&b, content, buffered)
	switch {
	case errors.Is(err, io.EOF):
		return b.Bytes(), nil, nil
	case err != nil:
		return nil, nil, sendmailError(err)
	}
	return b.Bytes(), content, nil
}
