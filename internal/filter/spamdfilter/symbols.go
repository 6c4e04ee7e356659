package spamdfilter

import (
	"fmt"
	"io"
	"strings"

	"mtad/filterproto"
	"mtad/internal/filter/scanner"
)

// maxSymbols bounds the list of symbols, in octets: a verdict has room for it.
const maxSymbols = 24 << 10

// readSymbols reads the payload of SYMBOLS: names, separated by commas.
func readSymbols(r io.Reader) ([]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSymbols+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSymbols {
		return nil, scanner.Protocol("spamd's symbols are more than %d octets", maxSymbols)
	}
	var list []string
	for _, s := range strings.Split(strings.TrimRight(string(b), "\r\n"), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, scanner.Protocol("spamd's symbols: %s", scanner.Quote([]byte(s)))
		}
		list = append(list, s)
	}
	if len(list) > filterproto.MaxSymbols {
		return nil, scanner.Protocol("spamd answers %d symbols", len(list))
	}
	return list, nil
}

// marks are the edits of SYMBOLS: X-Spam fields that came with the message off,
// ours on.
func (f *Filter) marks(a answer, symbols []string, forged *scanner.Forged) []filterproto.Edit {
	edits := forged.Remove("X-Spam-Flag", "X-Spam-Status", "X-Spam-Score", "X-Spam-Level")
	if f.o.Fields == "none" || f.o.Fields == "spam" && !a.spam {
		return edits
	}
	// The last one put on top is the first.
	edits = append(edits,
		scanner.OnTop("X-Spam-Level", strings.Repeat("*", int(min(max(a.score, 0), 50)))),
		scanner.OnTop("X-Spam-Score", fmt.Sprintf("%.1f", a.score)),
		scanner.OnTop("X-Spam-Status", status(a, symbols)))
	if a.spam {
		edits = append(edits, scanner.OnTop("X-Spam-Flag", "YES"))
	}
	return edits
}

// status is the value of X-Spam-Status, folded so that lines stay within 78
// octets where names let them.
func status(a answer, symbols []string) string {
	word := "No"
	if a.spam {
		word = "Yes"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, score=%.1f required=%.1f", word, a.score, a.required)
	if len(symbols) == 0 {
		b.WriteString(" tests=none")
		return b.String()
	}
	b.WriteString("\r\n\ttests=")
	column := len("\ttests=") + 7
	for i, s := range symbols {
		if i > 0 {
			b.WriteByte(',')
			if column+len(s) > 76 {
				b.WriteString("\r\n\t")
				column = 8
			}
		}
		b.WriteString(s)
		column += len(s) + 1
	}
	return b.String()
}
