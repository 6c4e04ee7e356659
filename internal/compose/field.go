package compose

import (
	"encoding/base64"
	"mime"
	"strings"
	"unicode/utf8"
)

// Lengths of lines, without their end (RFC 5322 §2.1.1).
const (
	softLine = 76
	hardLine = 998
)

// fold is a header field of tokens that may be broken apart by a line end.
func fold(name string, tokens []string) []byte {
	b := append([]byte(name), ':')
	line := len(b)
	for _, t := range tokens {
		// Only in front of something: no line is of blanks alone (RFC 5322 §3.2.2).
		if t != "" && line+1+len(t) > softLine && line > len(name)+1 {
			b, line = append(b, '\r', '\n'), 0
		}
		b = append(append(b, ' '), t...)
		line += 1 + len(t)
	}
	return append(b, '\r', '\n')
}

// text is the value of an unstructured field.
func text(v string) []string {
	if isASCII(v) && !strings.Contains(v, "=?") && longestWord(v) <= hardLine-100 {
		return strings.Split(v, " ")
	}
	return encoded(v)
}

// longestWord is how long the longest run without a blank is.
func longestWord(v string) int {
	n := 0
	for w := range strings.SplitSeq(v, " ") {
		n = max(n, len(w))
	}
	return n
}

// encoded are encoded words (RFC 2047), Q where most of it stays readable.
func encoded(v string) []string {
	foreign := 0
	for i := range len(v) {
		if v[i] >= utf8.RuneSelf {
			foreign++
		}
	}
	if q := mime.QEncoding.Encode("utf-8", v); foreign > 0 && foreign*3 < len(v) && q != v {
		return strings.Split(q, " ")
	}
	return base64Words(v)
}

// wordOctets is what fits into a word of 75 characters in base64.
const wordOctets = 45

func base64Words(v string) []string {
	var words []string
	for v != "" {
		n := min(len(v), wordOctets)
		for n < len(v) && n > 0 && !utf8.RuneStart(v[n]) {
			n--
		}
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(v[:n]))+"?=")
		v = v[n:]
	}
	return words
}

// phrase is a display name (RFC 5322 §3.2.5, RFC 2047 §5 (3)).
func phrase(name string) []string {
	switch {
	case !isASCII(name) || strings.Contains(name, "=?") || longestWord(name) > softLine-4:
		return base64Words(name)
	case !strings.ContainsFunc(name, func(r rune) bool { return r != ' ' && !atext(r) }) && strings.Trim(name, " ") == name && !strings.Contains(name, "  "):
		return strings.Split(name, " ")
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	return strings.Split(quoted, " ")
}

func atext(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// mailboxes is the value of an address field.
func mailboxes(list []Address) []string {
	var tokens []string
	for i, a := range list {
		end := ""
		if i < len(list)-1 {
			end = ","
		}
		if a.Name == "" {
			tokens = append(tokens, a.Path+end)
			continue
		}
		tokens = append(append(tokens, phrase(a.Name)...), "<"+a.Path+">"+end)
	}
	return tokens
}
