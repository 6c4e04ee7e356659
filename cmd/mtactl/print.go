package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// json prints one of the API's objects.
func (t *tool) json(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return wrote(err)
	}
	_, err := t.out.Write(plainJSON(b.Bytes()))
	return wrote(err)
}

// plainJSON is the same JSON with what a terminal would obey (C1 controls, DEL,
// overrides of direction) written as escapes.
func plainJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, commands) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for _, r := range string(b) {
		if !commands(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, u)
		}
	}
	return out
}

// commands reports whether JSON may hold r as it is, and a terminal had better not.
func commands(r rune) bool { return r > '~' && r != utf8.RuneError && !showable(r) }

// wrote turns an error of writing to stdout into an exit status.
func wrote(err error) error {
	if err != nil {
		return &exitError{status: exitFailure, msg: err.Error()}
	}
	return nil
}

// table prints rows under a heading. Every cell is made safe for a terminal.
type table struct {
	w    *tabwriter.Writer
	rows int
}

func (t *tool) table(heading ...string) *table {
	tab := &table{w: tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)}
	if len(heading) > 0 {
		fmt.Fprintln(tab.w, strings.Join(heading, "\t"))
	}
	return tab
}

func (t *table) row(cells ...string) {
	t.rows++
	for i, c := range cells {
		if cells[i] = oneLine(c); cells[i] == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return wrote(t.w.Flush()) }

// oneLine makes text from mail or a server safe to show on a terminal and in one
// table cell: control characters, direction overrides and octets that are not
// UTF-8 are written as escapes.
func oneLine(s string) string {
	safe := true
	for _, r := range s {
		if !showable(r) {
			safe = false
			break
		}
	}
	if safe && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !showable(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// showable is false for what moves the cursor or reorders text: controls, formats
// (which hold the overrides of direction), line and paragraph separators.
func showable(r rune) bool {
	return r == ' ' || unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) && r != '\u2028' && r != '\u2029'
}

// safeWriter makes content safe for a terminal: line by line, keeping line ends and
// tabs.
type safeWriter struct{ w io.Writer }

func (s safeWriter) Write(p []byte) (int, error) {
	var b strings.Builder
	for i := 0; i < len(p); {
		_, n := utf8.DecodeRune(p[i:])
		switch {
		case p[i] == '\n' || p[i] == '\t':
			b.WriteByte(p[i])
		case p[i] == '\r' && i+1 < len(p) && p[i+1] == '\n':
		default:
			b.WriteString(oneLine(string(p[i : i+n])))
		}
		i += n
	}
	if _, err := io.WriteString(s.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ago says how old something is, in one unit.
func ago(since, now time.Time) string {
	if since.IsZero() {
		return ""
	}
	return span(now.Sub(since))
}

func span(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%s%ds", sign, int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%s%dm", sign, int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%s%dh", sign, int(d.Hours()))
	}
	return fmt.Sprintf("%s%dd", sign, int(d.Hours()/24))
}

// size prints octets in powers of 1024.
func size(n int64) string {
	for _, u := range []struct {
		unit string
		n    int64
	}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if n >= u.n {
			return fmt.Sprintf("%.1f%s", float64(n)/float64(u.n), u.unit)
		}
	}
	return strconv.FormatInt(n, 10)
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
