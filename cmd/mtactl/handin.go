package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mtad/cmd/mtactl/internal/sendmail"
	"mtad/internal/maildrop"
)

// handIn hands a message of sendmail's in. The queue ID is "" when it waits in the
// maildrop.
func (t *tool) handIn(ctx context.Context, m *sendmail.Message) (id string, err error) {
	head, err := m.Envelope.Append(nil)
	if err != nil {
		return "", &exitError{status: exitData, msg: err.Error()}
	}
	return t.deliver(ctx, io.MultiReader(bytes.NewReader(head), m.Content))
}

// deliver hands in a message in the submission format, or leaves it in the maildrop
// when mtad is away. Both have the same key: when nobody knows whether mtad took the
// message, the file makes no second one.
func (t *tool) deliver(ctx context.Context, message io.Reader) (id string, err error) {
	start, rest, err := readAhead(message)
	if err != nil {
		return "", err
	}
	name := maildrop.NewName()
	again := func() io.Reader {
		if rest == nil {
			return bytes.NewReader(start)
		}
		return io.MultiReader(bytes.NewReader(start), rest)
	}
	sent := &touched{Reader: again()}
	s := &submitting{t: t, key: maildrop.Key(name)}
	t.patient = true
	if err := t.connect(); err != nil {
		return "", err
	}
	res, err := s.sendUntilHeard(ctx, sent)
	if err == nil {
		return res.ID, nil
	}
	var e *exitError
	dir := t.maildrop()
	if !errors.As(err, &e) || !e.away || dir == "" || rest != nil && sent.begun {
		return "", err
	}
	if spoolErr := leave(dir, name, again()); spoolErr != nil {
		if errors.As(spoolErr, &e) {
			return "", e
		}
		return "", &exitError{status: exitTemporary, msg: e.msg + "; " + spoolErr.Error()}
	}
	return "", nil
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

// leave writes a message into a maildrop. It waits there when there is no error.
func leave(dir, name string, message io.Reader) error {
	f, err := maildrop.Create(dir, name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, message); err != nil {
		f.Abort()
		var reading *readingError
		if errors.As(err, &reading) || errors.Is(err, io.ErrUnexpectedEOF) {
			return sendmailError(err)
		}
		return err
	}
	return f.Commit()
}

// maildrop is where to leave mail, "" if nowhere: as MTACTL_MAILDROP says; where
// MTACTL_SERVER names a socket, beside it; otherwise the first of the places where
// mtad has one. A token, or a server elsewhere, is for a caller whom a file cannot name.
func (t *tool) maildrop() string {
	if dir := t.getenv("MTACTL_MAILDROP"); dir != "" {
		return dir
	}
	if t.tokenFile != "" || t.getenv("MTACTL_TOKEN") != "" {
		return ""
	}
	server := t.server
	if server == "" {
		server = t.getenv("MTACTL_SERVER")
	}
	if server != "" {
		path, ok := strings.CutPrefix(server, "unix:")
		if !ok {
			return ""
		}
		return existing(filepath.Join(filepath.Dir(strings.TrimPrefix(path, "//")), "maildrop"))
	}
	for _, dir := range t.stateDirs() {
		if dir := existing(filepath.Join(dir, "maildrop")); dir != "" {
			return dir
		}
	}
	return ""
}

func existing(dir string) string {
	if fi, err := os.Stat(filepath.Join(dir, maildrop.In)); err != nil || !fi.IsDir() {
		return ""
	}
	return dir
}
