package compose

import (
	"crypto/rand"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"

	"mtad/internal/submission"
)

// Write writes a message that Check was asked about and has nothing against, with
// CRLF.
func (m *Message) Write(w io.Writer) error {
	root, err := m.tree()
	if err != nil {
		return err
	}
	h := root.describe()
	for _, f := range slices.Backward(m.header()) {
		h.AddRaw(f)
	}
	if err := textproto.WriteHeader(w, h); err != nil {
		return err
	}
	return root.write(w)
}

// header are the fields of the message but those about its body.
func (m *Message) header() [][]byte {
	var raw [][]byte
	add := func(name string, tokens []string) {
		if len(tokens) > 0 {
			raw = append(raw, fold(name, tokens))
		}
	}
	own := func(name string) bool {
		return slices.ContainsFunc(m.Fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
	}
	if !m.Date.IsZero() {
		add("Date", []string{m.Date.Format(time.RFC1123Z)})
	}
	add("From", mailboxes([]Address{m.From}))
	if m.Sender.Path != "" {
		add("Sender", mailboxes([]Address{m.Sender}))
	}
	add("Reply-To", mailboxes(m.ReplyTo))
	add("To", mailboxes(m.To))
	add("Cc", mailboxes(m.Cc))
	if m.MessageID != "" && !own("Message-ID") {
		add("Message-ID", []string{"<" + m.MessageID + ">"})
	}
	if m.Subject != "" {
		add("Subject", text(m.Subject))
	}
	for _, f := range m.Fields {
		add(f.Name, text(strings.TrimSpace(f.Value)))
	}
	return append(raw, []byte("MIME-Version: 1.0\r\n"))
}

// node is a part: one with a body, or several.
type node struct {
	media    string
	params   map[string]string
	encoding string
	body     func() io.Reader
	lines    bool // the body is text whose line ends become CRLF
	cid      string
	inline   bool
	attached bool
	name     string
	children []*node
	boundary string // made with the header section
}

// tree is the structure of the message.
func (m *Message) tree() (*node, error) {
	var bodies, related, attached []*node
	for i := range m.Attachments {
		n, err := m.Attachments[i].node()
		if err != nil {
			return nil, err
		}
		if n.cid != "" && n.inline && m.HTML != nil {
			related = append(related, n)
		} else {
			attached = append(attached, n)
		}
	}
	if m.Text != nil {
		bodies = append(bodies, textNode("text/plain", m.Text, m.text))
	}
	if m.HTML != nil {
		n := textNode("text/html", m.HTML, m.html)
		bodies = append(bodies, group("multipart/related", map[string]string{"type": "text/html"}, append([]*node{n}, related...)))
	}
	if len(bodies) > 0 {
		attached = append([]*node{group("multipart/alternative", nil, bodies)}, attached...)
	} else if len(attached) == 1 { // an attachment alone is still one
		return &node{media: "multipart/mixed", children: attached}, nil
	}
	return group("multipart/mixed", nil, attached), nil
}

// group is the nodes together; one alone needs none.
func group(media string, params map[string]string, children []*node) *node {
	if len(children) == 1 {
		return children[0]
	}
	return &node{media: media, params: params, children: children}
}

func textNode(media string, r *io.SectionReader, s shape) *node {
	n := &node{media: media, params: map[string]string{"charset": "utf-8"}, encoding: "quoted-printable", lines: true}
	n.body = func() io.Reader { return again(r) }
	switch {
	case s.foreign == 0 && s.longest <= softLine+2:
		n.encoding = "7bit"
	case s.foreign*3 > s.size:
		n.encoding = "base64"
	}
	return n
}

func (a *Attachment) node() (*node, error) {
	n := &node{media: "application/octet-stream", encoding: "base64", cid: a.CID, name: a.Name, body: a.octets}
	n.inline = a.Disposition == "inline" || a.Disposition == "" && a.CID != ""
	n.attached = !n.inline
	if a.Type != "" {
		n.media, n.params, _ = mime.ParseMediaType(a.Type) // checked
	}
	if strings.HasPrefix(n.media, "message/") {
		return n, a.message(n)
	}
	return n, nil
}

// message is an attachment that is a message itself: it may not be encoded (RFC 2046
// §5.2.1), and goes as a file of octets where it would have to be.
func (a *Attachment) message(n *node) error {
	plain, err := sevenBit(a.octets())
	if err != nil {
		return err
	}
	if plain {
		n.encoding, n.lines = "7bit", true
	} else {
		n.media, n.params = "application/octet-stream", nil
	}
	return nil
}

// sevenBit says that octets need no encoding: ASCII without NUL in short lines.
func sevenBit(r io.Reader) (bool, error) {
	buf := make([]byte, 32<<10)
	line := 0
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			line++
			switch {
			case c == '\n':
				line = 0
			case c == 0 || c >= 0x80 || line > hardLine:
				return false, nil
			}
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// describe makes the fields about a part's body. A textproto.Header grows at the
// front.
func (n *node) describe() textproto.Header {
	var h textproto.Header
	if n.cid != "" {
		h.Add("Content-ID", "<"+n.cid+">")
	}
	if n.attached || n.inline {
		disposition := map[bool]string{true: "inline", false: "attachment"}[n.inline]
		params := map[string]string{}
		if n.name != "" {
			params["filename"] = n.name
		}
		h.Add("Content-Disposition", mime.FormatMediaType(disposition, params))
	}
	params := maps.Clone(n.params)
	if len(n.children) > 0 {
		n.boundary = rand.Text() + rand.Text()
		if params == nil {
			params = map[string]string{}
		}
		params["boundary"] = n.boundary
	} else {
		h.Add("Content-Transfer-Encoding", n.encoding)
	}
	h.Add("Content-Type", mime.FormatMediaType(n.media, params))
	return h
}

// write writes what is behind the part's header section.
func (n *node) write(w io.Writer) error {
	if len(n.children) == 0 {
		return n.copy(w)
	}
	mw := textproto.NewMultipartWriter(w)
	if err := mw.SetBoundary(n.boundary); err != nil {
		return err
	}
	for _, c := range n.children {
		part, err := mw.CreatePart(c.describe())
		if err != nil {
			return err
		}
		if err := c.write(part); err != nil {
			return err
		}
	}
	return mw.Close()
}

func (n *node) copy(w io.Writer) error {
	enc := encoder(n.encoding, w)
	if !n.lines {
		if err := n.octets(enc); err != nil {
			return err
		}
		return enc.Close()
	}
	l := submission.NewLineEnds(enc)
	if err := n.octets(l); err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	return enc.Close()
}

// octets copies the body through a buffer that is no larger than the body.
func (n *node) octets(w io.Writer) error {
	r := n.body()
	size := int64(32 << 10)
	if s, ok := r.(interface{ Size() int64 }); ok {
		size = max(1, min(size, s.Size()))
	}
	_, err := io.CopyBuffer(w, r, make([]byte, size))
	return err
}
