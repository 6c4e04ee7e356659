package dsn

import (
	"strings"

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
		if code != "" && code[0] == '4' || code == "" && strings.HasPrefix(enhanced, "4.") {
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

// splitReply finds reply code and enhanced status code at the start of a reply;
// either is "" when absent.
func splitReply(s string) (code, enhanced string) {
	first, rest, _ := strings.Cut(s, " ")
	if len(first) > 3 && first[3] == '-' {
		first, rest = first[:3], s[4:]
	}
	if len(first) == 3 && '2' <= first[0] && first[0] <= '5' && digits(first) {
		code = first
		first, _, _ = strings.Cut(rest, " ")
	}
	if isEnhanced(first) {
		enhanced = first
	}
	return code, enhanced
}

// isEnhanced matches status-code of RFC 3463 §2: class "." subject "." detail.
func isEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	if len(s) > 9 || len(parts) != 3 || !strings.Contains("245", parts[0]) || len(parts[0]) != 1 {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) < 1 || len(p) > 3 || !digits(p) || len(p) > 1 && p[0] == '0' {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
