package msgauth

import (
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"
)

// maxAuthors bounds the domains of one From field that are looked up.
const maxAuthors = 4

// authors are the domains of the From field (RFC 5322 §3.6.2), as A-labels, each
// once, at most one more than maxAuthors. clear says that there is one field, and
// no doubt whose it is.
//
// A field that cannot be read in full gives every domain that a reader might
// find in it: behind each "@", also within quotes and comments.
func authors(fields []field) (domains []string, clear bool) {
	froms := values(fields, "From")
	read := true
	for _, value := range froms {
		list, ok := addressDomains(value)
		read = read && ok
		for _, d := range list {
			if !slices.Contains(domains, d) && len(domains) <= maxAuthors {
				domains = append(domains, d)
			}
		}
	}
	return domains, len(froms) == 1 && (len(domains) == 1 || read && len(domains) > 0)
}

func addressDomains(value string) (domains []string, ok bool) {
	flat := strings.ToValidUTF8(strings.NewReplacer("\r", "", "\n", "").Replace(value), "?")
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: anyCharset}}
	list, err := parser.ParseList(strings.TrimSpace(flat))
	if err != nil || strings.ContainsRune(flat, 0) {
		return anyDomains(flat), false
	}
	for _, a := range list {
		d := aLabels(domainOf(a.Address))
		if d == "" {
			return anyDomains(flat), false
		}
		domains = append(domains, d)
	}
	return domains, true
}

// anyCharset leaves names as they are: they do not matter here.
func anyCharset(_ string, r io.Reader) (io.Reader, error) { return r, nil }

// anyDomains finds what looks like a domain behind an "@".
func anyDomains(s string) (domains []string) {
	for {
		_, rest, found := strings.Cut(s, "@")
		if !found || len(domains) > maxAuthors {
			return domains
		}
		end := strings.IndexFunc(rest, func(r rune) bool {
			return r < 0x80 && r != '.' && notLDH(r) && (r < 'A' || r > 'Z')
		})
		if end < 0 {
			end = len(rest)
		}
		if d := aLabels(strings.Trim(rest[:end], ".")); d != "" {
			domains = append(domains, d)
		}
		s = rest
	}
}

// AuthorDomain is the domain of a From field with a single address, or of
// several of one domain; "" for anything else.
func AuthorDomain(header []byte) string {
	domains, clear := authors(fieldsOf(header))
	if !clear || len(domains) != 1 {
		return ""
	}
	return domains[0]
}
