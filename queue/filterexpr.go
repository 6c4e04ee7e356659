package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxFilterText is the longest expression that ParseFilter reads, in octets.
const MaxFilterText = 8192

// FilterError says which term of an expression is wrong. It matches ErrInvalid.
type FilterError struct {
	Term   string // as written, cut at 80 octets
	Pos    int    // octets before it
	Reason string
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("queue: filter: %q at %d: %s", e.Term, e.Pos, e.Reason)
}

// Is reports a match with ErrInvalid.
func (e *FilterError) Is(target error) bool { return target == ErrInvalid }

// ParseFilter reads the expression that mtactl and the API take. Terms are
// separated by white space and all have to hold; each may be given once. The
// empty expression selects everything.
//
//	state=S,…      unfiltered, incoming, active, deferred
//	id=ID,…        a message's ID selects all its parts
//	sender=P       reverse-path; sender=<> is the null reverse-path
//	recipient=P    any recipient
//	next-hop=P     next hop of any pending recipient
//	stage=P  chain=P
//	held  held=no
//	quarantined  quarantined=no   held by a filter
//	hold-by=P  reason=P  the mark's author and reason
//	origin=O       smtp, submit, http, dsn, forward
//	parent=ID
//	age>D  age<D   a number with s, m, h, d or w; several may follow: 1h30m
//	size>N  size>=N  size<N  size<=N   octets; K, M, G are powers of 1024
//
// So that what the API's JSON says can be typed as it stands, next_hop and hold_by
// are read as next-hop and hold-by, held=yes and held=true as held, held=false as
// held=no (likewise quarantined), and k, m, g in a size as K, M, G.
//
// P is a pattern, compared without case; * is any run of octets. White space
// between double quotes belongs to the value. The quotes do too, as in the
// mailbox recipient="a b"@example.org, unless they enclose the whole value: then
// they go, and \" and \\ inside stand for " and \.
//
// An error is a *FilterError that names the term.
func ParseFilter(s string) (Filter, error) {
	var f Filter
	if len(s) > MaxFilterText {
		return Filter{}, filterError(s, 0, fmt.Sprintf("expression over %d octets", MaxFilterText))
	}
	seen := map[string]bool{}
	if !utf8.ValidString(s) {
		return Filter{}, filterError(strings.ToValidUTF8(s, "?"), 0, "not UTF-8")
	}
	for pos := 0; pos < len(s); {
		if isSpace(s[pos]) {
			pos++
			continue
		}
		term, err := nextTerm(s[pos:])
		if err == "" {
			err = f.parseTerm(term, seen)
		}
		if err != "" {
			return Filter{}, filterError(term, pos, err)
		}
		pos += len(term)
	}
	return f, nil
}

func filterError(term string, pos int, reason string) error {
	if len(term) > 80 {
		term = strings.ToValidUTF8(term[:80], "")
	}
	return &FilterError{Term: term, Pos: pos, Reason: reason}
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// nextTerm cuts at the first white space outside quotes.
func nextTerm(s string) (term, err string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && isSpace(s[i]):
			return s[:i], ""
		}
	}
	if quoted {
		return s, "quote is not closed"
	}
	return s, ""
}

// parseTerm sets what one term says; it returns a reason when it cannot.
func (f *Filter) parseTerm(term string, seen map[string]bool) string {
	end := strings.IndexAny(term, "=<>")
	if end < 0 {
		if term != "held" && term != "quarantined" {
			return "want name=value"
		}
		end = len(term)
		term += "=yes"
	}
	name, op, rest := strings.ReplaceAll(term[:end], "_", "-"), term[end:end+1], term[end+1:]
	if name == "size" && op != "=" && strings.HasPrefix(rest, "=") {
		op, rest = op+"=", rest[1:]
	}
	key := name + op[:1]
	if seen[key] {
		return "given twice"
	}
	seen[key] = true
	value, err := unquoteTerm(rest)
	switch {
	case err != "":
		return err
	case value == "" && name == "sender":
		return "empty value; the null reverse-path is sender=<>"
	case value == "":
		return "empty value"
	case name == "age" && op != "=":
		return f.parseAge(op, value)
	case name == "size" && op != "=":
		return f.parseSize(op, value)
	case op != "=":
		return "want " + name + "=value"
	}
	return f.parseValue(name, value)
}

