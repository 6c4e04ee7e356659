package webhookfilter

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scanner"
	"mtad/queue"
)

// MediaType is that of a request's body.
const MediaType = "application/vnd.mtad.message"

// maxAnswer bounds a verdict, in octets: two inline bodies in base64.
const maxAnswer = 3 << 20

// Options configure a Filter. Server.URL is required.
type Options struct {
	Server hookclient.Options
	// Key signs requests. Default: they are not signed.
	Key []byte
	// Now is the clock of signatures. Default time.Now.
	Now func() time.Time
}

// Filter is a filter.Kind. Its memory is an envelope and an answer (bounded) for
// each scan under way; the content is streamed.
type Filter struct {
	o Options
	c *hookclient.Client
}

// New makes a Filter. It connects to nothing yet.
func New(o Options) (*Filter, error) {
	c, err := hookclient.New(o.Server)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Filter{o: o, c: c}, nil
}

// Close ends the connections that are kept for the next message.
func (f *Filter) Close() error {
	f.c.Close()
	return nil
}

// Scan shows the message to the handler. The error is a *filter.Failure, or one of
// the queue.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	line, err := json.Marshal(filter.Info(m.Item))
	if err != nil {
		return filterproto.Verdict{}, err
	}
	b := &body{ctx: ctx, m: m, line: append(line, '\n')}
	defer b.close()
	header := http.Header{"Content-Type": {MediaType}, "Accept": {"application/json"}}
	if f.o.Key != nil {
		sum, err := sign(f.o.Key, f.o.Now(), b)
		if err != nil {
			return filterproto.Verdict{}, err
		}
		header.Set(SignatureField, sum)
	}
	resp, err := f.c.Do(ctx, hookclient.Request{
		Method: http.MethodPost, URL: f.c.URL(), Header: header,
		Open: b.open, Size: int64(len(b.line)) + m.Item.Size(), Failed: b.failed,
	})
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer resp.Body.Close()
	return answer(ctx, resp)
}

// answer reads the verdict.
func answer(ctx context.Context, resp *http.Response) (v filterproto.Verdict, err error) {
	const who = "the handler"
	if err := hookclient.Status(who, resp); err != nil {
		return v, err
	}
	if resp.StatusCode != http.StatusOK {
		return v, scanner.Protocol("%s answers HTTP %d, without a verdict", who, resp.StatusCode)
	}
	if err := hookclient.JSON(who, resp); err != nil {
		return v, err
	}
	b, err := hookclient.Read(ctx, who, resp.Body, maxAnswer)
	if err != nil {
		return v, err
	}
	return parse(b)
}

// parse reads a verdict. It names no uploads: a handler has no claim to send them
// under.
func parse(b []byte) (v filterproto.Verdict, err error) {
	if err := hookclient.Strict(b, &v, true); err != nil {
		return filterproto.Verdict{}, scanner.Protocol("the handler's verdict: %v", err)
	}
	if err := filter.Validate(v); err != nil {
		return filterproto.Verdict{}, scanner.Protocol("the handler's verdict: %v", err)
	}
	edits := v.Edits
	for _, r := range v.Recipients {
		edits = append(edits[:len(edits):len(edits)], r.Verdict.Edits...)
	}
	for _, e := range edits {
		if e.Upload != "" {
			return filterproto.Verdict{}, scanner.Protocol("the handler's verdict names an upload")
		}
	}
	return v, nil
}

// body is a request's body: the line, and the content.
type body struct {
	ctx  context.Context
	m    filter.Message
	line []byte

	src queue.Content
	err error // of opening or reading the content
}

// open begins it anew.
func (b *body) open() (io.Reader, error) {
	b.close()
	b.src, b.err = b.m.Open(b.ctx, false)
	if b.err != nil {
		return nil, b.err
	}
	return io.MultiReader(bytes.NewReader(b.line), readerFunc(b.read)), nil
}

// readerFunc is an io.Reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (b *body) read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// failed is why the content could not be read.
func (b *body) failed() error { return b.err }

func (b *body) close() {
	if b.src != nil {
		b.src.Close()
		b.src = nil
	}
}
