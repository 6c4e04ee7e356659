// Command chainscan is a scanner of the chain test, one of three kinds: a pull
// scanner, a milter, or a daemon that answers as rspamd does. Each reads the
// message, writes its mark into a journal, and then accepts it with a field of
// its own (X-Scan-KIND), but for the messages that discards names. It keeps no state
// and may be killed at any time.
//
//	chainscan pull|milter|rspamd SOCKET JOURNAL
//
// SOCKET is the API's for pull, and what the others listen on.
package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: chainscan pull|milter|rspamd SOCKET JOURNAL")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "chainscan:", err)
		os.Exit(1)
	}
}

func run(kind, socket, path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	j := journal{f}
	switch kind {
	case "pull":
		return pull(socket, j)
	case "milter":
		return serveMilter(socket, j)
	case "rspamd":
		return serveRspamd(socket, j)
	}
	return fmt.Errorf("no kind %q", kind)
}

// journal has one line of 16 octets for each message that was seen. A line that
// was written stays when the process is killed.
type journal struct{ f *os.File }

func (j journal) note(mark string) error {
	_, err := fmt.Fprintf(j.f, "%-15s\n", mark)
	return err
}

var markField = regexp.MustCompile(`(?m)^X-Mark: (\S+?)\r?$`)

// markOf is the mark of a message, and the number of the message in it.
func markOf(content []byte) (mark string, n int, err error) {
	head, _, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	m := markField.FindSubmatch(head)
	if m == nil {
		return "", 0, fmt.Errorf("a message without a mark")
	}
	mark = string(m[1])
	digits, _, _ := strings.Cut(mark, ".")
	n, err = strconv.Atoi(digits)
	return mark, n, err
}

// work takes some milliseconds, so that a kill meets messages under way.
func work() { time.Sleep(time.Duration(1+rand.IntN(10)) * time.Millisecond) }

// discards says whether a scanner throws a message away; the chain test knows the
// same rule.
func discards(kind string, n int) bool {
	return kind == "pull" && n%50 == 7 || kind == "milter" && n%50 == 13
}
