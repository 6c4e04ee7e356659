package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"mtad/filterproto"
	"mtad/queue"
)

// Stable codes of a VerdictError.
const (
	CodeInvalid     = "verdict_invalid"
	CodeTooLarge    = "verdict_too_large"
	CodeUpload      = "upload_unknown"
	CodeRecipient   = "recipient_unknown"
	CodeHeaderLarge = "header_too_large"
)

// VerdictError says why a verdict was refused. Nothing was changed and the lease
// still runs: a better verdict may follow.
type VerdictError struct {
	Code   string // one of the Code constants
	Field  string // path of the field, e.g. "edits[2].value"; "" is the verdict
	Detail string // for the scanner's author
}

func (e *VerdictError) Error() string {
	if e.Field == "" {
		return "filter: verdict: " + e.Detail
	}
	return "filter: verdict: " + e.Field + ": " + e.Detail
}

// Bounds of a verdict that filterproto does not name.
const (
	maxFieldName  = 76       // octets: name and colon stay within one line of 78
	maxSymbol     = 256      // octets
	maxSymbols    = 32 << 10 // octets in all
	maxRetryAfter = 7 * 24 * 3600
	maxQuarantine = 10 * 366 * 24 * 3600
	maxPath       = 512 // octets; RFC 5321 §4.5.3.1.3 asks for 256
	// maxParts bounds the recipient verdicts of one message.
	maxParts = 1000
	// maxEditsAll bounds the edits of a verdict with those of its recipients.
	maxEditsAll = 10 * filterproto.MaxEdits
)

// checker walks a verdict and stops at the first fault.
type checker struct {
	edits, inline int
}

// Validate checks a verdict against its bounds, as Engine.Judge does first. The
// error is a *VerdictError. It depends on nothing but v.
func Validate(v filterproto.Verdict) error {
	var c checker
	if err := c.verdict("", v); err != nil {
		return err
	}
	if len(v.Recipients) > maxParts {
		return tooLarge("recipients", "%d verdicts, at most %d", len(v.Recipients), maxParts)
	}
	seen := make(map[string]bool)
	for i, r := range v.Recipients {
		if err := c.recipient(fmt.Sprintf("recipients[%d]", i), r, seen); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) recipient(at string, r filterproto.RecipientVerdict, seen map[string]bool) error {
	if len(r.Recipients) == 0 {
		return invalid(at+".recipients", "names nobody")
	}
	for i, path := range r.Recipients {
		field := fmt.Sprintf("%s.recipients[%d]", at, i)
		if len(path) > maxPath {
			return tooLarge(field, "more than %d octets", maxPath)
		}
		if seen[path] {
			return invalid(field, "named before")
		}
		seen[path] = true
	}
	if len(r.Verdict.Recipients) > 0 {
		return invalid(at+".verdict.recipients", "a recipient's verdict has none of its own")
	}
	return c.verdict(at+".verdict.", r.Verdict)
}

// verdict checks v; at is "" or a path that ends in a dot.
func (c *checker) verdict(at string, v filterproto.Verdict) error {
	switch v.Disposition {
	case filterproto.Accept, filterproto.Reject, filterproto.Discard, filterproto.Defer:
	default:
		return invalid(at+"disposition", "want accept, reject, discard or defer")
	}
	if err := checkReply(at, v); err != nil {
		return err
	}
	if err := checkWords(at, v); err != nil {
		return err
	}
	if v.RetryAfter < 0 || v.RetryAfter > maxRetryAfter {
		return invalid(at+"retry_after", "want 0 to %d seconds", maxRetryAfter)
	}
	if q := v.Quarantine; q != nil {
		if len(q.Reason) > queue.MaxText {
			return tooLarge(at+"quarantine.reason", "more than %d octets", queue.MaxText)
		}
		if !utf8.ValidString(q.Reason) {
			return invalid(at+"quarantine.reason", "not UTF-8")
		}
		if q.Seconds < 0 || q.Seconds > maxQuarantine {
			return invalid(at+"quarantine.seconds", "want 0 to %d", int64(maxQuarantine))
		}
		if end := new(queue.HoldEnd); q.Then != "" && end.UnmarshalText([]byte(q.Then)) != nil {
			return invalid(at+"quarantine.then", "want release, delete or bounce")
		}
	}
	return c.editList(at, v.Edits)
}

func (c *checker) editList(at string, edits []filterproto.Edit) error {
	if len(edits) > filterproto.MaxEdits {
		return tooLarge(at+"edits", "%d edits, at most %d", len(edits), filterproto.MaxEdits)
	}
	if c.edits += len(edits); c.edits > maxEditsAll {
		return tooLarge(at+"edits", "more than %d edits in all", maxEditsAll)
	}
	uploaded := false
	for i, e := range edits {
		field := fmt.Sprintf("%sedits[%d]", at, i)
		if c.inline += len(e.Body); c.inline > filterproto.MaxInlineBody {
			return tooLarge(field+".body", "more than %d octets of body in all; upload it", filterproto.MaxInlineBody)
		}
		if err := checkEdit(field, e); err != nil {
			return err
		}
		if uploaded && (headerEdit(e.Op) || e.Op == filterproto.BodyReplace) {
			return invalid(field+".op", "cannot follow message_replace by an upload: the upload's header section is not read")
		}
		if e.Op == filterproto.MessageReplace {
			uploaded = e.Upload != ""
		}
	}
	return nil
}

func checkWords(at string, v filterproto.Verdict) error {
	if math.IsNaN(v.Score) || math.IsInf(v.Score, 0) {
		return invalid(at+"score", "not a finite number")
	}
	if len(v.Symbols) > filterproto.MaxSymbols {
		return tooLarge(at+"symbols", "%d symbols, at most %d", len(v.Symbols), filterproto.MaxSymbols)
	}
	all := 0
	for i, s := range v.Symbols {
		field := at + "symbols[" + strconv.Itoa(i) + "]"
		if all += len(s); len(s) > maxSymbol || all > maxSymbols {
			return tooLarge(field, "at most %d octets, and %d in all", maxSymbol, maxSymbols)
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
			return invalid(field, "control characters or not UTF-8")
		}
	}
	if len(v.Reason) > queue.MaxText {
		return tooLarge(at+"reason", "more than %d octets", queue.MaxText)
	}
	if !utf8.ValidString(v.Reason) {
		return invalid(at+"reason", "not UTF-8")
	}
	return nil
}

func isControl(r rune) bool { return r < 32 || r == 127 || 0x80 <= r && r < 0xa0 }

func invalid(field, format string, args ...any) error {
	return &VerdictError{Code: CodeInvalid, Field: field, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(field, format string, args ...any) error {
	return &VerdictError{Code: CodeTooLarge, Field: field, Detail: fmt.Sprintf(format, args...)}
}
