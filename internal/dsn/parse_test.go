package dsn

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	gomessage "github.com/emersion/go-message"

	"mtad/internal/smtp"
)

// parsed is a report as an independent reader sees it.
type parsed struct {
	header mail.Header
	parts  []part
	// perMessage and perRecipient are the groups of fields of delivery-status.
	perMessage   textproto.MIMEHeader
	perRecipient []textproto.MIMEHeader
}

type part struct {
	typ  string
	body []byte // decoded
}

// parse reads a report with net/mail and mime/multipart, and checks that
// go-message sees as many parts.
func parse(raw []byte) (p parsed, err error) {
	if err := wellFormed(raw); err != nil {
		return p, err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return p, err
	}
	p.header = m.Header
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/report" || params["report-type"] != "delivery-status" {
		return p, fmt.Errorf("content type %q: %v", typ, err)
	}
	mr := multipart.NewReader(m.Body, params["boundary"])
	for {
		rp, err := mr.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return p, err
		}
		pp, err := readPart(rp)
		if err != nil {
			return p, err
		}
		p.parts = append(p.parts, pp)
	}
	if n, err := partsOfOther(raw); err != nil || n != len(p.parts) {
		return p, fmt.Errorf("%d parts, another reader sees %d: %v", len(p.parts), n, err)
	}
	if len(p.parts) < 2 {
		return p, fmt.Errorf("%d parts", len(p.parts))
	}
	return p, p.readStatus()
}

func readPart(rp *multipart.Part) (part, error) {
	typ, _, err := mime.ParseMediaType(rp.Header.Get("Content-Type"))
	if err != nil {
		return part{}, err
	}
	var r io.Reader = rp
	switch cte := rp.Header.Get("Content-Transfer-Encoding"); cte {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, rp)
	case "quoted-printable":
		r = quotedprintable.NewReader(rp)
	case "", "7bit", "8bit":
	default:
		return part{}, fmt.Errorf("encoding %q", cte)
	}
	body, err := io.ReadAll(r)
	if err == nil && rp.Header.Get("Content-Transfer-Encoding") == "7bit" && !smtp.IsASCII(string(body)) {
		err = fmt.Errorf("8-bit octets in a 7bit part")
	}
	return part{typ, body}, err
}

func partsOfOther(raw []byte) (n int, err error) {
	e, err := gomessage.Read(bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	mr := e.MultipartReader()
	if mr == nil {
		return 0, fmt.Errorf("not multipart")
	}
	for {
		if _, err := mr.NextPart(); err == io.EOF {
			return n, nil
		} else if err != nil && !gomessage.IsUnknownCharset(err) {
			return n, err
		}
		n++
	}
}

func (p *parsed) readStatus() error {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(p.parts[1].body, "\r\n\r\n"...))))
	var err error
	if p.perMessage, err = r.ReadMIMEHeader(); err != nil {
		return fmt.Errorf("per-message fields: %w", err)
	}
	for {
		h, err := r.ReadMIMEHeader()
		if len(h) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("per-recipient fields: %w", err)
		}
		p.perRecipient = append(p.perRecipient, h)
	}
}

// wellFormed checks what SMTP wants of content: CRLF only, short lines, no NUL.
func wellFormed(raw []byte) error {
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		return fmt.Errorf("no CRLF at the end")
	}
	for i, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
			return fmt.Errorf("line %d: %d octets, %.80q", i+1, len(line), line)
		}
	}
	return nil
}
