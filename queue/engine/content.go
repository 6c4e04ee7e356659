package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"mtad/queue"
)

// setContent makes the next generation. Inline octets become a blob of their own.
func (d *draft) setContent(c queue.SetContent) error {
	if len(d.r.Generations) >= queue.MaxGenerations {
		return tooLarge("generations", queue.MaxGenerations)
	}
	if len(c.By) > maxName {
		return tooLarge("filter name", maxName)
	}
	s := splicer{d: d, cur: d.r.Generation()}
	for i := range c.Pieces {
		if err := s.add(&c.Pieces[i]); err != nil {
			return err
		}
	}
	if err := s.close(); err != nil {
		return err
	}
	g := queue.Generation{N: s.cur.N + 1, By: c.By, Size: s.size, Segments: s.segments}
	d.r.Generations = append(slices.Clone(d.r.Generations), g)
	d.note(queue.EventChanged, "content")
	return nil
}

// splicer puts pieces together.
type splicer struct {
	d        *draft
	cur      queue.Generation
	inline   []byte
	blob     queue.BlobID // of inline; 0: none yet
	segments []queue.Segment
	size     int64
}

func (s *splicer) add(p *queue.Piece) error {
	switch {
	case p.Inline != nil:
		return s.addInline(p.Inline)
	case p.FromCurrent:
		return s.addCurrent(p.Offset, p.Length)
	}
	size, err := s.d.blobSize(p.Blob)
	if err != nil {
		return err
	}
	n, err := span(p.Offset, p.Length, size)
	if err != nil {
		return err
	}
	return s.segment(queue.Segment{Blob: p.Blob, Offset: p.Offset, Length: n})
}

// span checks that a range lies within size and returns its length.
func span(offset, length, size int64) (int64, error) {
	if length == -1 {
		length = size - offset
	}
	if offset < 0 || offset > size || length < 0 || length > size-offset {
		return 0, fmt.Errorf("%w: range %d+%d of %d octets", queue.ErrInvalid, offset, length, size)
	}
	return length, nil
}

func (s *splicer) addInline(b []byte) error {
	if s.d.t.inline += len(b); s.d.t.inline > queue.MaxInline {
		return tooLarge("new content", queue.MaxInline)
	}
	if len(b) == 0 {
		return nil
	}
	if s.blob == 0 {
		s.blob = newBlobID(s.d.r.blobs)
	}
	at := int64(len(s.inline))
	s.inline = append(s.inline, b...)
	return s.segment(queue.Segment{Blob: s.blob, Offset: at, Length: int64(len(b))})
}

func (s *splicer) addCurrent(offset, length int64) error {
	n, err := span(offset, length, s.cur.Size)
	if err != nil {
		return err
	}
	for _, g := range s.cur.Segments {
		if offset >= g.Length {
			offset -= g.Length
			continue
		}
		if n == 0 {
			break
		}
		part := min(g.Length-offset, n)
		if err := s.segment(queue.Segment{Blob: g.Blob, Offset: g.Offset + offset, Length: part}); err != nil {
			return err
		}
		n -= part
		offset = 0
	}
	return nil
}

// segment appends a run, joined to the last one where they meet.
func (s *splicer) segment(g queue.Segment) error {
	if g.Length == 0 {
		return nil
	}
	s.size += g.Length
	if n := len(s.segments); n > 0 {
		if l := &s.segments[n-1]; l.Blob == g.Blob && l.Offset+l.Length == g.Offset {
			l.Length += g.Length
			return nil
		}
	}
	if len(s.segments) >= queue.MaxSegments {
		return tooLarge("segments", queue.MaxSegments)
	}
	s.segments = append(s.segments, g)
	return nil
}

// close stores the inline octets and takes over uploaded blobs that were used.
func (s *splicer) close() error {
	d := s.d
	if s.blob != 0 {
		d.r.blobs = append(slices.Clone(d.r.blobs), blob{s.blob, int64(len(s.inline))})
		msg := d.r.key().msg
		if d.t.lease != nil && d.t.lease.staged {
			d.t.o.puts = append(d.t.o.puts, put{openMark(msg, s.blob), nil})
		}
		for n := 0; n*chunkSize < len(s.inline); n++ {
			part := s.inline[n*chunkSize : min((n+1)*chunkSize, len(s.inline))]
			d.t.o.chunks = append(d.t.o.chunks, chunkWrite{ChunkKey{msg, uint32(s.blob), uint32(n)}, part})
		}
	}
	return nil
}

