package smtp

import (
	"strconv"
	"strings"
)

// Param is one esmtp-param of MAIL or RCPT (RFC 5321 §4.1.2).
type Param struct {
	Keyword  string // upper case
	Value    string
	HasValue bool
}

// MaxParams bounds the parameters of one command.
const MaxParams = 20

// MailParams are the parameters of MAIL.
type MailParams struct {
	Size    int64 // -1: not given (RFC 1870)
	Body    string
	UTF8    bool
	Return  string // "", "FULL", "HDRS" (RFC 3461)
	EnvID   string // decoded
	Auth    string // decoded; "<>" (RFC 4954)
	HasAuth bool
}

// Notify is the NOTIFY parameter of RFC 3461 §4.1 as a set.
type Notify uint8

// The members of Notify; NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// RcptParams are the parameters of RCPT.
type RcptParams struct {
	Notify Notify
	ORCPT  string // "type;address", decoded
}

// Bounds of RFC 3461 §4.2 and §4.4, in octets as sent.
const (
	MaxORCPT = 500
	MaxEnvID = 100
)

func badParam(text string) *Reply { return &Reply{501, "5.5.4", text} }

// ParseMail reads what follows "MAIL FROM:": the reverse-path and its
// parameters. White space before the path is let pass. A nil Reply is success.
func ParseMail(arg string) (Path, MailParams, *Reply) {
	// SMTPUTF8 stands behind the path that it is about.
	p, rest, err := ParsePath(strings.TrimLeft(arg, " "), true)
	if err != nil {
		return Path{}, MailParams{}, &Reply{501, "5.1.7", err.Error()}
	}
	params, bad := parseParams(rest)
	if bad != nil {
		return Path{}, MailParams{}, bad
	}
	m := MailParams{Size: -1}
	for _, q := range params {
		if bad := m.set(q); bad != nil {
			return Path{}, MailParams{}, bad
		}
	}
	if !m.UTF8 && !IsASCII(p.Local+p.Domain) {
		return Path{}, MailParams{}, &Reply{553, "5.6.7", errNotASCII.Error()}
	}
	return p, m, nil
}

func (m *MailParams) set(q Param) *Reply {
	switch q.Keyword {
	case "SIZE":
		n, err := strconv.ParseUint(q.Value, 10, 63)
		if err != nil || len(q.Value) > 20 {
			return badParam("SIZE wants a number of octets")
		}
		m.Size = int64(n)
	case "BODY":
		return m.setBody(q)
	case "SMTPUTF8":
		if m.UTF8 = true; q.HasValue {
			return badParam("SMTPUTF8 takes no value")
		}
	case "RET":
		if m.Return = strings.ToUpper(q.Value); m.Return != "FULL" && m.Return != "HDRS" {
			return badParam("RET wants FULL or HDRS")
		}
	case "ENVID":
		v, ok := ParseXtext(q.Value)
		if !ok || v == "" || len(q.Value) > MaxEnvID || !isPrintable(v) {
			return badParam("ENVID wants at most 100 octets of xtext")
		}
		m.EnvID = v
	case "AUTH":
		v, ok := ParseXtext(q.Value)
		if !ok || v == "" || !isPrintable(v) {
			return badParam("AUTH wants xtext")
		}
		m.Auth, m.HasAuth = v, true
	default:
		return &Reply{555, "5.5.4", "MAIL parameter not known"}
	}
	return nil
}

func (m *MailParams) setBody(q Param) *Reply {
	switch m.Body = strings.ToUpper(q.Value); m.Body {
	case "7BIT", "8BITMIME":
		return nil
	case "BINARYMIME":
		return &Reply{555, "5.6.1", "BODY=BINARYMIME not supported"}
	}
	return badParam("BODY wants 7BIT or 8BITMIME")
}

