package dsn

import (
	"bytes"

	"mtad/internal/smtp"
	"mtad/queue"
)

func (m *message) subject() string {
	switch {
	case m.double:
		return "Postmaster notice: undeliverable report"
	case m.kind == Failed:
		return "Your message could not be delivered"
	case m.kind == Delayed:
		return "Your message is delayed"
	}
	return "Your message was delivered"
}

// opening says what the report is about, as sentences of its own paragraph.
func (m *message) opening() string {
	switch {
	case m.double:
		return "A message with the null reverse-path could not be delivered to the recipients below. " +
			"Nobody but the postmaster can be told."
	case m.kind == Failed:
		return "Your message could not be delivered to the recipients below, and no further attempt will be made."
	case m.kind == Delayed:
		return "Your message could not be delivered yet to the recipients below. You need not send it again: " +
			"further attempts are made, and you will be told if they fail."
	}
	return "Your message was delivered to the recipients below, as you asked to be told."
}

// text is the part for people, encoded as textType says.
func (m *message) text() []byte {
	var w bytes.Buffer
	fold(&w, "", "", clean("This is the mail system at "+m.host+".", true))
	w.WriteString("\r\n")
	fold(&w, "", "", m.opening())
	w.WriteString("\r\n")
	if m.kind == Delayed && !m.item.Expires.IsZero() {
		fold(&w, "", "", "Attempts go on until "+m.item.Expires.Format(dateForm)+".")
		w.WriteString("\r\n")
	}
	for _, i := range m.rcpts {
		m.recipientText(&w, &m.item.Envelope.Recipients[i])
	}
	w.WriteString("\r\n")
	fold(&w, "", "", clean("The queue ID of the message is "+string(m.item.ID.Message())+".", false))
	if m.orig.note != "" {
		fold(&w, "", "", m.orig.note)
	}
	if m.textQuoted = !smtp.IsASCII(w.String()); m.textQuoted {
		return quoted(w.Bytes())
	}
	return w.Bytes()
}

// textType is the part header for what text returned.
func (m *message) textType() string {
	h := "Content-Description: Notification\r\nContent-Type: text/plain; charset=utf-8\r\n"
	if m.textQuoted {
		return h + "Content-Transfer-Encoding: quoted-printable\r\n"
	}
	return h + "Content-Transfer-Encoding: 7bit\r\n"
}

func (m *message) recipientText(w *bytes.Buffer, rc *queue.Recipient) {
	line := "<" + rc.Path + ">"
	if rc.OrigPath != "" && rc.OrigPath != rc.Path {
		line += " (sent to <" + rc.OrigPath + ">)"
	}
	switch {
	case m.kind == Success && rc.Status == queue.Relayed:
		line += ": handed to " + orDefault(rc.LastRemote, rc.NextHop) + ", which does not report further"
	case m.kind == Success:
		line += ": delivered"
	case rc.LastReply != "" && rc.LastRemote != "":
		line += ": " + rc.LastRemote + " answered: " + rc.LastReply
	case rc.LastReply != "":
		line += ": " + rc.LastReply
	}
	fold(w, "", "    ", clean(line, true))
}
