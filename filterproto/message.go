package filterproto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Message is a claimed message as a Handler sees it. It is good until the handler
// returns.
type Message struct {
	MessageInfo
	// Token is the claim's token, for calls of Client beyond those here.
	Token string

	client  *Client
	content []byte
	inline  bool
}

// ErrTooLong is what Bytes returns for content beyond its bound.
var ErrTooLong = errors.New("filterproto: content too long")

// Open reads the content, from memory when it came with the claim and otherwise
// as a stream; with trace behind our own trace header fields. The caller closes it.
func (m *Message) Open(ctx context.Context, trace bool) (io.ReadCloser, error) {
	if !m.inline {
		return m.client.Content(ctx, m.Token, trace, 0)
	}
	body := bytes.NewReader(m.content)
	if !trace {
		return io.NopCloser(body), nil
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(m.Trace), body)), nil
}

// Bytes reads the content, without the trace, when it is at most max octets long.
// The slice belongs to the message.
func (m *Message) Bytes(ctx context.Context, max int64) ([]byte, error) {
	if m.Size > max {
		return nil, fmt.Errorf("%w: %d octets", ErrTooLong, m.Size)
	}
	if m.inline {
		return m.content, nil
	}
	r, err := m.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(b)) > max {
		err = ErrTooLong
	}
	return b, err
}

// Upload stores octets and returns their name for Edit.Upload.
func (m *Message) Upload(ctx context.Context, r io.Reader) (string, error) {
	u, err := m.client.Upload(ctx, m.Token, r)
	return u.Upload, err
}
