package mailscanner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"mtad/filterproto"
)

// errDamaged is an answer that MailScanner cannot have meant.
var errDamaged = errors.New("mailscanner: the answer is damaged")

// errHeader is a header section too long to be compared field by field.
var errHeader = errors.New("mailscanner: the header section is too long")

// original is a message as a claim has it; it can be read more than once.
type original interface {
	Open(ctx context.Context, trace bool) (io.ReadCloser, error)
	Upload(ctx context.Context, r io.Reader) (string, error)
}

// sent is what the answer to it is compared with, besides the content.
type sent struct {
	*envelope
	name     string
	preamble []byte
}

// answer is out/NAME.
type answer struct {
	file  io.ReadSeeker
	sent  *sent
	start int64 // of the message, behind the envelope
}

// readAnswer turns an answer into the edits that make it of what was sent. An answer
// without recipients is for nobody: ok is false.
func readAnswer(ctx context.Context, s *sent, m original, file io.ReadSeeker) (edits []filterproto.Edit, ok bool, err error) {
	r := bufio.NewReader(file)
	back, err := readEnvelope(r)
	if err != nil || len(back.recipients) == 0 {
		return nil, false, err
	}
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, false, err
	}
	a := &answer{file: file, sent: s, start: at - int64(r.Buffered())}
	edits, err = a.edits(ctx, m)
	if errors.Is(err, errHeader) {
		edits, err = a.replacement(ctx, m)
	}
	if err != nil {
		return nil, false, err
	}
	return append(edits, s.edits(back)...), true, nil
}

// text reads the message from its beginning, without the preamble where that is on
// top still.
func (a *answer) text() (*bufio.Reader, error) {
	if _, err := a.file.Seek(a.start, io.SeekStart); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(a.file, 64<<10)
	if head, _ := r.Peek(len(a.sent.preamble)); bytes.Equal(head, a.sent.preamble) {
		_, _ = r.Discard(len(head)) // these were peeked
	}
	return r, nil
}

func (a *answer) message() (*message, error) {
	r, err := a.text()
	if err != nil {
		return nil, err
	}
	m, err := readMessage(r)
	if err == nil {
		m.dropPreamble(a.sent.name)
	}
	return m, err
}

// edits compares the message with the one that was sent.
func (a *answer) edits(ctx context.Context, m original) ([]filterproto.Edit, error) {
	source, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	theirs, err := a.message()
	if err != nil {
		return nil, err
	}
	ours, err := readMessage(bufio.NewReader(source))
	if err != nil {
		return nil, err
	}
	edits, ok := diff(ours.fields, theirs.fields)
	if !ok || plain(ours.junk) != plain(theirs.junk) || ours.separated != theirs.separated && !ours.empty() {
		return upload(ctx, m, filterproto.MessageReplace, theirs.whole())
	}
	same, err := sameText(ours.body, theirs.body)
	if err != nil || same {
		return edits, err
	}
	if theirs, err = a.message(); err != nil {
		return nil, err
	}
	if !ours.separated || !theirs.separated {
		return upload(ctx, m, filterproto.MessageReplace, theirs.whole())
	}
	replace, err := upload(ctx, m, filterproto.BodyReplace, theirs.body)
	return append(edits, replace...), err
}

// replacement is for messages whose header section is too long for edits: they are
// unchanged, or replaced as a whole.
func (a *answer) replacement(ctx context.Context, m original) ([]filterproto.Edit, error) {
	source, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	theirs, err := a.text()
	if err != nil {
		return nil, err
	}
	same, err := sameText(source, theirs)
	if err != nil || same {
		return nil, err
	}
	if theirs, err = a.text(); err != nil {
		return nil, err
	}
	return upload(ctx, m, filterproto.MessageReplace, theirs)
}

func upload(ctx context.Context, m original, op filterproto.EditOp, text io.Reader) ([]filterproto.Edit, error) {
	id, err := m.Upload(ctx, newNormal(text, toCRLF))
	if err != nil {
		return nil, fmt.Errorf("mailscanner: %w", err)
	}
	return []filterproto.Edit{{Op: op, Upload: id}}, nil
}

// sameText compares two texts whatever their line ends. When theirs is what ours
// begins with, and more than white space is missing, MailScanner was not able to write
// all of it (it does not look whether a disk is full): that is damage.
func sameText(ours, theirs io.Reader) (bool, error) {
	a, b := newNormal(ours, toPlain), newNormal(theirs, toPlain)
	one, two := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(a, one)
		if !atEnd(err) {
			return false, err
		}
		k, errTheirs := io.ReadFull(b, two)
		if !atEnd(errTheirs) {
			return false, errTheirs
		}
		if n == k && bytes.Equal(one[:n], two[:k]) {
			if err != nil {
				return true, nil
			}
			continue
		}
		begins := bytes.TrimSuffix(two[:k], []byte("\n")) // this LF may have been put there
		if errTheirs == nil || !bytes.HasPrefix(one[:n], begins) {
			return false, nil
		}
		if missing, err := onlySpace(one[len(begins):n], a); err != nil || !missing {
			return false, errors.Join(err, damagedUnless(missing))
		}
		return false, nil
	}
}

func damagedUnless(ok bool) error {
	if ok {
		return nil
	}
	return errDamaged
}

// atEnd reports whether err of io.ReadFull is nil or only says that the text is over.
func atEnd(err error) bool {
	return err == nil || err == io.EOF || err == io.ErrUnexpectedEOF
}

// onlySpace reports whether a text is white space and nothing else.
func onlySpace(head []byte, rest io.Reader) (bool, error) {
	for buf := make([]byte, 32<<10); ; {
		if len(bytes.TrimSpace(head)) > 0 {
			return false, nil
		}
		n, err := rest.Read(buf)
		head = buf[:n]
		if err == io.EOF {
			return len(bytes.TrimSpace(head)) == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
}
