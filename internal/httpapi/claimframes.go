package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"mtad/filterproto"
	"mtad/queue"
)

// framedClaims writes claims and their content as frames, each message as it is
// read from the store: the memory of an answer is one buffer, whatever its length.
type framedClaims struct {
	claimed
	ctx context.Context
}

const (
	frameBuffer = 64 << 10 // octets of one data frame
	writeBuffer = 32 << 10
)

// VisitCreateClaimsResponse writes the answer. When it cannot be written to its
// end, every claim is given back: the caller drops what came before the break.
func (f framedClaims) VisitCreateClaimsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", filterproto.MediaFrames)
	w.WriteHeader(http.StatusOK)
	fw := frameWriter{w: bufio.NewWriterSize(w, writeBuffer)}
	for _, c := range f.claims {
		f.one(&fw, c)
		if fw.err != nil {
			break
		}
	}
	fw.frame(filterproto.FrameEnd, nil)
	if err := fw.flush(); err != nil {
		f.s.giveBack(f.filter, f.claims)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (f *framedClaims) one(fw *frameWriter, qc queue.Claim) {
	c := f.claim(qc)
	if !f.inline(qc.Item, maxFrames) {
		fw.json(filterproto.FrameClaim, c)
		return
	}
	c.Inline = true
	fw.json(filterproto.FrameClaim, c)
	r, err := f.open(f.ctx, qc)
	if err == nil {
		err = fw.content(r)
		r.Close()
	}
	if err != nil {
		e, known := errorOf(about(qc.Item.ID, err))
		if !known {
			f.s.log.Error("content of a claim", "queue_id", qc.Item.ID, "error", err)
		}
		fw.json(filterproto.FrameFail, e)
		return
	}
	fw.frame(filterproto.FrameDone, nil)
}

// frameWriter writes frames; the first error of the connection sticks.
type frameWriter struct {
	w     *bufio.Writer
	start [32]byte
	chunk []byte
	err   error
}

func (f *frameWriter) frame(kind string, payload []byte) {
	f.write(filterproto.AppendFrame(f.start[:0], kind, len(payload)))
	f.write(payload)
}

func (f *frameWriter) write(b []byte) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
}

func (f *frameWriter) json(kind string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		f.err = err
		return
	}
	f.frame(kind, b)
}

// content writes data frames. Octets are read before their length is announced,
// so that a store that fails midway leaves the stream well-formed. The error is
// the store's; the connection's is in f.err.
func (f *frameWriter) content(r queue.Content) error {
	if want := int(min(r.Size(), frameBuffer)); len(f.chunk) < want {
		f.chunk = make([]byte, want)
	}
	for left := r.Size(); left > 0 && f.err == nil; {
		n := min(left, int64(len(f.chunk)))
		if _, err := io.ReadFull(r, f.chunk[:n]); err != nil {
			return err
		}
		f.frame(filterproto.FrameData, f.chunk[:n])
		left -= n
	}
	return nil
}

func (f *frameWriter) flush() error {
	if f.err == nil {
		f.err = f.w.Flush()
	}
	return f.err
}
