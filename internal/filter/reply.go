package filter

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"mtad/filterproto"
)

// Replies of a verdict or failure that names none.
var (
	defaultReject = filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "message refused by content policy"}
	defaultDefer  = filterproto.Reply{Code: 451, Enhanced: "4.7.1", Text: "message cannot be checked now, try again later"}
	failReject    = filterproto.Reply{Code: 554, Enhanced: "5.7.0", Text: "message cannot be checked"}
	sizeReject    = filterproto.Reply{Code: 552, Enhanced: "5.3.4", Text: "message too big to be checked"}
)

// checkReply checks a reply, which counts with reject and defer only.
func checkReply(at string, v filterproto.Verdict) error {
	r := v.Reply
	if r == nil {
		return nil
	}
	if len(r.Text) > filterproto.MaxReplyText {
		return tooLarge(at+"reply.text", "more than %d octets", filterproto.MaxReplyText)
	}
	if !utf8.ValidString(r.Text) || strings.ContainsFunc(r.Text, isControl) {
		return invalid(at+"reply.text", "want one line of text")
	}
	class := 0
	switch v.Disposition {
	case filterproto.Reject:
		class = 5
	case filterproto.Defer:
		class = 4
	default:
		return invalid(at+"reply", "only with reject and defer")
	}
	// RFC 5321 §4.2: the second digit is 0 to 5.
	if r.Code/100 != class || r.Code/10%10 > 5 {
		return invalid(at+"reply.code", "want %dyz", class)
	}
	if r.Enhanced != "" && !enhancedOK(r.Enhanced, class) {
		return invalid(at+"reply.enhanced", "want %d.SUBJECT.DETAIL", class)
	}
	return nil
}

// enhancedOK checks class "." subject "." detail (RFC 3463 §2).
func enhancedOK(s string, class int) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(class) {
		return false
	}
	for _, p := range parts[1:] {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n > 999 || strconv.FormatUint(n, 10) != p {
			return false
		}
	}
	return true
}

// replyLine writes the reply of a verdict as one line, "550 5.7.1 text". Octets
// that a reply cannot carry (RFC 5321 §4.2, textstring) become "?".
func replyLine(r *filterproto.Reply, def filterproto.Reply) string {
	if r == nil {
		r = &def
	}
	enhanced, text := r.Enhanced, r.Text
	if enhanced == "" {
		enhanced = strconv.Itoa(r.Code/100) + def.Enhanced[1:]
	}
	if text == "" {
		text = def.Text
	}
	text = strings.Map(func(c rune) rune {
		if c < 32 || c > 126 {
			return '?'
		}
		return c
	}, text)
	return strconv.Itoa(r.Code) + " " + enhanced + " " + text
}
