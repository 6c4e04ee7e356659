package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue"
)

// content is an answer that streams a message. A store that fails midway breaks
// the connection off: Content-Length was announced, and a shorter answer is seen
// to be cut.
type content struct{ queue.Content }

func (c content) serve(w http.ResponseWriter) error {
	defer c.Close()
	size := c.Size()
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if _, err := io.CopyN(w, c, size); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// VisitGetClaimContentResponse writes the answer.
func (c content) VisitGetClaimContentResponse(w http.ResponseWriter) error { return c.serve(w) }

// VisitGetMessageContentResponse writes the answer.
func (c content) VisitGetMessageContentResponse(w http.ResponseWriter) error { return c.serve(w) }

// GetMessageContent reads a message in the queue.
func (h handlers) GetMessageContent(ctx context.Context, req api.GetMessageContentRequestObject) (api.GetMessageContentResponseObject, error) {
	id, err := parseID(req.ID)
	if err != nil {
		return nil, err
	}
	p := req.Params
	spec := queue.OpenSpec{ID: id, Generation: -1, Trace: p.Trace, Offset: p.Offset}
	if p.Generation != nil {
		spec.Generation = *p.Generation
		if spec.Generation < 0 {
			return nil, failField(filterproto.CodeInvalidParameter, "generation", "want 0 or more")
		}
	}
	if p.Offset < 0 {
		return nil, failField(filterproto.CodeInvalidParameter, "offset", "want 0 or more")
	}
	c, err := h.queue.Open(ctx, spec)
	if err != nil {
		return nil, about(id, err)
	}
	if !p.Header {
		return content{c}, nil
	}
	defer c.Close()
	section, err := headerSection(c)
	if err != nil {
		return nil, about(id, err)
	}
	return content{octets{bytes.NewReader(section)}}, nil
}

// headerSection reads up to the blank line, or the bound.
func headerSection(r io.Reader) ([]byte, error) {
	var b []byte
	chunk := make([]byte, 16<<10)
	for len(b) < maxHeaderRead {
		n, err := r.Read(chunk)
		from := max(0, len(b)-3)
		b = append(b, chunk[:n]...)
		if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
			return b[:from+i+2], nil
		}
		if bytes.HasPrefix(b, []byte("\r\n")) {
			return nil, nil
		}
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return b[:maxHeaderRead], nil
}

// octets is content from memory.
type octets struct{ *bytes.Reader }

func (octets) Close() error  { return nil }
func (o octets) Size() int64 { return int64(o.Len()) }

// upload takes octets under a claim's lease.
func (h handlers) upload(ctx context.Context, token string, body io.Reader) (u filterproto.Upload, err error) {
	name, t, err := h.seal.unwrap(token, callerOf(ctx))
	if err != nil {
		return u, err
	}
	w, err := h.filters.Upload(ctx, name, t)
	if err != nil {
		return u, err
	}
	n, err := io.Copy(w, body)
	if err != nil {
		_ = w.Abort()
		return u, uploadError(err)
	}
	blob, size, err := w.Seal(ctx)
	if err != nil {
		_ = w.Abort()
		return u, err
	}
	if size != n {
		return u, queue.ErrUncertain
	}
	return filterproto.Upload{Upload: strconv.FormatUint(uint64(blob), 10), Size: size}, nil
}

func uploadError(err error) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return fail(filterproto.CodeBodyTooLarge, "the upload is too large")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, errSlow):
		return fail(filterproto.CodeRequestTimeout, "the body came too slowly")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fail(filterproto.CodeInvalidRequest, "the body ended early")
	}
	return err
}

var errSlow = errors.New("httpapi: upload below the least rate")

// paced is a request body that has to keep moving: nothing for StallTime, or less
// than MinRate on average once BodyTime has passed, ends it.
type paced struct {
	io.ReadCloser
	rc     *http.ResponseController
	limits Limits
	start  time.Time
	n      int64
}

func (p *paced) Read(b []byte) (int, error) {
	if d := time.Since(p.start); d > p.limits.BodyTime && p.n < int64(d.Seconds()*float64(p.limits.MinRate)) {
		return 0, errSlow
	}
	_ = p.rc.SetReadDeadline(time.Now().Add(p.limits.StallTime))
	n, err := p.ReadCloser.Read(b)
	p.n += int64(n)
	if errors.Is(err, io.EOF) {
		// The connection is now watched for the peer's going away. After any other
		// error the deadline stays: what is left of the body must not be waited for.
		_ = p.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}