// unquoteTerm takes the quotes off a value that they enclose.
func unquoteTerm(s string) (value, err string) {
	if !enclosed(s) {
		return s, ""
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' {
			i++
			if s[i] != '"' && s[i] != '\\' {
				return "", `\ stands before " and \ only`
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// enclosed says whether the quote that s begins with is closed by its last octet.
func enclosed(s string) bool {
	if s == "" || s[0] != '"' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i == len(s)-1
		}
	}
	return false
}

func (f *Filter) parseValue(name, value string) string {
	if p := f.pattern(name); p != nil {
		*p = value
		return ""
	}
	var err error
	switch name {
	case "state":
		f.States, err = parseList(value, ParseState)
	case "id":
		f.IDs, err = parseList(value, ParseID)
	case "parent":
		f.Parent, err = ParseID(value)
	case "origin":
		f.Origin = new(Origin)
		err = f.Origin.UnmarshalText([]byte(value))
	case "held", "quarantined":
		yes := value == "yes" || value == "true"
		if !yes && value != "no" && value != "false" {
			return "want " + name + " or " + name + "=no"
		}
		if name == "held" {
			f.Held = &yes
		} else {
			f.Quarantined = &yes
		}
	case "age", "size":
		return "want " + name + "> or " + name + "<"
	default:
		return "no such term"
	}
	if err != nil {
		return strings.TrimPrefix(err.Error(), "queue: ")
	}
	return ""
}

// pattern is the field that a term with a pattern sets.
func (f *Filter) pattern(name string) *string {
	switch name {
	case "sender":
		return &f.Sender
	case "recipient":
		return &f.Recipient
	case "next-hop":
		return &f.NextHop
	case "stage":
		return &f.Stage
	case "chain":
		return &f.Chain
	case "hold-by":
		return &f.HoldBy
	case "reason":
		return &f.Reason
	}
	return nil
}

func parseList[T any](value string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	for v := range strings.SplitSeq(value, ",") {
		x, err := parse(v)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

func (f *Filter) parseAge(op, value string) string {
	d, ok := parseAge(value)
	if !ok {
		return "want an age such as 90s, 10m, 1h30m, 2d, 1w"
	}
	if op == ">" {
		f.OlderThan = d
	} else {
		f.YoungerThan = d
	}
	return ""
}

var ageUnits = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// maxAge keeps sums of two ages inside a time.Duration.
const maxAge = 100 * 365 * 24 * time.Hour

// parseAge reads whole numbers with units; the sum is above zero.
func parseAge(s string) (d time.Duration, ok bool) {
	for s != "" {
		end := strings.IndexAny(s, "smhdw")
		if end < 1 {
			return 0, false
		}
		n, err := strconv.ParseUint(s[:end], 10, 32)
		unit := ageUnits[s[end]]
		if err != nil || s[0] == '+' || time.Duration(n) > maxAge/unit {
			return 0, false
		}
		d += time.Duration(n) * unit
		if d > maxAge {
			return 0, false
		}
		s = s[end+1:]
	}
	return d, d > 0
}

func (f *Filter) parseSize(op, value string) string {
	n, ok := parseSize(value)
	switch op {
	case ">":
		n++
	case "<":
		n--
	}
	if !ok || n < 1 {
		return "want a size such as 1, 20K, 10M, 2G"
	}
	if op[0] == '>' {
		f.MinSize = n
	} else {
		f.MaxSize = n
	}
	return ""
}

const sizeUnits = "KMG"

func parseSize(s string) (int64, bool) {
	shift := 0
	if s != "" {
		if i := strings.Index(sizeUnits, strings.ToUpper(s[len(s)-1:])); i >= 0 {
			s, shift = s[:len(s)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return int64(n) << shift, err == nil
}
