package mailscanner

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"mtad/filterproto"
)

// envelope is a reverse-path and recipients as the exchange files write them: "O<…>"
// for each recipient, then "S<…>".
type envelope struct {
	sender     string
	recipients []string
	original   map[string]string // paths as the claim has them, by how they are written
}

// newEnvelope writes the envelope of a claim. A path that MailScanner could not read
// gets a form that it can; original knows what it stands for.
func newEnvelope(e *filterproto.Envelope) *envelope {
	out := &envelope{original: make(map[string]string, len(e.Recipients)+1)}
	for _, r := range e.Recipients {
		out.recipients = append(out.recipients, out.add(r.Path))
	}
	if e.ReversePath != "" {
		out.sender = e.ReversePath
		if written := readable(e.ReversePath); written != e.ReversePath {
			out.sender = out.add(e.ReversePath)
		}
	}
	return out
}

func (e *envelope) add(path string) (written string) {
	written = readable(path)
	for n := 1; e.taken(written, path); n++ {
		written = strconv.Itoa(n) + "." + readable(path)
	}
	e.original[written] = path
	return written
}

func (e *envelope) taken(written, path string) bool {
	other, ok := e.original[written]
	return ok && other != path
}

// readable writes a path so that its end is found: MailScanner cuts a line at "<" and
// ">", wherever they stand.
func readable(path string) string {
	out := []byte(path)
	for i, c := range out {
		if c == '<' || c == '>' || c < ' ' || c == 0x7f {
			out[i] = '_'
		}
	}
	return string(out)
}

func (e *envelope) write(w *bufio.Writer) {
	for _, r := range e.recipients {
		fmt.Fprintf(w, "O<%s>\n", r)
	}
	fmt.Fprintf(w, "S<%s>\n", e.sender)
}

// maxEnvelope bounds the envelope of an answer, in octets.
const maxEnvelope = 16 << 20

// readEnvelope reads the envelope of an answer and leaves r at the message. E and A
// lines are passed over: mtad keeps what they hold itself.
func readEnvelope(r *bufio.Reader) (*envelope, error) {
	e := &envelope{}
	haveSender := false
	for left := maxEnvelope; ; {
		mark, err := r.Peek(2)
		if err != nil || mark[1] != '<' || bytes.IndexByte([]byte("OSEA"), mark[0]) < 0 {
			break
		}
		line, err := readLine(r, left)
		if err != nil {
			return nil, err
		}
		left -= len(line)
		path, closed := strings.CutSuffix(strings.TrimRight(string(line[2:]), "\r\n"), ">")
		if !closed {
			return nil, errDamaged
		}
		switch {
		case mark[0] == 'S':
			e.sender, haveSender = path, true
		case mark[0] == 'O' && path != "":
			e.recipients = append(e.recipients, path)
		}
	}
	if !haveSender {
		return nil, errDamaged
	}
	return e, nil
}

// readLine reads a line with its LF, which the last one may lack. A longer one is
// damage.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errDamaged
		}
		line = append(line, part...)
		switch err {
		case nil:
			return line, nil
		case io.EOF:
			if len(line) == 0 {
				return nil, io.EOF
			}
			return line, nil
		case bufio.ErrBufferFull:
		default:
			return nil, err
		}
	}
}

// edits make the envelope of an answer of the one that was sent. Recipients that come
// first are added before others are removed: at no time is there none. MailScanner
// knows addresses in lower case, too, so those that differ in case are the same here.
func (e *envelope) edits(answer *envelope) []filterproto.Edit {
	var out []filterproto.Edit
	if !strings.EqualFold(answer.sender, e.sender) {
		out = append(out, filterproto.Edit{Op: filterproto.ReversePathSet, Value: answer.sender})
	}
	sent, back := folded(e.recipients), folded(answer.recipients)
	for _, path := range answer.recipients {
		if key := strings.ToLower(path); !sent[key] {
			out = append(out, filterproto.Edit{Op: filterproto.RecipientAdd, Value: path})
			sent[key] = true
		}
	}
	for _, written := range e.recipients {
		if !back[strings.ToLower(written)] {
			out = append(out, filterproto.Edit{Op: filterproto.RecipientDelete, Value: e.original[written]})
		}
	}
	return out
}

func folded(paths []string) map[string]bool {
	out := make(map[string]bool, len(paths))
	for _, p := range paths {
		out[strings.ToLower(p)] = true
	}
	return out
}