// blobSize finds a blob of the item, or one uploaded under the Txn's lease,
// which becomes the item's by being used.
func (d *draft) blobSize(id queue.BlobID) (int64, error) {
	for _, b := range d.r.blobs {
		if b.id == id {
			return b.size, nil
		}
	}
	if l := d.t.lease; l != nil && d.t.byHand {
		for _, u := range l.blobs {
			if u.id == id && u.sealed {
				d.adopt(l, u)
				return u.size, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: no blob %d", queue.ErrInvalid, id)
}

func (d *draft) adopt(l *lease, u upload) {
	d.r.blobs = append(slices.Clone(d.r.blobs), u.blob)
	o := d.t.o
	if !l.staged {
		o.deletes = append(o.deletes, openMark(d.r.key().msg, u.id))
	}
	o.after = append(o.after, func() {
		l.blobs = slices.DeleteFunc(l.blobs, func(x upload) bool { return x.id == u.id })
	})
}

// openMark is the key that says: chunks of this blob may be stored and nothing
// names them. At start what still has its mark is dropped.
func openMark(msg uint64, id queue.BlobID) []byte {
	return appendKey([]byte{kOpen}, key{msg, uint32(id)})
}

// spool writes a blob, chunk by chunk, each at once and without a sync.
type spool struct {
	e      *Engine
	msg    uint64
	blob   queue.BlobID
	buf    []byte
	whole  *[chunkSize]byte // what buf is made of, when it is borrowed
	size   int64
	chunks uint32
	marked bool
	epoch  uint64 // of the log when the first chunk was written
}

// write takes octets; full chunks go to the log.
func (s *spool) write(p []byte, flush func() error) error {
	for len(p) > 0 {
		n := min(chunkSize-len(s.buf), len(p))
		s.grow(len(s.buf) + n)
		s.buf = append(s.buf, p[:n]...)
		p = p[n:]
		s.size += int64(n)
		// A full chunk is written when more is known to come, so that what fits
		// one chunk can go with the commit.
		if len(s.buf) == chunkSize && len(p) > 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunkBuffers are buffers of a whole chunk, for those who have written much.
var chunkBuffers = sync.Pool{New: func() any { return new([chunkSize]byte) }}

const smallBuffer = 64 << 10

// grow makes room for n octets. A buffer grows with what was written, so that who
// writes little costs little; a large one is borrowed.
func (s *spool) grow(n int) {
	if n <= smallBuffer || cap(s.buf) >= chunkSize {
		return
	}
	s.whole = chunkBuffers.Get().(*[chunkSize]byte)
	s.buf = append(s.whole[:0], s.buf...)
}

// release gives the buffer back. Nobody may use it any more.
func (s *spool) release() {
	s.buf = nil
	if s.whole != nil {
		chunkBuffers.Put(s.whole)
		s.whole = nil
	}
}

// begin notes the epoch that the first chunk is written in: that of the engine's
// memory. In one that the engine has not read yet the chunk would be taken for
// what a lost message left behind (dropOrphans). mu is held.
func (s *spool) begin() {
	if !s.marked {
		s.epoch = s.e.epoch
	}
}

// flush writes what is buffered as the next chunk.
func (s *spool) flush() error {
	log := s.e.log
	b := log.NewBatch() // before the epoch is looked at, see commit
	if s.epoch == 0 || s.epoch != log.Epoch() {
		b.Discard()
		return fmt.Errorf("engine: the store was opened anew: %w", queue.ErrUnavailable)
	}
	if log.Space().Full {
		b.Discard()
		return fmt.Errorf("engine: write: %w", queue.ErrFull)
	}
	if !s.marked {
		b.Put(openMark(s.msg, s.blob), nil)
	}
	b.PutChunk(ChunkKey{s.msg, uint32(s.blob), s.chunks}, s.buf)
	if err := log.Apply(b, false); err != nil {
		return unavailable("write", err)
	}
	s.marked = true
	s.chunks++
	s.buf = s.buf[:0]
	return nil
}

// drop takes back what was written.
func (s *spool) drop() {
	s.release()
	if !s.marked || s.epoch != s.e.log.Epoch() {
		return
	}
	b := s.e.log.NewBatch()
	for n := range s.chunks {
		b.DropChunk(ChunkKey{s.msg, uint32(s.blob), n})
	}
	b.Delete(openMark(s.msg, s.blob))
	if err := s.e.log.Apply(b, false); err != nil {
		s.e.slog.Warn("upload not dropped", "error", err)
	}
	s.marked = false
}

// dropOrphans drops the chunks that still have a mark: their message or verdict
// was never committed.
func (e *Engine) dropOrphans() error {
	it, err := e.log.Range([]byte{kOpen}, []byte{kOpen + 1})
	if err != nil {
		return unavailable("read marks", err)
	}
	defer it.Close()
	for it.Next() {
		k := tailKey(it.Key())
		ns, err := e.log.Chunks(k.msg, k.part)
		if err != nil {
			return unavailable("read chunks", err)
		}
		b := e.log.NewBatch()
		for _, n := range ns {
			b.DropChunk(ChunkKey{k.msg, k.part, n})
		}
		b.Delete(it.Key())
		if err := e.log.Apply(b, false); err != nil {
			return unavailable("drop chunks", err)
		}
	}
	return unavailable("read marks", it.Err())
}

// Upload implements queue.Queue.
func (e *Engine) Upload(_ context.Context, t queue.Token) (queue.BlobWriter, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	l, err := e.living(t)
	if err != nil {
		return nil, err
	}
	r, err := e.leased(l)
	if err != nil {
		return nil, err
	}
	used := slices.Clone(r.blobs)
	for _, u := range l.blobs {
		used = append(used, u.blob)
	}
	if len(l.blobs) >= queue.MaxGenerations {
		return nil, tooLarge("uploads under one lease", queue.MaxGenerations)
	}
	id := newBlobID(used)
	l.blobs = append(l.blobs, upload{blob: blob{id: id}})
	return &blobWriter{e: e, token: t, s: spool{e: e, msg: l.key.msg, blob: id}}, nil
}

// blobWriter is an upload under way.
type blobWriter struct {
	e     *Engine
	token queue.Token
	s     spool
	done  bool
	err   error
}

// flush writes a chunk while the lease lives; mu keeps it from ending meanwhile.
func (w *blobWriter) flush() error {
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	l, err := w.e.living(w.token)
	if err != nil {
		return err
	}
	w.s.begin()
	if err := w.s.flush(); err != nil {
		return err
	}
	for i := range l.blobs {
		if l.blobs[i].id == w.s.blob {
			l.blobs[i].size = w.s.size
		}
	}
	return nil
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("%w: write after the end", queue.ErrInvalid)
	}
	if w.err == nil {
		w.err = w.s.write(p, w.flush)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

func (w *blobWriter) Seal(context.Context) (queue.BlobID, int64, error) {
	if w.err == nil && !w.done && (len(w.s.buf) > 0 || w.s.size == 0) {
		w.err = w.flush()
	}
	if w.err != nil {
		return 0, 0, w.err
	}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	l, err := w.e.living(w.token)
	if err != nil {
		return 0, 0, err
	}
	for i := range l.blobs {
		if l.blobs[i].id == w.s.blob {
			l.blobs[i].sealed = true
		}
	}
	w.done = true
	w.s.release()
	return w.s.blob, w.s.size, nil
}

func (w *blobWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if l := w.e.leases.byToken[w.token]; l != nil {
		l.blobs = slices.DeleteFunc(l.blobs, func(u upload) bool { return u.id == w.s.blob })
		w.s.drop()
	}
	return nil
}

// dropUploads drops what was uploaded under a lease and not used. mu is held.
func (e *Engine) dropUploads(l *lease) {
	if len(l.blobs) == 0 {
		return
	}
	b := e.log.NewBatch()
	for _, u := range l.blobs {
		for n := int64(0); n*chunkSize < u.size; n++ {
			b.DropChunk(ChunkKey{l.key.msg, uint32(u.id), uint32(n)})
		}
		b.DropChunk(ChunkKey{l.key.msg, uint32(u.id), 0})
		b.Delete(openMark(l.key.msg, u.id))
	}
	l.blobs = nil
	if err := e.log.Apply(b, false); err != nil {
		e.slog.Warn("uploads not dropped", "error", err)
	}
}
