package smtpclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// slowest is how many octets a second a next hop has to take on the whole, after
// ten times the limit of one write.
const slowest = 4 << 10

// block is how many octets of content go out in one write.
const block = 32 << 10

// buffers hold one read block and one write block; a Conn has them only while
// it sends.
type buffers struct {
	in  [block]byte
	out [block + block/8]byte
}

var pool = sync.Pool{New: func() any { return new(buffers) }}

// body sends the content and takes the replies to it.
func (x *exchange) body(content io.Reader) {
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	w := &dotWriter{
		conn: x.c.conn, buf: b.out[:0], timeout: x.c.o.Timeouts.DataBlock,
		beforeEnd: func() { x.out.Sent = true },
		limit:     time.Now().Add(10*x.c.o.Timeouts.DataBlock + time.Duration(max(x.t.Size, 0)/slowest)*time.Second),
	}
	if err := x.copy(w, content, b.in[:]); err != nil {
		x.fail(StageContent, err)
		if !errors.Is(err, ErrContent) {
			x.lastWords()
		}
		return
	}
	if err := w.end(); err != nil {
		x.fail(StageEnd, err)
		x.lastWords()
		return
	}
	x.c.open = false
	x.replies()
}

// copy sends content except for its end. Content of another size than announced
// is not completed: the peer must not take half a message for a whole one.
func (x *exchange) copy(w *dotWriter, content io.Reader, in []byte) error {
	var total int64
	for {
		n, err := content.Read(in)
		total += int64(n)
		if werr := w.write(in[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrContent, err)
		}
	}
	if x.t.Size >= 0 && total != x.t.Size {
		return fmt.Errorf("%w: %d octets instead of %d", ErrContent, total, x.t.Size)
	}
	return nil
}

// lastWords reads what a peer said before it closed in the middle of the
// content: often the reason.
func (x *exchange) lastWords() {
	r, err := x.c.reply(x.c.o.Timeouts.Quit)
	if err == nil && (r.Transient() || r.Permanent()) {
		x.out.Err.Reply = r
		x.rest(StageContent, r, false)
	}
}

// replies takes the reply to the content, with LMTP one for each recipient that
// was accepted (RFC 2033 §4.2).
func (x *exchange) replies() {
	for i := range x.out.Results {
		if x.decided(i) {
			continue
		}
		r, err := x.c.reply(x.c.o.Timeouts.DataEnd)
		if err == nil && r.Code/100 == 3 {
			err = ErrProtocol
		}
		if err != nil {
			x.fail(StageEnd, err)
			return
		}
		if r.Code == 421 {
			x.closing(StageEnd, r)
			return
		}
		if !x.c.o.LMTP {
			x.rest(StageEnd, r, false)
			return
		}
		x.out.Results[i] = Result{Reply: r, Stage: StageEnd}
	}
}

// dotWriter sends content with its dots doubled, in blocks.
type dotWriter struct {
	conn      net.Conn
	timeout   time.Duration
	limit     time.Time // of all writes
	buf       []byte
	beforeEnd func()
	// The last octets seen decide what a dot or the end means.
	prev, prev2 byte
	any         bool
	// held: the last octet was a dot after a bare CR or LF; what follows decides
	// whether it is doubled.
	held bool
}

// write takes the next octets of the content.
func (w *dotWriter) write(p []byte) error {
	for len(p) > 0 {
		n := w.step(p)
		p = p[n:]
		if len(w.buf) >= block {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// step takes some octets of p, not empty, into buf: at least one, at most to
// the next octet that needs a decision. buf has room, see flush.
func (w *dotWriter) step(p []byte) int {
	if w.held {
		w.held = false
		if p[0] == '\r' || p[0] == '\n' {
			w.buf = append(w.buf, '.')
		}
	}
	if p[0] == '.' && w.lineStart() {
		if w.bare() {
			w.held = true
		} else {
			w.buf = append(w.buf, '.')
		}
		w.take(p[:1])
		return 1
	}
	n := 1 + nextDot(p)
	n = min(n, cap(w.buf)-len(w.buf)-4)
	w.take(p[:n])
	return n
}

// nextDot is how many octets follow p[0] up to the next dot behind a line end.
func nextDot(p []byte) int {
	end := len(p)
	if i := bytes.Index(p, lfDot); i >= 0 {
		end = i + 1
	}
	if i := bytes.Index(p[:end], crDot); i >= 0 {
		end = i + 1
	}
	return end - 1
}

var lfDot, crDot = []byte("\n."), []byte("\r.")

func (w *dotWriter) take(p []byte) {
	w.buf = append(w.buf, p...)
	if len(p) > 1 {
		w.prev2 = p[len(p)-2]
	} else {
		w.prev2 = w.prev
	}
	w.prev = p[len(p)-1]
	w.any = true
}

func (w *dotWriter) lineStart() bool { return !w.any || w.prev == '\n' || w.prev == '\r' }

// bare reports whether the line end before is not CRLF.
func (w *dotWriter) bare() bool { return w.any && (w.prev != '\n' || w.prev2 != '\r') }

func (w *dotWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_ = w.conn.SetWriteDeadline(earlier(time.Now().Add(w.timeout), w.limit))
	_, err := w.conn.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// end sends the end of the data, with the CRLF before it if it is not there.
func (w *dotWriter) end() error {
	if w.held {
		w.buf = append(w.buf, '.')
	}
	if w.any && (w.prev != '\n' || w.prev2 != '\r') {
		w.buf = append(w.buf, "\r\n"...)
	}
	w.buf = append(w.buf, ".\r\n"...)
	w.beforeEnd()
	return w.flush()
}
