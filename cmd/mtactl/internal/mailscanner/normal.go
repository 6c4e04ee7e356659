package mailscanner

import (
	"bytes"
	"io"
)

// form is a way to write line ends.
type form int

const (
	// toLF makes LF of CRLF and keeps every other octet.
	toLF form = iota
	// toPlain is what two texts are compared in. MailScanner drops CRs before a LF and
	// ends the last line: without any CR, and with a LF at the end.
	toPlain
	// toCRLF makes CRLF of every LF that has no CR before it.
	toCRLF
)

// normal reads a text in another form.
type normal struct {
	r     io.Reader
	form  form
	in    []byte
	out   bytes.Buffer
	crs   int  // a CR that was read and not yet written: 0 or 1
	last  byte // the last octet written, once wrote
	wrote bool
	err   error
}

func newNormal(r io.Reader, f form) *normal { return &normal{r: r, form: f, in: make([]byte, 16<<10)} }

func (n *normal) Read(p []byte) (int, error) {
	for n.out.Len() == 0 {
		if n.err != nil {
			return 0, n.err
		}
		k, err := n.r.Read(n.in)
		for _, c := range n.in[:k] {
			n.step(c)
		}
		if n.err = err; err == io.EOF {
			n.finish()
		}
	}
	return n.out.Read(p)
}

func (n *normal) step(c byte) {
	switch c {
	case '\r':
		if n.form != toPlain {
			n.flush(n.crs) // only the one before a LF matters
			n.crs = 1
		}
		return
	case '\n':
		if n.form == toCRLF {
			n.put('\r')
		}
		n.crs = 0
	default:
		n.flush(n.crs)
	}
	n.put(c)
}

// flush writes the CR that waits.
func (n *normal) flush(crs int) {
	if crs > 0 {
		n.put('\r')
	}
	n.crs = 0
}

func (n *normal) put(c byte) {
	n.out.WriteByte(c)
	n.last, n.wrote = c, true
}

func (n *normal) finish() {
	n.flush(n.crs)
	if n.form == toPlain && n.wrote && n.last != '\n' {
		n.put('\n')
	}
}

// plain is b in the form that texts are compared in.
func plain(b []byte) string {
	out, _ := io.ReadAll(newNormal(bytes.NewReader(b), toPlain)) // a bytes.Reader does not fail
	return string(out)
}