// ParseRcpt reads what follows "RCPT TO:".
func ParseRcpt(arg string, utf8ok bool) (Path, RcptParams, *Reply) {
	p, rest, err := ParsePath(strings.TrimLeft(arg, " "), utf8ok)
	switch {
	case err == errNotASCII:
		return Path{}, RcptParams{}, &Reply{553, "5.6.7", errNotASCII.Error()}
	case err != nil:
		return Path{}, RcptParams{}, &Reply{501, "5.1.3", err.Error()}
	case p.Null():
		return Path{}, RcptParams{}, &Reply{501, "5.1.3", "a recipient cannot be <>"}
	}
	params, bad := parseParams(rest)
	if bad != nil {
		return Path{}, RcptParams{}, bad
	}
	var r RcptParams
	for _, q := range params {
		if bad := r.set(q, utf8ok); bad != nil {
			return Path{}, RcptParams{}, bad
		}
	}
	return p, r, nil
}

func (r *RcptParams) set(q Param, utf8ok bool) *Reply {
	switch q.Keyword {
	case "NOTIFY":
		n, ok := parseNotify(q.Value)
		if !ok {
			return badParam("NOTIFY wants NEVER, or a list of SUCCESS, FAILURE, DELAY")
		}
		r.Notify = n
	case "ORCPT":
		v, ok := parseORCPT(q.Value, utf8ok)
		if !ok {
			return badParam("ORCPT wants type;address in at most 500 octets of xtext")
		}
		r.ORCPT = v
	default:
		return &Reply{555, "5.5.4", "RCPT parameter not known"}
	}
	return nil
}

func parseNotify(s string) (Notify, bool) {
	var n Notify
	for word := range strings.SplitSeq(strings.ToUpper(s), ",") {
		var bit Notify
		switch word {
		case "NEVER":
			bit = NotifyNever
		case "SUCCESS":
			bit = NotifySuccess
		case "FAILURE":
			bit = NotifyFailure
		case "DELAY":
			bit = NotifyDelay
		}
		if bit == 0 || n&bit != 0 {
			return 0, false
		}
		n |= bit
	}
	return n, n&NotifyNever == 0 || n == NotifyNever
}

// parseORCPT reads "type;xtext" (RFC 3461 §4.2). The address type utf-8 may be
// sent as UTF-8 where SMTPUTF8 is in use (RFC 6533 §3); its \x{} is left alone.
func parseORCPT(s string, utf8ok bool) (string, bool) {
	kind, addr, ok := strings.Cut(s, ";")
	if !ok || len(s) > MaxORCPT || !isKeyword(kind) || addr == "" {
		return "", false
	}
	if strings.EqualFold(kind, "utf-8") && !IsASCII(addr) {
		return s, utf8ok && validUTF8Text(addr)
	}
	v, ok := ParseXtext(addr)
	return kind + ";" + v, ok && isPrintable(v)
}

// parseParams reads " KEYWORD[=VALUE]" over and over. A keyword may come once.
func parseParams(s string) ([]Param, *Reply) {
	var list []Param
	if s != "" && s[0] != ' ' {
		return nil, badParam("a space is wanted between address and parameters")
	}
	for word := range strings.SplitSeq(s, " ") {
		if word == "" {
			continue
		}
		var q Param
		q.Keyword, q.Value, q.HasValue = strings.Cut(word, "=")
		if !isKeyword(q.Keyword) || q.HasValue && !isParamValue(q.Value) {
			return nil, badParam("bad parameter")
		}
		q.Keyword = strings.ToUpper(q.Keyword)
		for _, o := range list {
			if o.Keyword == q.Keyword {
				return nil, badParam("a parameter was given twice")
			}
		}
		if list = append(list, q); len(list) > MaxParams {
			return nil, badParam("too many parameters")
		}
	}
	return list, nil
}

// isKeyword is RFC 5321's esmtp-keyword and RFC 3461's address type.
func isKeyword(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// isParamValue is esmtp-value: visible US-ASCII but "=", and UTF-8.
func isParamValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '=' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
