package locallog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunkPrefix is before every chunk's key; the engine's keys begin otherwise.
const chunkPrefix = 0

func chunkKey(dst []byte, c engine.ChunkKey) []byte {
	dst = append(dst, chunkPrefix)
	dst = binary.BigEndian.AppendUint64(dst, c.Message)
	dst = binary.BigEndian.AppendUint32(dst, c.Blob)
	return binary.BigEndian.AppendUint32(dst, c.N)
}

// batch is an engine.Batch over a pebble batch.
type batch struct {
	g    *generation // nil when the log was down
	b    *pebble.Batch
	n    int
	size int
	key  [32]byte
}

// NewBatch implements engine.Log.
func (l *Log) NewBatch() engine.Batch {
	g, err := l.generation()
	if err != nil || g.enter() != nil {
		return &batch{}
	}
	defer g.leave()
	return &batch{g: g, b: g.db.NewBatch()}
}

// count notes a change, also one that nobody will see because the log is down:
// a batch that looked empty would be taken for one that has nothing to lose.
func (b *batch) count(octets int) { b.n, b.size = b.n+1, b.size+octets }

func (b *batch) Put(key, value []byte) {
	b.count(len(key) + len(value))
	if b.b != nil {
		_ = b.b.Set(key, value, nil) // fails only for a closed store, which Apply finds
	}
}

func (b *batch) Delete(key []byte) {
	b.count(len(key))
	if b.b != nil {
		_ = b.b.Delete(key, nil)
	}
}

func (b *batch) PutIndex(key, value []byte) { b.Put(key, value) }
func (b *batch) DeleteIndex(key []byte)     { b.Delete(key) }

func (b *batch) DeleteIndexRange(lo, hi []byte) {
	b.count(len(lo) + len(hi))
	if b.b != nil {
		_ = b.b.DeleteRange(lo, hi, nil)
	}
}

// PutChunk stores the octets behind their checksum.
func (b *batch) PutChunk(c engine.ChunkKey, data []byte) {
	k := chunkKey(b.key[:0], c)
	b.count(len(k) + len(data))
	if b.b == nil {
		return
	}
	op := b.b.SetDeferred(len(k), 4+len(data))
	copy(op.Key, k)
	binary.BigEndian.PutUint32(op.Value, chunkSum(k, data))
	copy(op.Value[4:], data)
	_ = op.Finish()
}

// chunkSum covers the key as well: a chunk in the wrong place is a damaged one.
func chunkSum(key, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, data)
}

func (b *batch) DropChunk(c engine.ChunkKey) { b.Delete(chunkKey(b.key[:0], c)) }
func (b *batch) Len() int                    { return b.n }
func (b *batch) Size() int                   { return b.size }

func (b *batch) Discard() {
	if b.b != nil {
		_ = b.b.Close()
		b.b = nil
	}
}

// Apply implements engine.Log.
func (l *Log) Apply(eb engine.Batch, sync bool) error {
	b, ok := eb.(*batch)
	if !ok || b.g == nil || b.b == nil {
		return fmt.Errorf("locallog: store is down: %w", engine.ErrLogIO)
	}
	if err := b.g.enter(); err != nil {
		return err
	}
	defer b.g.leave()
	err := b.g.apply(b.b, sync && !l.o.NoSync)
	if err == nil {
		_ = b.b.Close()
	}
	b.b = nil
	return err
}

// Sync implements engine.Log.
func (l *Log) Sync() error {
	g, err := l.generation()
	if err != nil {
		return err
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer g.leave()
	if l.o.NoSync {
		return nil
	}
	b := g.db.NewBatch()
	if err := b.LogData(nil, nil); err != nil {
		return classify("sync", err)
	}
	return g.apply(b, true)
}

// apply hands a batch to pebble. Any trouble there ends the generation: pebble's
// commit pipeline does not survive it.
func (g *generation) apply(b *pebble.Batch, sync bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("locallog: apply: %v: %w", r, engine.ErrLogIO)
			g.fail(err)
		}
	}()
	o := pebble.NoSync
	if sync {
		o = pebble.Sync
	}
	if err := g.db.Apply(b, o); err != nil {
		err = fmt.Errorf("locallog: apply: %w: %w", engine.ErrLogIO, err)
		g.fail(err)
		return err
	}
	if g.failed.Load() {
		return fmt.Errorf("locallog: apply: %w", g.err)
	}
	return nil
}
