package msa

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mtad/internal/smtp"
)

// Rule says which addresses a login may use, beside those that a table gives it.
type Rule uint8

// The rules.
const (
	Own    Rule = iota // the login itself, where it is an address, or the login at one of Domains
	Listed             // none
	Any                // all
)

// OwnersOptions describe who owns which address.
type OwnersOptions struct {
	Rule Rule
	// Domains are put behind a login without one.
	Domains []string
	// Delimiter begins the extension of a local part: ann+x is ann's, too. "" has no
	// extensions.
	Delimiter string
	// File is a table of further addresses; "" has none.
	File string
	// Failed is told when the table has changed and cannot be read; may be nil.
	Failed func(error)
}

// Owners knows the addresses of logins. Its methods are safe for concurrent use.
type Owners struct {
	o     OwnersOptions
	mu    sync.Mutex
	seen  time.Time
	size  int64
	table map[string][]string // address, "@domain" or "@.domain" → logins
}

// Bounds of the table.
const (
	maxTable = 64 << 20
	maxLine  = 64 << 10
)

// gone is the size of a table that is not there.
const gone = -1

// NewOwners reads the table.
func NewOwners(o OwnersOptions) (*Owners, error) {
	w := &Owners{o: o}
	if o.File == "" {
		return w, nil
	}
	fi, err := os.Stat(o.File)
	if err != nil {
		return nil, fmt.Errorf("msa: %w", err)
	}
	w.seen, w.size = fi.ModTime(), fi.Size()
	w.table, err = readOwners(o.File)
	return w, err
}

func readOwners(path string) (map[string][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("msa: %w", err)
	}
	defer f.Close()
	t, err := parseOwners(f)
	if err != nil {
		return nil, fmt.Errorf("msa: %s: %w", path, err)
	}
	return t, nil
}

// parseOwners reads lines of an address and the logins that may use it, with
// blanks or commas between: "sales@example.org ann, bob". "@example.org" stands
// for all addresses there, "@.example.org" for all below, and the login "*" for
// everybody who logged in.
func parseOwners(r io.Reader) (map[string][]string, error) {
	t := map[string][]string{}
	lines := bufio.NewScanner(io.LimitReader(r, maxTable))
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	n := 1
	for ; lines.Scan(); n++ {
		f := strings.FieldsFunc(lines.Text(), func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\r' })
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
			continue
		case len(f) < 2 || strings.IndexByte(f[0], '@') < 0:
			return nil, fmt.Errorf("line %d is not an address and its logins", n)
		}
		key := fold(f[0])
		for _, login := range f[1:] {
			t[key] = append(t[key], fold(login))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	return t, nil
}

// current is the table as the file has it now; one that cannot be read leaves
// the old one in use.
func (w *Owners) current() map[string][]string {
	if w.o.File == "" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	fi, err := os.Stat(w.o.File)
	if err == nil && fi.ModTime().Equal(w.seen) && fi.Size() == w.size {
		return w.table
	}
	if err != nil && w.size == gone {
		return w.table
	}
	var t map[string][]string
	w.seen, w.size = time.Time{}, gone
	if err == nil {
		w.seen, w.size = fi.ModTime(), fi.Size()
		t, err = readOwners(w.o.File)
	}
	switch {
	case err == nil:
		w.table = t
	case w.o.Failed != nil:
		w.o.Failed(err)
	}
	return w.table
}

// May says whether a login may use an address ("local@domain" as in an
// envelope). The null reverse-path is everybody's: reports about mail that was
// read go out with it (RFC 8098 §2). granted are further addresses of this login,
// in the forms of the first column of the table.
func (w *Owners) May(login, address string, granted ...string) bool {
	if address == "" || w.o.Rule == Any {
		return true
	}
	p, err := smtp.ParseMailbox(address)
	if err != nil || p.Domain == "" {
		return false
	}
	login = fold(login)
	local, domain := fold(p.Local), fold(p.Domain)
	if w.own(login, local, domain) {
		return true
	}
	t := w.current()
	for _, key := range keys(local, domain, w.o.Delimiter) {
		if logins := t[key]; slices.Contains(logins, login) || slices.Contains(logins, "*") {
			return true
		}
		if slices.ContainsFunc(granted, func(g string) bool { return fold(g) == key }) {
			return true
		}
	}
	return false
}

func (w *Owners) own(login, local, domain string) bool {
	if w.o.Rule != Own {
		return false
	}
	name, at, _ := cutLast(login)
	if name != local && name != base(local, w.o.Delimiter) {
		return false
	}
	return at == domain || at == "" && slices.Contains(w.o.Domains, domain)
}

// keys are the lines of the table that an address is in.
func keys(local, domain, delimiter string) []string {
	k := []string{local + "@" + domain}
	if b := base(local, delimiter); b != local {
		k = append(k, b+"@"+domain)
	}
	k = append(k, "@"+domain)
	for rest := domain; ; {
		_, up, ok := strings.Cut(rest, ".")
		if !ok {
			return k
		}
		k, rest = append(k, "@."+up), up
	}
}

func base(local, delimiter string) string {
	if delimiter == "" {
		return local
	}
	if i := strings.Index(local, delimiter); i > 0 {
		return local[:i]
	}
	return local
}

func cutLast(login string) (name, domain string, found bool) {
	if i := strings.LastIndexByte(login, '@'); i >= 0 {
		return login[:i], login[i+1:], true
	}
	return login, "", false
}

// fold makes ASCII letters lower case, and no others: there are letters of other
// alphabets whose lower case is ours (U+212A), and they are other names.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
