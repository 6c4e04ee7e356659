package smtpd

import "bytes"

// fault is why content is refused.
type fault uint8

const (
	noFault fault = iota
	bareLF
	bareCR
	longLine
)

// position is where in a line the decoder stands.
type position uint8

const (
	lineStart  position = iota // after CRLF, or at the beginning
	afterDot                   // a dot at the start of a line was taken away
	afterDotCR                 // and a CR after it is held back
	inLine
	afterCR // in a line, a CR is held back
)

// decoder reads mail data: it finds the end (with dots), takes the dots' stuffing away,
// and looks for bare CR and LF and for long lines. However the input is split, the
// result is the same. After a fault it goes on to the true end of the data,
// and what it puts out has no meaning. It works within the input: nothing is
// allocated.
type decoder struct {
	dots      bool // DATA; without, BDAT
	normalize bool
	maxLine   int

	pos   position
	line  int // octets of the line so far, without what is held back
	fault fault

	// The output of the running call that is not yet put out: b[from:to], then
	// what begins at run.
	from, to, run int
}

var crlf, space = []byte("\r\n"), []byte(" ")

// decode reads b and changes it. It returns how much it took, all unless the end
// of data was found. emit is called with parts of b and must not keep them.
func (d *decoder) decode(b []byte, emit func([]byte)) (n int, done bool) {
	d.from, d.to, d.run = 0, 0, 0
	i := 0
	for i < len(b) && !done {
		switch d.pos {
		case lineStart:
			d.pos = inLine
			if d.dots && b[i] == '.' {
				d.join(b, i)
				i++
				d.run = i
				d.pos = afterDot
			}
		case afterDot:
			d.pos = inLine
			if b[i] == '\r' {
				i++
				d.run = i
				d.pos = afterDotCR
			}
		case afterDotCR:
			if b[i] == '\n' {
				i++
				d.run, done = i, true
				break
			}
			d.lone(b, i, emit)
		case afterCR:
			if b[i] == '\n' {
				d.insert(b, i, crlf, emit)
				i++
				d.run = i
				d.endLine()
				break
			}
			d.lone(b, i, emit)
		case inLine:
			i = d.scan(b, i, emit)
		}
	}
	d.join(b, i)
	d.put(b, emit)
	return i, done
}

// scan reads on in a line, to its end at the most.
func (d *decoder) scan(b []byte, i int, emit func([]byte)) int {
	rest := b[i:]
	lf := bytes.IndexByte(rest, '\n')
	if lf >= 0 {
		rest = rest[:lf]
	}
	switch cr := bytes.IndexByte(rest, '\r'); {
	case cr >= 0 && cr < len(rest)-1: // something follows that is no LF
		d.grow(cr + 1)
		d.mark(bareCR)
		if d.normalize {
			b[i+cr] = ' '
		}
		return i + cr + 1
	case lf < 0 && cr >= 0: // at the end of the input
		d.grow(cr)
		d.join(b, i+cr)
		d.pos = afterCR
		d.run = len(b)
		return len(b)
	case lf < 0:
		d.grow(len(rest))
		return len(b)
	case cr < 0:
		d.grow(lf)
		d.mark(bareLF)
		d.insert(b, i+lf, crlf, emit)
		d.run = i + lf + 1
		d.line = 0
		return i + lf + 1
	default:
		d.grow(cr)
		d.endLine()
		return i + lf + 1
	}
}

// finish ends content that has no end of data of its own (BDAT).
func (d *decoder) finish(emit func([]byte)) {
	if d.pos == afterCR {
		d.lone(nil, 0, emit)
	}
}

// lone deals with a CR that was held back and is not followed by LF.
func (d *decoder) lone(b []byte, i int, emit func([]byte)) {
	d.mark(bareCR)
	d.grow(1)
	d.insert(b, i, space, emit)
	d.run = i
	d.pos = inLine
}

func (d *decoder) endLine() {
	d.line = 0
	d.pos = lineStart
}

func (d *decoder) grow(n int) {
	if d.line += n; d.line > d.maxLine {
		d.set(longLine)
	}
}

// mark notes a bare CR or LF, which is a fault unless it is normalized.
func (d *decoder) mark(f fault) {
	if !d.normalize {
		d.set(f)
	}
}

func (d *decoder) set(f fault) {
	if d.fault == noFault {
		d.fault = f
	}
}

// join moves the octets from run to i behind those that wait for output.
func (d *decoder) join(b []byte, i int) {
	switch {
	case i <= d.run:
	case d.from == d.to:
		d.from, d.to = d.run, i
	case d.to == d.run:
		d.to = i
	default:
		d.to += copy(b[d.to:], b[d.run:i])
	}
	d.run = i
}

// insert puts out what there is up to i, and then p.
func (d *decoder) insert(b []byte, i int, p []byte, emit func([]byte)) {
	d.join(b, i)
	d.put(b, emit)
	emit(p)
}

func (d *decoder) put(b []byte, emit func([]byte)) {
	if d.to > d.from {
		emit(b[d.from:d.to])
	}
	d.from, d.to = 0, 0
}
