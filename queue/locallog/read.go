package locallog

import (
	"encoding/binary"
	"fmt"
	"io"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2"
)

// source is what reads go to: the store, or a snapshot of it.
type source interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(o *pebble.IterOptions) (*pebble.Iterator, error)
}

// view is an engine.Reader over a source of one generation.
type view struct {
	g *generation
	s source
}

func (v view) Get(key, dst []byte) ([]byte, error) {
	if err := v.g.enter(); err != nil {
		return dst, err
	}
	defer v.g.leave()
	val, c, err := v.s.Get(key)
	if err != nil {
		return dst, classify("get", err)
	}
	dst = append(dst, val...)
	_ = c.Close()
	return dst, nil
}

func (v view) Chunk(c engine.ChunkKey, dst []byte) ([]byte, error) {
	if err := v.g.enter(); err != nil {
		return dst, err
	}
	defer v.g.leave()
	var buf [32]byte
	k := chunkKey(buf[:0], c)
	val, cl, err := v.s.Get(k)
	if err != nil {
		return dst, classify("get chunk", err)
	}
	defer cl.Close()
	if len(val) < 4 || binary.BigEndian.Uint32(val) != chunkSum(k, val[4:]) {
		return dst, fmt.Errorf("locallog: chunk %x.%d.%d: %w", c.Message, c.Blob, c.N, engine.ErrLogCorrupt)
	}
	return append(dst, val[4:]...), nil
}

func (v view) Chunks(message uint64, blob uint32) ([]uint32, error) {
	lo := chunkKey(nil, engine.ChunkKey{Message: message, Blob: blob})
	hi := chunkKey(nil, engine.ChunkKey{Message: message, Blob: blob, N: 1<<32 - 1})
	it, err := v.Range(lo, hi)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var ns []uint32
	for it.Next() {
		k := it.Key()
		ns = append(ns, binary.BigEndian.Uint32(k[len(k)-4:]))
	}
	return ns, it.Err()
}

func (v view) Range(lo, hi []byte) (engine.Iter, error) {
	if err := v.g.enter(); err != nil {
		return nil, err
	}
	it, err := v.s.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		v.g.leave()
		return nil, classify("iterate", err)
	}
	return &iter{g: v.g, it: it}, nil
}

// iter keeps its generation from being closed until it is closed itself.
type iter struct {
	g       *generation
	it      *pebble.Iterator
	started bool
}

func (i *iter) Next() bool {
	if !i.started {
		i.started = true
		return i.it.First()
	}
	return i.it.Next()
}

func (i *iter) Seek(key []byte) bool { i.started = true; return i.it.SeekGE(key) }
func (i *iter) Key() []byte          { return i.it.Key() }
func (i *iter) Value() []byte        { return i.it.Value() }
func (i *iter) Err() error           { return classify("iterate", i.it.Error()) }

func (i *iter) Close() error {
	if i.it == nil {
		return nil
	}
	err := i.it.Close()
	i.it = nil
	i.g.leave()
	return classify("iterate", err)
}

func (l *Log) view() (view, error) {
	g, err := l.generation()
	if err != nil {
		return view{}, err
	}
	return view{g: g, s: g.db}, nil
}

// Get implements engine.Reader.
func (l *Log) Get(key, dst []byte) ([]byte, error) {
	v, err := l.view()
	if err != nil {
		return dst, err
	}
	return v.Get(key, dst)
}

// Range implements engine.Reader.
func (l *Log) Range(lo, hi []byte) (engine.Iter, error) {
	v, err := l.view()
	if err != nil {
		return nil, err
	}
	return v.Range(lo, hi)
}

// Chunk implements engine.Reader.
func (l *Log) Chunk(c engine.ChunkKey, dst []byte) ([]byte, error) {
	v, err := l.view()
	if err != nil {
		return dst, err
	}
	return v.Chunk(c, dst)
}

// Chunks implements engine.Reader.
func (l *Log) Chunks(message uint64, blob uint32) ([]uint32, error) {
	v, err := l.view()
	if err != nil {
		return nil, err
	}
	return v.Chunks(message, blob)
}

// snapshot is an engine.Snapshot.
type snapshot struct {
	view
	s *pebble.Snapshot
}

// Snapshot implements engine.Log.
func (l *Log) Snapshot() (engine.Snapshot, error) {
	g, err := l.generation()
	if err != nil {
		return nil, err
	}
	if err := g.enter(); err != nil {
		return nil, err
	}
	s := g.db.NewSnapshot() // Close leaves
	return &snapshot{view: view{g: g, s: s}, s: s}, nil
}

func (s *snapshot) Close() error {
	if s.s == nil {
		return nil
	}
	err := s.s.Close()
	s.s = nil
	s.g.leave()
	return classify("snapshot", err)
}
