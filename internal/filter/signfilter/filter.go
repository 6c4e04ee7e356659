package signfilter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/msgauth"
	"mtad/queue"
)

// maxHeader bounds the header section of a message that is signed, in octets.
const maxHeader = 1 << 20

const signatureField = "DKIM-Signature"

// Key is a line of the signing table.
type Key struct {
	msgauth.Signer
	// From are the author's domains that it signs for: "example.org", ".example.org"
	// for all below it, or "*". Default: Domain. One domain may match several keys:
	// each makes a signature.
	From []string
}

// Options configure a Filter. Keys and Own are required.
type Options struct {
	Keys []Key
	msgauth.Signing
	// Own reports whether a message is ours to sign.
	Own func(*queue.Item) bool
}

// Filter is a filter.Kind. Its memory is a header section and a few buffers for
// each scan under way.
type Filter struct{ o Options }

// New makes a Filter. Keys are tried.
func New(o Options) (*Filter, error) {
	if len(o.Keys) == 0 || o.Own == nil {
		return nil, errors.New("signfilter: Keys and Own are required")
	}
	for i, k := range o.Keys {
		if err := msgauth.CheckKey(k.Signer); err != nil {
			return nil, fmt.Errorf("signfilter: key %d: %w", i+1, err)
		}
	}
	return &Filter{o: o}, nil
}

// Scan signs the message.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	v := filterproto.Verdict{Disposition: filterproto.Accept, Reason: "not signed: from somebody else's client"}
	if !f.o.Own(&m.Item) {
		return v, nil
	}
	c, err := m.Open(ctx, false)
	if err != nil {
		return v, err
	}
	defer c.Close()
	s, err := f.sign(c)
	var large *filter.VerdictError
	switch {
	case errors.Is(err, msgauth.ErrUnsignable), errors.As(err, &large):
		v.Reason = "not signed: the message is too odd for a signature"
		return v, nil
	case err != nil:
		return v, err
	}
	v.Edits, v.Reason = s.edits, s.reason
	return v, nil
}

// Report signs what mtad makes itself, a message held in memory, with the keys
// for its From field, and returns the fields to put in front of it.
func (f *Filter) Report(message []byte) ([]byte, error) {
	s, err := f.sign(bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, e := range s.edits {
		if e.Op == filterproto.HeaderInsert {
			b.WriteString(e.Name + ":" + e.Value + "\r\n")
		}
	}
	return b.Bytes(), nil
}

// signed is what signing came to.
type signed struct {
	edits  []filterproto.Edit
	reason string
}

func (f *Filter) sign(content io.Reader) (s signed, err error) {
	header, body, err := filter.ReadHeader(content, maxHeader)
	if err != nil {
		return s, err
	}
	author := msgauth.AuthorDomain(header)
	signers := f.signers(author)
	if len(signers) == 0 {
		s.reason = "not signed: no key for the author's domain"
		return s, nil
	}
	fields, err := f.o.Sign(header, body, signers)
	if err != nil {
		return s, err
	}
	for _, key := range signers {
		if n := msgauth.SignedBy(header, key); n > 0 {
			s.edits = append(s.edits, filterproto.Edit{Op: filterproto.HeaderDelete, Name: signatureField, Index: n})
		}
	}
	s.edits = lastFirst(s.edits)
	names := make([]string, len(signers))
	for i, value := range fields {
		s.edits = append(s.edits, filterproto.Edit{Op: filterproto.HeaderInsert, Name: signatureField, Value: value, Exact: true, Index: i})
		names[i] = signers[i].Selector + "._domainkey." + signers[i].Domain
	}
	s.reason = "signed by " + strings.Join(names, ", ")
	return s, nil
}

// lastFirst orders deletions so that positions hold, each once.
func lastFirst(edits []filterproto.Edit) []filterproto.Edit {
	var out []filterproto.Edit
	for _, e := range edits {
		i := 0
		for i < len(out) && out[i].Index > e.Index {
			i++
		}
		if i == len(out) || out[i].Index != e.Index {
			out = append(out[:i], append([]filterproto.Edit{e}, out[i:]...)...)
		}
	}
	return out
}

// maxSigners bounds the signatures of one message.
const maxSigners = 8

func (f *Filter) signers(author string) (list []msgauth.Signer) {
	for _, k := range f.o.Keys {
		if author != "" && len(list) < maxSigners && k.matches(author) {
			list = append(list, k.Signer)
		}
	}
	return list
}

func (k Key) matches(author string) bool {
	if len(k.From) == 0 {
		return author == k.Domain
	}
	for _, p := range k.From {
		if p == "*" || p == author || strings.HasPrefix(p, ".") && strings.HasSuffix(author, p) {
			return true
		}
	}
	return false
}
