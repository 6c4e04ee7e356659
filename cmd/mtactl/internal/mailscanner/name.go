package mailscanner

import (
	"regexp"
	"strconv"
	"strings"
)

// names are what MailScanner takes for a message and keeps as it is: word characters,
// not all of them hexadecimal digits, and at most 32, which is where it cuts the name
// of a copy in its quarantine.
var names = regexp.MustCompile(`^[0-9A-Za-z]{1,15}_([A-Z2-7]{8})_[0-9a-z]{1,7}$`)

// newName makes the name of the n-th claim of an instance. The queue ID in it is for
// people; what makes it unique is the rest.
func newName(queueID, instance string, n uint64) string {
	id := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return 'x'
	}, queueID)
	return id[:min(len(id), 15)] + "_" + instance + "_" + strconv.FormatUint(n%36e9, 36)
}

// ownerOf returns the instance that a name belongs to; ok is false for other files.
func ownerOf(name string) (instance string, ok bool) {
	m := names.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// ofTemp returns the name inside "temp-PID-NAME", the answer that MailScanner has not
// finished.
func ofTemp(file string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(file, "temp-")
	if !ok {
		return "", false
	}
	pid, name, ok := strings.Cut(rest, "-")
	if _, err := strconv.ParseUint(pid, 10, 32); !ok || err != nil {
		return "", false
	}
	return name, true
}
