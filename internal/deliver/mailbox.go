package deliver

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"mtad/queue"
)

// mailbox is one maildir below the root.
type mailbox struct {
	dir  directory
	name string
}

func (b *mailbox) path(elem ...string) string {
	return b.name + "/" + strings.Join(elem, "/")
}

// make creates the directories that are missing. Those that are there may be
// from a run that ended before they were durable, so they are synced as well.
func (b *mailbox) make() error {
	for _, dir := range []string{b.name, b.path("tmp"), b.path("cur"), b.path("new")} {
		if err := b.dir.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errors.Join(b.dir.Sync(b.name), b.dir.Sync("."))
}

// fileName is the same for each delivery of an item to a recipient. 13+1+7+1+16
// octets and the time at most: no mailbox path makes it longer.
func fileName(it *queue.Item, path string) string {
	sum := sha256.Sum256([]byte(path))
	return fmt.Sprintf("%d.Q%s_%s.mtad", it.Created.Unix(), it.ID, hex.EncodeToString(sum[:8]))
}

// has reports whether the file is in the mailbox already.
func (b *mailbox) has(file string) (bool, error) {
	for _, place := range []string{
		b.path("new", file), b.path("cur", file), b.path("cur", file+":2,"), b.path("cur", file+":2,S"),
		b.path("cur", file+":2,RS"), b.path("cur", file+":2,FS"), b.path("cur", file+":2,ST"),
	} {
		if _, err := b.dir.Lstat(place); err == nil {
			return true, b.dir.Sync(b.path("new")) // it may not be durable yet
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// write makes the whole message in "tmp", on stable storage.
func (b *mailbox) write(ctx context.Context, j *Job, index int, file string) (tmp string, err error) {
	tmp = b.path("tmp", file+"."+rand.Text()[:8])
	f, err := b.dir.Create(tmp)
	if err != nil {
		return "", err
	}
	err = fill(ctx, f, j, index)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = b.dir.Remove(tmp)
		return "", err
	}
	return tmp, nil
}

// publish moves the message to "new" and makes that durable.
func (b *mailbox) publish(tmp, file string) error {
	if err := b.dir.Rename(tmp, b.path("new", file)); err != nil {
		_ = b.dir.Remove(tmp)
		return err
	}
	return b.dir.Sync(b.path("new"))
}

// errContent: the queue could not give the content.
var errContent = errors.New("content not available")

func fill(ctx context.Context, f io.Writer, j *Job, index int) error {
	content, err := j.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errContent, err)
	}
	defer func() { _ = content.Close() }()
	w := bufio.NewWriterSize(f, 32<<10)
	fmt.Fprintf(w, "Return-Path: <%s>\nDelivered-To: %s\n", oneLine(j.Item.Envelope.ReversePath), oneLine(j.recipient(index).Path))
	if err := copyUnix(ctx, w, content); err != nil {
		return err
	}
	return w.Flush()
}

// oneLine keeps a path from being more than its header field.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// copyUnix copies content with CRLF as LF. A CR or LF alone stays.
func copyUnix(ctx context.Context, w *bufio.Writer, content io.Reader) error {
	buf := make([]byte, 32<<10)
	heldCR := false
	for {
		n, err := content.Read(buf)
		if werr := writeUnix(w, buf[:n], &heldCR); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errContent, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if heldCR {
		return w.WriteByte('\r')
	}
	return nil
}

func writeUnix(w *bufio.Writer, p []byte, heldCR *bool) error {
	for i, c := range p {
		if *heldCR && c != '\n' {
			_ = w.WriteByte('\r') // bufio keeps the first error
		}
		if *heldCR = c == '\r'; *heldCR {
			continue
		}
		if err := w.WriteByte(p[i]); err != nil {
			return err
		}
	}
	return nil
}
