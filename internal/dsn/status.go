package dsn

import (
	"strings"

	"mtad/internal/smtp"
	"mtad/queue"
)

// action is the Action field (RFC 3464 §2.3.3).
func action(k Kind, s queue.RecipientStatus) string {
	switch {
	case k == Failed:
		return "failed"
	case k == Delayed:
		return "delayed"
	case s == queue.Relayed:
		return "relayed"
	}
	return "delivered"
}

// status is the Status field (RFC 3464 §2.3.4): the enhanced status code of the
// last reply where its class fits what is reported. A failure after a transient
// reply means that the lifetime ended: 4.4.7, delivery time expired (RFC 3463 §3.5).
func status(k Kind, lastReply string) string {
	code, enhanced := splitReply(lastReply)
	class, fallback := byte('2'), "2.0.0"
	switch k {
	case Failed:
		class, fallback = '5', "5.0.0"
		if code/100 == 4 || code == 0 && strings.HasPrefix(enhanced, "4.") {
			return "4.4.7"
		}
	case Delayed:
		class, fallback = '4', "4.0.0"
	}
	if enhanced != "" && enhanced[0] == class {
		return enhanced
	}
	return fallback
}

// splitReply finds reply code (0 when absent) and enhanced status code at the
// start of a reply.
func splitReply(s string) (code int, enhanced string) {
	if r, ok := smtp.Parse(s); ok {
		return r.Code, r.Enhanced
	}
	enhanced, _ = smtp.CutEnhanced(s)
	return 0, enhanced
}
