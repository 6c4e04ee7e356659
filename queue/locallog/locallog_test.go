package locallog

import (
	"bytes"
	"errors"
	"testing"

	"mtad/queue/engine"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func openMem(t *testing.T, fs vfs.FS) *Log {
	t.Helper()
	l, err := Open("queue", Options{FS: fs, Ballast: -1, FreeFloor: -1, MemTableSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestDirectoryBelongsToOneLog(t *testing.T) {
	fs := vfs.NewMem()
	l := openMem(t, fs)
	if _, err := Open("queue", Options{FS: fs}); err == nil {
		t.Fatal("opened twice")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	openMem(t, fs)
}

func TestDamagedOrMisplacedChunkIsNotGivenOut(t *testing.T) {
	l := openMem(t, vfs.NewMem())
	b := l.NewBatch()
	c := engine.ChunkKey{Message: 1, Blob: 2, N: 3}
	b.PutChunk(c, []byte("content"))
	if err := l.Apply(b, true); err != nil {
		t.Fatal(err)
	}
	got, err := l.Chunk(c, nil)
	if err != nil || !bytes.Equal(got, []byte("content")) {
		t.Fatalf("%q, %v", got, err)
	}
	g, err := l.generation()
	if err != nil {
		t.Fatal(err)
	}
	stored, closer, err := g.db.Get(chunkKey(nil, c))
	if err != nil {
		t.Fatal(err)
	}
	raw := bytes.Clone(stored)
	_ = closer.Close()
	other := engine.ChunkKey{Message: 1, Blob: 2, N: 4}
	if err := g.db.Set(chunkKey(nil, other), raw, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if err := g.db.Set(chunkKey(nil, c), raw, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	for _, k := range []engine.ChunkKey{c, other} {
		if _, err := l.Chunk(k, nil); !errors.Is(err, engine.ErrLogCorrupt) {
			t.Errorf("chunk %v: %v, want %v", k, err, engine.ErrLogCorrupt)
		}
	}
}

func TestFailedStoreIsOpenedAnew(t *testing.T) {
	l := openMem(t, vfs.NewMem())
	b := l.NewBatch()
	b.Put([]byte("k"), []byte("v"))
	if err := l.Apply(b, true); err != nil {
		t.Fatal(err)
	}
	old := l.Epoch()
	g, err := l.generation()
	if err != nil {
		t.Fatal(err)
	}
	g.fail(engine.ErrLogIO)
	if err := g.apply(g.db.NewBatch(), true); !errors.Is(err, engine.ErrLogIO) {
		t.Errorf("a failed store answers %v", err)
	}
	epoch, err := l.Wait(t.Context(), old)
	if err != nil || epoch == old {
		t.Fatalf("epoch %d after %d, %v", epoch, old, err)
	}
	if v, err := l.Get([]byte("k"), nil); err != nil || string(v) != "v" {
		t.Errorf("%q, %v", v, err)
	}
}
