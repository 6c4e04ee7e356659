package dsn

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"mtad/internal/smtp"
	"mtad/queue"
)

const dateForm = "Mon, 2 Jan 2006 15:04:05 -0700"

// message is a report under construction, and when done its content.
type message struct {
	host, from, to string
	double         bool
	kind           Kind
	item           *queue.Item
	rcpts          []int
	now            time.Time
	unique         string
	// utf8 lets header fields and delivery-status hold Unicode (RFC 6533): only
	// when the addressee's own mailbox needs it, since it narrows the way back.
	utf8 bool
	orig original

	textQuoted bool
	body       bytes.Buffer
}

// WriteTo writes the content.
func (m *message) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(m.body.Bytes())
	return int64(n), err
}

// envelope has the null reverse-path and asks for no DSN (RFC 3461 §6.1).
func (m *message) envelope() queue.Envelope {
	e := queue.Envelope{
		Recipients: []queue.Recipient{{Path: m.to, Notify: queue.NotifyNever}},
		SMTPUTF8:   m.utf8,
		Body:       queue.Body7Bit,
	}
	if m.eightBit() {
		e.Body = queue.Body8Bit
	}
	return e
}

func (m *message) eightBit() bool { return m.utf8 || m.orig.encoding == "8bit" }

func (r *Reporter) compose(ctx context.Context, it *queue.Item, k Kind, rcpts []int, to string, double bool, take taking) (*message, error) {
	orig, err := r.readOriginal(ctx, it, k, take)
	if err != nil {
		return nil, fmt.Errorf("original: %w", err)
	}
	m := &message{
		host: r.o.Hostname, from: r.o.From, to: to, double: double, kind: k, item: it, rcpts: rcpts,
		now: r.o.Now(), utf8: !smtp.IsASCII(to), orig: orig,
	}
	text, status := m.text(), m.deliveryStatus()
	for { // the boundary is unpredictable, and checked all the same
		if m.unique, err = r.unique(); err != nil {
			return nil, err
		}
		u := []byte(m.unique)
		if !bytes.Contains(orig.data, u) && !bytes.Contains(text, u) && !bytes.Contains(status, u) {
			break
		}
	}
	m.header()
	m.part(m.textType(), text)
	m.part(m.statusType(), status)
	if orig.mediaType != "" {
		m.part(orig.header(m.kind), orig.data)
	}
	m.body.WriteString("--" + m.boundary() + "--\r\n")
	return m, nil
}

// unique is 128 bits in hexadecimal.
func (r *Reporter) unique() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r.o.Rand, b[:]); err != nil {
		return "", fmt.Errorf("random: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// boundary holds "=_", which no quoted-printable or base64 body can.
func (m *message) boundary() string { return "=_" + m.unique }

func (m *message) header() {
	w := &m.body
	field(w, m.utf8, "Date", m.now.Format(dateForm))
	field(w, m.utf8, "From", "Mail Delivery System "+mailbox(m.from, m.utf8))
	field(w, m.utf8, "To", mailbox(m.to, m.utf8))
	field(w, m.utf8, "Subject", m.subject())
	field(w, m.utf8, "Message-ID", "<"+m.unique+"@"+m.host+">")
	field(w, m.utf8, "In-Reply-To", m.orig.messageID)
	field(w, m.utf8, "References", m.orig.messageID)
	field(w, m.utf8, "Auto-Submitted", "auto-replied") // RFC 3834 §5
	field(w, m.utf8, "MIME-Version", "1.0")
	w.WriteString("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" + m.boundary() + "\"\r\n")
	if m.eightBit() {
		field(w, m.utf8, "Content-Transfer-Encoding", "8bit")
	}
	w.WriteString("\r\nThis is a delivery report in MIME format.\r\n\r\n")
}

// part writes a boundary, part header and part body. The CRLF after the body
// belongs to the next boundary (RFC 2046 §5.1.1).
func (m *message) part(header string, data []byte) {
	m.body.WriteString("--" + m.boundary() + "\r\n" + header + "\r\n")
	m.body.Write(data)
	m.body.WriteString("\r\n")
}

func (m *message) statusType() string {
	if m.utf8 {
		return "Content-Description: Delivery report\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"
	}
	return "Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n"
}

func (o *original) header(k Kind) string {
	what := "Undelivered message"
	if k != Failed {
		what = "Message header section"
	}
	typ := o.mediaType
	if o.charset != "" {
		typ += "; charset=" + o.charset
	}
	return "Content-Description: " + what + "\r\nContent-Type: " + typ + "\r\nContent-Transfer-Encoding: " + o.encoding + "\r\n"
}

// deliveryStatus is the body of message/delivery-status (RFC 3464 §2).
func (m *message) deliveryStatus() []byte {
	var w bytes.Buffer
	field(&w, m.utf8, "Original-Envelope-Id", m.item.Envelope.EnvID)
	field(&w, m.utf8, "Reporting-MTA", "dns; "+m.host)
	if helo := m.item.Envelope.Client.Helo; helo != "" {
		field(&w, m.utf8, "Received-From-MTA", "dns; "+helo)
	}
	if !m.item.Created.IsZero() {
		field(&w, m.utf8, "Arrival-Date", m.item.Created.Format(dateForm))
	}
	field(&w, m.utf8, "X-Queue-ID", string(m.item.ID.Message()))
	for _, i := range m.rcpts {
		w.WriteString("\r\n")
		m.recipientFields(&w, &m.item.Envelope.Recipients[i])
	}
	return w.Bytes()
}

func (m *message) recipientFields(w *bytes.Buffer, rc *queue.Recipient) {
	field(w, m.utf8, "Original-Recipient", originalRecipient(rc.ORCPT, m.utf8))
	field(w, m.utf8, "Final-Recipient", typedAddress(rc.Path, m.utf8))
	field(w, m.utf8, "Action", action(m.kind, rc.Status))
	field(w, m.utf8, "Status", status(m.kind, rc.LastReply))
	if rc.LastRemote != "" {
		field(w, m.utf8, "Remote-MTA", "dns; "+rc.LastRemote)
	}
	if rc.LastReply != "" {
		typ := "x-mtad; "
		if code, _ := splitReply(rc.LastReply); code != 0 && rc.LastRemote != "" {
			typ = "smtp; "
		}
		field(w, m.utf8, "Diagnostic-Code", typ+rc.LastReply)
	}
	if !rc.LastAttempt.IsZero() {
		field(w, m.utf8, "Last-Attempt-Date", rc.LastAttempt.Format(dateForm))
	}
	if m.kind == Delayed && !m.item.Expires.IsZero() {
		field(w, m.utf8, "Will-Retry-Until", m.item.Expires.Format(dateForm))
	}
}
