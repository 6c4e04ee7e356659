package mailscanner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Conf is what the bridge needs to know of a MailScanner.conf.
type Conf struct{ values map[string]string }

// Bounds of a configuration: its files together, and how deep they include others.
const (
	maxConf    = 4 << 20
	maxInclude = 8
	maxValue   = 4 << 10 // of what %names% in one value stand for
)

// ReadConf reads a MailScanner.conf and the files it includes: "Name = value", where
// letters and digits of the name count, whatever their case, and where %name% stands
// for what a line "%name% = value" said. The last line for a name counts.
func ReadConf(file string) (*Conf, error) {
	c := &confReader{values: make(map[string]string), left: maxConf}
	if err := c.read(file, 0); err != nil {
		return nil, err
	}
	return &Conf{c.values}, nil
}

type confReader struct {
	values map[string]string
	left   int64
}

func (c *confReader) read(file string, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("mailscanner: %s: too many files include each other", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("mailscanner: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(io.LimitReader(f, c.left))
	sc.Buffer(nil, 64<<10)
	for sc.Scan() {
		if c.left -= int64(len(sc.Bytes())) + 1; c.left <= 0 {
			return fmt.Errorf("mailscanner: %s: the configuration has more than %d octets", file, maxConf)
		}
		if err := c.line(sc.Text(), depth); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("mailscanner: %s: %w", file, err)
	}
	return nil
}

func (c *confReader) line(text string, depth int) error {
	text = strings.TrimSpace(text)
	if i := strings.Index(text, "#"); i >= 0 {
		text = strings.TrimSpace(text[:i])
	}
	if pattern, ok := strings.CutPrefix(text, "include "); ok {
		return c.include(c.expand(strings.TrimSpace(pattern)), depth)
	}
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return nil
	}
	c.values[confKey(key)] = c.expand(strings.TrimSpace(value))
	return nil
}

func (c *confReader) include(pattern string, depth int) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("mailscanner: include %s: %w", pattern, err)
	}
	slices.Sort(files)
	for _, file := range files {
		if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() || filepath.Base(file) == "README" {
			continue
		}
		if err := c.read(file, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var percent = regexp.MustCompile(`%[A-Za-z0-9_-]+%`)

func (c *confReader) expand(value string) string {
	left := maxValue
	return percent.ReplaceAllStringFunc(value, func(v string) string {
		if known, ok := c.values[confKey(v)]; ok && len(known) <= left {
			left -= len(known)
			return known
		}
		return v
	})
}

// confKey is how MailScanner compares names. A %name% is not an option of that name.
func confKey(s string) string {
	s = strings.TrimSpace(s)
	key := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
	if strings.HasPrefix(s, "%") {
		return "%" + key
	}
	return key
}

// Value is an option's value, "" when it is not set.
func (c *Conf) Value(option string) string { return c.values[confKey(option)] }

// Dir is an option that names one directory.
func (c *Conf) Dir(option string) (string, error) {
	dir := c.Value(option)
	if !filepath.IsAbs(dir) || strings.ContainsAny(dir, "*?% ") {
		return "", fmt.Errorf("mailscanner: %q = %q is not the name of one directory", option, dir)
	}
	return filepath.Clean(dir), nil
}

// Check reports every option with which messages would not come back to mtad.
func (c *Conf) Check() error {
	var errs []error
	want := func(option, have, why string, values ...string) {
		if !slices.Contains(values, strings.ToLower(have)) {
			errs = append(errs, fmt.Errorf("mailscanner: %q = %q: %s", option, have, why))
		}
	}
	want("MTA", c.Value("MTA"), `want "msmail"`, "msmail")
	want("MSMail Delivery Method", c.Value("MSMail Delivery Method"),
		`want "none": with another one MailScanner delivers the message itself`, "none")
	want("Lock Type", c.Value("Lock Type"), `want "flock" or nothing`, "", "flock")
	return errors.Join(errs...)
}
