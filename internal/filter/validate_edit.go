package filter

import (
	"strconv"
	"strings"

	"mtad/filterproto"
	"mtad/internal/smtp"
	"mtad/queue"
)

// checkEdit checks one edit, and that fields its op does not use are empty: what
// would be ignored is a mistake of the scanner's author.
func checkEdit(field string, e filterproto.Edit) error {
	var name, value, index, body, params bool
	switch e.Op {
	case filterproto.HeaderAdd:
		name, value = true, true
	case filterproto.HeaderInsert, filterproto.HeaderChange:
		name, value, index = true, true, true
	case filterproto.HeaderDelete:
		name, index = true, true
	case filterproto.BodyReplace, filterproto.MessageReplace:
		body = true
	case filterproto.ReversePathSet, filterproto.RecipientDelete:
		value = true
	case filterproto.RecipientAdd:
		value, params = true, true
	default:
		return invalid(field+".op", "no such edit")
	}
	switch {
	case !name && e.Name != "":
		return invalid(field+".name", "not used by %s", e.Op)
	case !value && e.Value != "":
		return invalid(field+".value", "not used by %s", e.Op)
	case !index && e.Index != 0:
		return invalid(field+".index", "not used by %s", e.Op)
	case !body && len(e.Body) > 0:
		return invalid(field+".body", "not used by %s", e.Op)
	case !body && e.Upload != "":
		return invalid(field+".upload", "not used by %s", e.Op)
	case e.Exact && !(name && value):
		return invalid(field+".exact", "not used by %s", e.Op)
	case !params && e.Params != "":
		return invalid(field+".params", "not used by %s", e.Op)
	case e.Index < 0:
		return invalid(field+".index", "negative")
	}
	switch {
	case body:
		return checkBody(field, e)
	case name:
		return checkField(field, e)
	}
	return checkPathEdit(field, e)
}

func checkBody(field string, e filterproto.Edit) error {
	if e.Upload == "" {
		if e.Op == filterproto.MessageReplace && len(e.Body) == 0 {
			return invalid(field+".body", "an empty message")
		}
		return nil
	}
	if len(e.Body) > 0 {
		return invalid(field+".upload", "body and upload given")
	}
	if _, err := parseUpload(e.Upload); err != nil {
		return &VerdictError{Code: CodeUpload, Field: field + ".upload", Detail: "no such upload"}
	}
	return nil
}

func checkField(field string, e filterproto.Edit) error {
	if len(e.Name) > maxFieldName {
		return tooLarge(field+".name", "more than %d octets", maxFieldName)
	}
	if e.Name == "" {
		return invalid(field+".name", "empty")
	}
	for i := range len(e.Name) {
		if !nameByte(e.Name[i]) {
			return invalid(field+".name", "octet %d is not allowed in a field name", i)
		}
	}
	return checkValue(field+".value", e.Value)
}

// checkValue makes sure that a value cannot end its field: CR occurs before LF
// alone, LF before white space alone, and no line is white space alone (some
// readers take such a line for the end of the header section, RFC 5322 §3.2.2).
func checkValue(field, v string) error {
	if len(v) > filterproto.MaxValue {
		return tooLarge(field, "more than %d octets", filterproto.MaxValue)
	}
	if strings.IndexByte(v, 0) >= 0 {
		return invalid(field, "NUL")
	}
	for i := range len(v) {
		switch v[i] {
		case '\r':
			if i+1 == len(v) || v[i+1] != '\n' {
				return invalid(field, "bare CR at octet %d", i)
			}
		case '\n':
			if i+1 == len(v) || v[i+1] != ' ' && v[i+1] != '\t' {
				return invalid(field, "line break at octet %d is not followed by white space", i)
			}
			line, _, _ := strings.Cut(v[i+1:], "\n")
			if strings.Trim(line, " \t\r") == "" {
				return invalid(field, "line of white space after octet %d", i)
			}
		}
	}
	return nil
}

func checkPathEdit(field string, e filterproto.Edit) error {
	if e.Op == filterproto.ReversePathSet && e.Value == "" {
		return nil
	}
	if err := checkPath(field+".value", e.Value); err != nil {
		return err
	}
	if len(e.Params) > filterproto.MaxParams {
		return tooLarge(field+".params", "more than %d octets", filterproto.MaxParams)
	}
	if _, bad := rcptParams(e.Params); bad {
		return invalid(field+".params", "want NOTIFY and ORCPT, as in RCPT")
	}
	return nil
}

// rcptParams reads Edit.Params.
func rcptParams(s string) (p smtp.RcptParams, bad bool) {
	if s == "" {
		return p, false
	}
	_, p, reply := smtp.ParseRcpt("<a@example.net> "+s, true)
	return p, reply != nil
}

// checkPath accepts what can stand between the brackets of a path without ending
// it. Whether it can be routed is for the route table to say.
func checkPath(field, p string) error {
	if p == "" {
		return invalid(field, "empty path")
	}
	if len(p) > maxPath {
		return tooLarge(field, "more than %d octets", maxPath)
	}
	if !pathOK(p) {
		return invalid(field, "not a mailbox")
	}
	return nil
}

// pathOK reports whether p is local-part "@" domain, with space, brackets and
// specials only inside a quoted local-part and no control characters (RFC 5321
// §4.1.2, RFC 6531).
func pathOK(p string) bool {
	if strings.ContainsFunc(p, isControl) || strings.Contains(p, "\ufffd") {
		return false
	}
	local, domain := p, ""
	if strings.HasPrefix(p, `"`) {
		end := quotedEnd(p)
		if end < 0 || end >= len(p) || p[end] != '@' {
			return false
		}
		local, domain = p[:end], p[end+1:]
	} else {
		i := strings.LastIndexByte(p, '@')
		if i < 0 {
			// A local mailbox without a domain, as the Postmaster of RFC 5321 §4.1.1.3.
			return !strings.ContainsAny(p, " <>(),;:\\\"[]")
		}
		local, domain = p[:i], p[i+1:]
		if local == "" || strings.ContainsAny(local, " <>(),;:\\\"[]@") {
			return false
		}
	}
	if strings.HasPrefix(domain, "[") {
		return len(domain) > 2 && strings.IndexByte(domain, ']') == len(domain)-1 && !strings.ContainsAny(domain[1:], "[ <>\\")
	}
	return local != "" && domain != "" && !strings.ContainsAny(domain, " <>(),;:\\\"[]@")
}

// quotedEnd is the index after the closing quote of a quoted string, or -1.
func quotedEnd(p string) int {
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// UploadName is how a verdict names an uploaded blob (Edit.Upload).
func UploadName(b queue.BlobID) string { return strconv.FormatUint(uint64(b), 10) }

// parseUpload reads an UploadName. Blob 0 is what was received, not an upload.
func parseUpload(s string) (queue.BlobID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || UploadName(queue.BlobID(n)) != s {
		return 0, queue.ErrInvalid
	}
	return queue.BlobID(n), nil
}
