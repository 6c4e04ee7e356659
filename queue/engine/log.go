package engine

import (
	"context"
	"errors"
)

// Log makes bytes durable for an Engine. It knows keys, batches and chunks, and
// nothing of mail. Keys begin with a byte other than zero; the order of keys is
// the order of bytes.Compare. All methods are safe for concurrent use, except
// that a Batch belongs to one goroutine until it was handed to Apply.
//
// Records are the truth: a replicated log ships them. Index entries follow from
// records and stay local; a log on one machine keeps both in one place.
//
// Errors match one of ErrNoKey, ErrLogFull, ErrLogIO and ErrLogCorrupt.
type Log interface {
	Reader
	// NewBatch starts a batch for Apply. It belongs to the epoch that the log has
	// then: Apply refuses it in any other, and always when it was made while the
	// log was down. Such a batch counts its changes like any other.
	NewBatch() Batch
	// Apply makes the batch's changes, all or none, in the order of calls. With
	// sync it returns when they, and everything applied before, are on stable
	// storage. After an error with sync the batch may be durable or not, and
	// the log is down until it has recovered what is true (Wait). Apply takes
	// the batch over.
	Apply(b Batch, sync bool) error
	// Sync makes everything applied so far durable.
	Sync() error
	// Snapshot is a view that does not change. It is to be closed.
	Snapshot() (Snapshot, error)
	// Epoch is the number of the present incarnation. It changes when the log has
	// recovered from trouble: what was applied without sync before may be gone.
	// Zero means that the log is down.
	Epoch() uint64
	// Wait returns the epoch as soon as the log is up and its epoch is not old.
	Wait(ctx context.Context, old uint64) (uint64, error)
	// Space says how much room is left.
	Space() Space
	// Unsafe lists settings that void the promise of Apply; empty when it holds.
	Unsafe() []string
	Close() error
}

// Reader reads what was applied.
type Reader interface {
	// Get appends the value of key to dst. ErrNoKey when there is none.
	Get(key, dst []byte) ([]byte, error)
	// Range iterates over lo <= key < hi, in order. The Iter stands before the
	// first key.
	Range(lo, hi []byte) (Iter, error)
	// Chunk appends the octets of a chunk to dst. ErrNoKey when there is none.
	Chunk(c ChunkKey, dst []byte) ([]byte, error)
	// Chunks lists the chunk numbers that are stored of a blob, in order.
	Chunks(message uint64, blob uint32) ([]uint32, error)
}

// Snapshot is a Reader of one moment.
type Snapshot interface {
	Reader
	Close() error
}

// Iter walks over keys. Key and Value are valid until the next call.
type Iter interface {
	Next() bool
	// Seek goes to the first key at or after key.
	Seek(key []byte) bool
	Key() []byte
	Value() []byte
	Err() error
	Close() error
}

// Batch collects changes. Arguments are copied.
type Batch interface {
	Put(key, value []byte)
	Delete(key []byte)
	PutIndex(key, value []byte)
	DeleteIndex(key []byte)
	// DeleteIndexRange deletes lo <= key < hi. It is costly: not for the fast path.
	DeleteIndexRange(lo, hi []byte)
	PutChunk(c ChunkKey, data []byte)
	DropChunk(c ChunkKey)
	// Len is the number of changes, Size the octets they take.
	Len() int
	Size() int
	// Discard gives up a batch that was not applied.
	Discard()
}

// ChunkKey names a chunk of content.
type ChunkKey struct {
	Message uint64
	Blob    uint32
	N       uint32
}

// Space is the room that a log has.
type Space struct {
	// FreeBytes is what the file system has left; -1 when unknown.
	FreeBytes int64
	// Full: the floor is reached; only changes that free space should be made.
	Full bool
}

// The errors of a Log.
var (
	// ErrNoKey: there is no such key, proven.
	ErrNoKey = errors.New("log: no such key")
	// ErrLogFull: no room. The change was not made.
	ErrLogFull = errors.New("log: no space left")
	// ErrLogIO: the log could not do it, or cannot say whether it did.
	ErrLogIO = errors.New("log: input/output trouble")
	// ErrLogCorrupt: what is stored there is damaged.
	ErrLogCorrupt = errors.New("log: damaged")
)
