package queuetest

import (
	"io"
	"strings"

	"mtad/queue"
)

var contentTests = []behaviour{
	{"a generation is made of pieces", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.judge(queue.SetContent{By: "scan", Pieces: []queue.Piece{
			{Inline: []byte("X: y\r\n")}, {FromCurrent: true, Length: 13}, {Blob: 0, Offset: 13, Length: -1}, {Inline: []byte("tail")}, {FromCurrent: true, Offset: 3, Length: 0},
		}})
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, "X: y\r\n"+text+"tail")
		it := r.get(id)
		if g := it.Generation(); g.N != 1 || g.By != "scan" || g.Size != int64(len(text)+10) {
			r.Errorf("generation %+v", g)
		}
	}},
	{"older generations stay as they were", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.operate(id, queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("one")}}})
		r.operate(id, queue.SetContent{Pieces: []queue.Piece{{FromCurrent: true, Length: -1}, {Inline: []byte(" two")}}})
		for n, want := range []string{text, "one", "one two"} {
			r.reads(queue.OpenSpec{ID: id, Generation: n}, want)
		}
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, "one two")
	}},
	{"a range of a generation of many pieces is exact", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.operate(id, queue.SetContent{Pieces: []queue.Piece{{Inline: []byte("abc")}, {Inline: []byte("def")}, {Inline: []byte("ghi")}}})
		r.operate(id, queue.SetContent{Pieces: []queue.Piece{{FromCurrent: true, Offset: 2, Length: 5}}})
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, "cdefg")
	}},
	{"a piece outside its blob is refused", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		size := int64(len(text))
		for _, p := range []queue.Piece{
			{Offset: -1, Length: 1}, {Offset: 0, Length: size + 1}, {Offset: size, Length: 1}, {Offset: size + 1, Length: -1}, {Offset: 1, Length: 1<<63 - 1},
			{Offset: 0, Length: -2}, {Blob: 77, Length: -1}, {FromCurrent: true, Length: size + 1}, {FromCurrent: true, Offset: -5, Length: -1},
		} {
			r.refused(r.tries(c.Token, queue.SetContent{Pieces: []queue.Piece{p}}), queue.ErrInvalid)
		}
	}},
	{"empty content is content", nothing, func(r *rig) {
		id := r.unfiltered().ID
		r.judge(queue.SetContent{Pieces: []queue.Piece{{Inline: []byte{}}}})
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, "")
	}},
	{"inline octets are bounded", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		half := []byte(strings.Repeat("x", queue.MaxInline/2))
		over := []queue.Piece{{Inline: half}, {Inline: half}, {Inline: []byte("x")}}
		r.refused(r.tries(c.Token, queue.SetContent{Pieces: over}), queue.ErrTooLarge)
		r.change(c.Token, queue.SetContent{Pieces: over[:2]})
	}},
	{"segments of a generation are bounded", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		var pieces []queue.Piece
		for i := range int64(queue.MaxSegments + 1) {
			pieces = append(pieces, queue.Piece{Blob: 0, Offset: i % 5 * 2, Length: 1}) // never adjacent
		}
		r.refused(r.tries(c.Token, queue.SetContent{Pieces: pieces}), queue.ErrTooLarge)
		r.change(c.Token, queue.SetContent{Pieces: pieces[1:]})
	}},
	{"generations are bounded", nothing, func(r *rig) {
		id := r.unfiltered().ID
		same := queue.SetContent{Pieces: []queue.Piece{{FromCurrent: true, Length: -1}}}
		for range queue.MaxGenerations - 1 {
			r.operate(id, same)
		}
		_, err := r.q.Apply(r.ctx(), queue.Txn{ID: id, Ops: []queue.Op{same}})
		r.refused(err, queue.ErrTooLarge)
	}},
	{"an uploaded blob becomes content with the verdict that names it", nothing, func(r *rig) {
		id := r.unfiltered().ID
		c := r.claimOne(forScan)
		body := octets(1_500_000)
		blob := r.upload(c.Token, body)
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, text)
		r.change(c.Token, queue.SetContent{Pieces: []queue.Piece{{FromCurrent: true, Length: 17}, {Blob: blob, Length: -1}}}, queue.Move{To: queue.Incoming})
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, text[:17]+body)
		r.reads(queue.OpenSpec{ID: id, Generation: 0}, text)
	}},
	{"a blob is good under its own lease only", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		blob := r.upload(c.Token, "lost")
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		c = r.claimOne(forScan)
		r.refused(r.tries(c.Token, queue.SetContent{Pieces: []queue.Piece{{Blob: blob, Length: -1}}}), queue.ErrInvalid)
	}},
	{"a blob that is not sealed cannot be named", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		w, err := r.q.Upload(r.ctx(), c.Token)
		r.must(err)
		_, err = io.WriteString(w, "half")
		r.must(err)
		for blob := queue.BlobID(1); blob < 4; blob++ {
			r.refused(r.tries(c.Token, queue.SetContent{Pieces: []queue.Piece{{Blob: blob, Length: -1}}}), queue.ErrInvalid)
		}
		r.must(w.Abort())
	}},
	{"an aborted upload leaves nothing", nothing, func(r *rig) {
		id := r.unfiltered().ID
		c := r.claimOne(forScan)
		w, err := r.q.Upload(r.ctx(), c.Token)
		r.must(err)
		_, err = io.WriteString(w, octets(600_000))
		r.must(err)
		r.must(w.Abort())
		r.change(c.Token, queue.Move{To: queue.Incoming})
		r.reads(queue.OpenSpec{ID: id, Generation: -1}, text)
	}},
	{"an upload ends with its lease", nothing, func(r *rig) {
		r.unfiltered()
		c := r.claimOne(forScan)
		w, err := r.q.Upload(r.ctx(), c.Token)
		r.must(err)
		r.must(r.q.Release(r.ctx(), c.Token, 0, false))
		if _, _, err := w.Seal(r.ctx()); err == nil {
			r.Error("sealed a blob under a lease that was lost")
		}
		w.Abort()
	}},
	{"a staged message takes an upload", nothing, func(r *rig) {
		w := r.stage("b@example.net")
		c := r.claimOne(forScan)
		blob := r.upload(c.Token, octets(400_000))
		r.change(c.Token, queue.SetContent{Pieces: []queue.Piece{{Blob: blob, Length: -1}}}, queue.Move{To: queue.Incoming})
		_, err := w.Commit(r.ctx())
		r.must(err)
		r.reads(queue.OpenSpec{ID: w.ID(), Generation: -1}, octets(400_000))
	}},
	{"reading starts at the offset", nothing, func(r *rig) {
		trace := func(queue.ID) []byte { return []byte("T: 1\r\n") }
		id := r.commit(queue.CreateOptions{Trace: trace}, "b@example.net").ID
		r.reads(queue.OpenSpec{ID: id, Generation: -1, Offset: 5}, text[5:])
		r.reads(queue.OpenSpec{ID: id, Generation: -1, Offset: int64(len(text))}, "")
		r.reads(queue.OpenSpec{ID: id, Generation: -1, Offset: 3, Trace: true}, "1\r\n"+text)
		r.reads(queue.OpenSpec{ID: id, Generation: -1, Offset: 8, Trace: true}, text[2:])
	}},
	{"reading at an offset inside large content is exact", nothing, func(r *rig) {
		body := octets(900_000)
		it, err := r.open(queue.CreateOptions{}, body, "b@example.net").Commit(r.ctx())
		r.must(err)
		for _, at := range []int{1, 65_535, 262_143, 262_144, 262_145, 524_288, 899_999, 900_000} {
			r.reads(queue.OpenSpec{ID: it.ID, Generation: -1, Offset: int64(at)}, body[at:])
		}
	}},
	{"a place outside the content is refused", nothing, func(r *rig) {
		id := r.incoming().ID
		for _, s := range []queue.OpenSpec{
			{ID: id, Generation: 1}, {ID: id, Generation: -2}, {ID: id, Offset: -1}, {ID: id, Offset: int64(len(text)) + 1}, {},
		} {
			_, err := r.q.Open(r.ctx(), s)
			r.refused(err, queue.ErrInvalid, queue.ErrNotFound)
		}
	}},
	{"what was opened stays readable when the message is finished", nothing, func(r *rig) {
		body := octets(1_000_000)
		it, err := r.open(queue.CreateOptions{}, body, "b@example.net").Commit(r.ctx())
		r.must(err)
		c, err := r.q.Open(r.ctx(), queue.OpenSpec{ID: it.ID, Generation: -1})
		r.must(err)
		defer c.Close()
		r.operate(it.ID, queue.Finish{Disposition: queue.Deleted})
		got, err := io.ReadAll(c)
		r.must(err)
		if string(got) != body {
			r.Errorf("read %d octets that differ", len(got))
		}
	}},
}

func (r *rig) upload(t queue.Token, body string) queue.BlobID {
	r.Helper()
	w, err := r.q.Upload(r.ctx(), t)
	r.must(err)
	_, err = io.WriteString(w, body)
	r.must(err)
	blob, n, err := w.Seal(r.ctx())
	r.must(err)
	if n != int64(len(body)) {
		r.Fatalf("sealed %d octets, want %d", n, len(body))
	}
	return blob
}
