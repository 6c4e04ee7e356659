package sendmail

import (
	"fmt"
	"strings"

	"mtad/internal/smtp"
)

// Mode is what sendmail is asked to do.
type Mode uint8

// The modes. Submit is the default.
const (
	Submit     Mode = iota // -bm: take a message on standard input
	Dialog                 // -bs: speak SMTP on standard input and output
	ListQueue              // -bp, mailq
	NewAliases             // -bi, -I, newaliases
	Flush                  // -q, -qIID, -qRSITE
)

// Options are a command line.
type Options struct {
	Mode       Mode
	Recipients []string // as given, each an address list
	FromHeader bool     // -t: recipients are in the header section, too
	IgnoreDots bool     // -i: a line of a single dot is text
	HasSender  bool     // -f or -r was given
	Sender     string   // as given
	FullName   string   // -F
	Notify     smtp.Notify
	EnvID      string // -V, plain
	Return     string // -R: "", "FULL" or "HDRS"
	FlushID    string // -qIID
	FlushSite  string // -qRSITE
	Verbose    bool   // -v
}

// UsageError is a command line that cannot be followed.
type UsageError struct{ Reason string }

func (e *UsageError) Error() string { return e.Reason }

func usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Options with an argument, which may stand in the same word or in the next; and
// those without, which may stand together in one word.
const (
	withArgument    = "ABCFLNORTVXbdfhoprq"
	withoutArgument = "GIUcimntvxe"
)

// Parse reads the arguments behind the program's name. The error is a *UsageError.
func Parse(args []string) (*Options, error) {
	o := &Options{}
	for len(args) > 0 {
		word := args[0]
		switch {
		case word == "--":
			o.Recipients = append(o.Recipients, args[1:]...)
			return o, o.check()
		case len(word) < 2 || word[0] != '-':
			// getopt(3) ends at the first address; so do we, because an address from a web
			// form must not become an option.
			o.Recipients = append(o.Recipients, args...)
			return o, o.check()
		}
		rest, err := o.word(word[1:], args[1:])
		if err != nil {
			return nil, err
		}
		args = rest
	}
	return o, o.check()
}

// word reads one word of options; next are the words behind it.
func (o *Options) word(word string, next []string) (rest []string, err error) {
	for i := range len(word) {
		c := word[i]
		if strings.IndexByte(withoutArgument, c) >= 0 && !(c == 'e' && i == 0 && len(word) > 1) {
			o.flag(c)
			continue
		}
		if strings.IndexByte(withArgument+"e", c) < 0 {
			return nil, usage("unknown option -%c", printable(c))
		}
		value := word[i+1:]
		if value == "" && !optional(c) {
			if len(next) == 0 {
				return nil, usage("-%c needs an argument", c)
			}
			value, next = next[0], next[1:]
		}
		return next, o.value(c, value)
	}
	return next, nil
}

// optional says that an option's argument stands in the same word or nowhere.
func optional(c byte) bool { return c == 'q' || c == 'd' || c == 'e' }

func printable(c byte) rune {
	if c <= ' ' || c > '~' {
		return '?'
	}
	return rune(c)
}

func (o *Options) flag(c byte) {
	switch c {
	case 't':
		o.FromHeader = true
	case 'i':
		o.IgnoreDots = true
	case 'v':
		o.Verbose = true
	case 'I':
		o.Mode = NewAliases
	}
}

func (o *Options) value(c byte, v string) error {
	switch c {
	case 'f', 'r':
		o.HasSender, o.Sender = true, v
	case 'F':
		o.FullName = v
	case 'o':
		if v == "i" { // -oi; -odb, -oem and all others mean nothing here
			o.IgnoreDots = true
		}
	case 'b':
		return o.mode(v)
	case 'q':
		return o.queue(v)
	case 'B':
		if !strings.EqualFold(v, "7BIT") && !strings.EqualFold(v, "8BITMIME") {
			return usage("-B wants 7BIT or 8BITMIME")
		}
	case 'N':
		return o.notify(v)
	case 'V':
		if v == "" || len(smtp.Xtext(v)) > smtp.MaxEnvID || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			return usage("-V wants at most %d printable characters", smtp.MaxEnvID)
		}
		o.EnvID = v
	case 'R':
		return o.ret(v)
	}
	return nil
}

func (o *Options) mode(v string) error {
	switch v {
	case "m":
		o.Mode = Submit
	case "s":
		o.Mode = Dialog
	case "p":
		o.Mode = ListQueue
	case "i":
		o.Mode = NewAliases
	case "d", "l", "D":
		return usage("-b%s: the daemon is started with: mtad run", v)
	default:
		return usage("this mode is not supported: -b")
	}
	return nil
}

func (o *Options) queue(v string) error {
	switch {
	case v == "" || v == "f":
		o.Mode = Flush
	case v[0] == 'I' && len(v) > 1:
		o.Mode, o.FlushID = Flush, v[1:]
	case v[0] == 'R' && len(v) > 1:
		o.Mode, o.FlushSite = Flush, v[1:]
	case v[0] >= '0' && v[0] <= '9':
		return usage("-qTIME: mtad looks after its queue itself")
	default:
		return usage("this way to run the queue is not supported: -q")
	}
	return nil
}

func (o *Options) notify(v string) error {
	var n smtp.Notify
	for word := range strings.SplitSeq(v, ",") {
		bit := map[string]smtp.Notify{
			"never": smtp.NotifyNever, "success": smtp.NotifySuccess, "failure": smtp.NotifyFailure, "delay": smtp.NotifyDelay,
		}[strings.ToLower(strings.TrimSpace(word))]
		if bit == 0 {
			return usage("-N wants never, or a list of success, failure and delay")
		}
		n |= bit
	}
	if n&smtp.NotifyNever != 0 && n != smtp.NotifyNever {
		return usage("-N never stands alone")
	}
	o.Notify = n
	return nil
}

func (o *Options) ret(v string) error {
	switch strings.ToLower(v) {
	case "full":
		o.Return = "FULL"
	case "hdrs":
		o.Return = "HDRS"
	default:
		return usage("-R wants full or hdrs")
	}
	return nil
}

// check looks at what only the whole command line tells.
func (o *Options) check() error {
	switch {
	case o.FromHeader && o.Mode != Submit:
		return usage("-t is for a message on standard input alone")
	case o.Mode == Submit && len(o.Recipients) == 0 && !o.FromHeader:
		return usage("no recipients: give addresses, or -t")
	case (o.Mode == Dialog || o.Mode == Flush) && len(o.Recipients) > 0:
		return usage("addresses are for a message on standard input alone")
	}
	return nil
}
