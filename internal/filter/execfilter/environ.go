package execfilter

import (
	"fmt"
	"strconv"
	"strings"

	"mtad/queue"
)

// envelopeFD is the descriptor with the envelope.
const envelopeFD = 3

// maxValue bounds a value in the environment, in octets.
const maxValue = 1000

// environ is the whole environment of a run: fixed names, what the
// configuration adds, and simple facts of the message under fixed names. Facts
// that are not known are not there.
func (f *Filter) environ(filter string, it queue.Item, dir string) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
		"HOME=" + dir, "TMPDIR=" + dir, "PWD=" + dir,
	}
	env = append(env, f.o.Environment...)
	env = append(env, "MTAD_ENVELOPE_FD="+strconv.Itoa(envelopeFD))
	e := &it.Envelope
	pending := 0
	last := ""
	for _, r := range e.Recipients {
		if r.Status == queue.Pending {
			pending, last = pending+1, r.Path
		}
	}
	if pending != 1 {
		last = "" // it takes descriptor 3 to see all of them
	}
	for _, v := range [][2]string{
		{"MTAD_FILTER", filter},
		{"MTAD_QUEUE_ID", string(it.ID)},
		{"MTAD_CHAIN", it.Chain},
		{"MTAD_ORIGIN", it.Origin.String()},
		{"MTAD_STAGED", flag(it.Staged)},
		{"MTAD_SIZE", strconv.FormatInt(it.Size(), 10)},
		{"MTAD_SENDER", path(e.ReversePath)},
		{"MTAD_RECIPIENT", last},
		{"MTAD_RECIPIENT_COUNT", strconv.Itoa(pending)},
		{"MTAD_PROTOCOL_NAME", e.Client.Protocol},
		{"MTAD_HELO_NAME", e.Client.Helo},
		{"MTAD_CLIENT_NAME", e.Client.Name},
		{"MTAD_CLIENT_ADDRESS", e.Client.Address},
		{"MTAD_SASL_USERNAME", e.Client.SASLUser},
	} {
		if v[1] != "" {
			env = append(env, v[0]+"="+harmless(v[1]))
		}
	}
	return env
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// harmless keeps letters, digits and what mailboxes, host names and addresses are
// made of, and writes "_" for every other octet: what a stranger said may meet a
// careless script here.
func harmless(s string) string {
	if s == "<>" {
		return s
	}
	b := []byte(s[:min(len(s), maxValue)])
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("@%-_=+:,./#[]", c) >= 0:
		default:
			b[i] = '_'
		}
	}
	return string(b)
}

func checkEnvironment(list []string) error {
	for _, s := range list {
		name, _, ok := strings.Cut(s, "=")
		if !ok || !isName(name) || strings.HasPrefix(name, "MTAD_") || strings.Contains(s, "\x00") {
			return fmt.Errorf("environment: %q is not NAME=value", s)
		}
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
