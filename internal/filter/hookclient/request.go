package hookclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"

	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Request is one exchange.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	// Open begins to read the body; it may be called again, for the same octets. nil
	// is no body.
	Open func() (io.Reader, error)
	// Size is the body's length in octets.
	Size int64
	// Failed is why the body could not be read, nil when it could.
	Failed func() error
}

// NewID is a fresh name for an exchange: 32 hexadecimal digits.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// smallBody is what is read before it is sent, in octets: net/http then writes it
// together with the header section, in one go.
const smallBody = 48 << 10

// Do sends a request and returns the answer, whatever its status. An answer that
// came before the whole body was sent is none. A request that met a connection
// which the server had closed is sent once more, on a new one. The caller closes
// the answer's body; nothing is read of the request's any more.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	resp, reused, err := c.once(ctx, r)
	if reused && gone(err) && ctx.Err() == nil {
		c.t.CloseIdleConnections()
		resp, _, err = c.once(ctx, r)
	}
	var own ownError
	switch {
	case errors.As(err, &own):
		return nil, own.error
	case err != nil:
		return nil, scanner.Fault(ctx, c.base.Host, err)
	}
	return resp, nil
}

// ownError is one of reading the body: not the server's fault.
type ownError struct{ error }

// gone reports whether the server closed the connection.
func gone(err error) bool {
	var own ownError
	return err != nil && !errors.As(err, &own) && scanner.Gone(err)
}

// once is one attempt; reused says that its connection had served before.
func (c *Client) once(ctx context.Context, r Request) (resp *http.Response, reused bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), nil)
	if err != nil {
		return nil, false, err
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	req.Header.Set("User-Agent", "mtad")
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	b, err := attach(req, r)
	if err != nil {
		return nil, false, failed(r, ownError{err})
	}
	resp, err = scanner.RoundTrip(c.t, req)
	sent, _ := b.Stop()
	switch own := failed(r, nil); {
	case own != nil:
		err = own
	case err == nil && resp.StatusCode < 300 && sent != r.Size:
		err = scanner.Protocol("%s answers after %d octets of %d", c.base.Host, sent, r.Size)
	}
	if err != nil {
		closeBody(resp)
		return nil, reused, err
	}
	return resp, reused, nil
}

// attach gives a request its body.
func attach(req *http.Request, r Request) (*scanner.Body, error) {
	if r.Open == nil {
		return scanner.NewBody(nil, 0), nil
	}
	content, err := r.Open()
	if err != nil {
		return nil, err
	}
	b := scanner.NewBody(content, r.Size)
	req.Body, req.ContentLength = b, r.Size
	if r.Size <= smallBody {
		all := make([]byte, r.Size)
		if _, err := io.ReadFull(b, all); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(all))
	}
	return b, nil
}

// failed is why the body could not be read.
func failed(r Request, otherwise error) error {
	if r.Failed != nil {
		if err := r.Failed(); err != nil {
			return ownError{err}
		}
	}
	return otherwise
}

func closeBody(resp *http.Response) {
	if resp != nil {
		resp.Body.Close()
	}
}

// Status is the failure that a status other than 200, 201 and 204 is.
func Status(who string, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	f := &filter.Failure{Class: filter.Protocol, Err: fmt.Errorf("%s answers HTTP %d: %s", who, resp.StatusCode, scanner.Quote(text))}
	switch resp.StatusCode {
	case http.StatusRequestEntityTooLarge:
		f.Class = filter.OverSize
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.Class = filter.Unreachable
	}
	return f
}

// JSON checks that an answer says it is JSON, and as it is.
func JSON(who string, resp *http.Response, types ...string) error {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return scanner.Protocol("%s answers with encoding %s", who, scanner.Quote([]byte(enc)))
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	for _, t := range append(types, "application/json") {
		if kind == t {
			return nil
		}
	}
	return scanner.Protocol("%s answers with %s, not with JSON", who, scanner.Quote([]byte(resp.Header.Get("Content-Type"))))
}

// Read reads an answer of at most max octets, whole.
func Read(ctx context.Context, who string, r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, scanner.Fault(ctx, who, err)
	}
	if int64(len(b)) > max {
		return nil, scanner.Protocol("%s answers with more than %d octets", who, max)
	}
	return b, nil
}
