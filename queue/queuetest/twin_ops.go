package queuetest

import (
	"time"

	"mtad/queue"

	"pgregory.net/rapid"
)

// drawOps makes up to four ops, one Move at the most, for an item; nil when
// nothing is known of it. Some of them are wrong: then nothing of the change may
// be seen.
func (w *twin) drawOps(t *rapid.T, it *queue.Item) []queue.Op {
	if it == nil {
		it = &queue.Item{Envelope: envelope("a@x.example")}
	}
	var ops []queue.Op
	moved := false
	for range rapid.IntRange(1, 4).Draw(t, "ops") {
		op := w.drawOp(t, it)
		if _, ok := op.(queue.Move); ok {
			if moved {
				continue
			}
			moved = true
		}
		ops = append(ops, op)
	}
	return ops
}

func (w *twin) drawOp(t *rapid.T, it *queue.Item) queue.Op {
	switch rapid.IntRange(0, 15).Draw(t, "op") {
	case 0, 1, 2:
		return w.drawMove(t)
	case 3:
		return w.drawContent(t)
	case 4:
		if it.State == queue.Active {
			return queue.Attempt{} // it parts when it enters incoming
		}
		return queue.AddRecipients{Recipients: []queue.Recipient{recipient(drawPath.Draw(t, "added"))}}
	case 5:
		return w.drawUpdate(t, it)
	case 6:
		return queue.SetReversePath{Path: rapid.SampledFrom([]string{"", "new@example.org"}).Draw(t, "path")}
	case 7:
		return queue.AddVerdict{Verdict: queue.Verdict{Filter: "scan", Disposition: "accept"}}
	case 8:
		return w.drawHold(t)
	case 9:
		return queue.ReleaseHold{}
	case 10:
		return queue.SetPriority{Priority: int8(rapid.IntRange(-2, 2).Draw(t, "priority"))}
	case 11:
		return queue.SetNextAt{At: w.drawTime(t)}
	case 12:
		return queue.SetMeta{Set: map[string]string{"k": rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "value")}}
	case 13:
		return queue.FailPending{Reply: "550 5.1.1 no"}
	case 14:
		return w.drawSplit(t, it)
	}
	return queue.Finish{Disposition: queue.Disposition(rapid.IntRange(0, 3).Draw(t, "disposition")), Reply: drawText.Draw(t, "reply")}
}

func (w *twin) drawMove(t *rapid.T) queue.Op {
	m := queue.Move{To: rapid.SampledFrom(queue.States[:]).Draw(t, "to"), NextAt: w.drawTime(t)}
	if m.To == queue.Unfiltered {
		m.Stage = drawStage.Draw(t, "stage")
	}
	return m
}

// drawTime is now or never: far enough not to depend on the clock.
func (w *twin) drawTime(t *rapid.T) time.Time {
	if rapid.IntRange(0, 4).Draw(t, "later") == 0 {
		return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}
}

func (w *twin) drawContent(t *rapid.T) queue.Op {
	pieces := []queue.Piece{{Inline: []byte("X: y\r\n")}, {FromCurrent: true, Length: -1}}
	if rapid.Bool().Draw(t, "cut") {
		pieces = append(pieces, queue.Piece{Offset: int64(rapid.IntRange(0, 6).Draw(t, "offset")), Length: int64(rapid.IntRange(-1, 6).Draw(t, "length"))})
	}
	return queue.SetContent{By: "scan", Pieces: pieces}
}

// drawUpdate leaves final statuses alone.
func (w *twin) drawUpdate(t *rapid.T, it *queue.Item) queue.Op {
	u := queue.RecipientUpdate{
		Index:     rapid.IntRange(0, len(it.Envelope.Recipients)).Draw(t, "recipient"),
		Status:    queue.RecipientStatus(rapid.IntRange(0, 4).Draw(t, "status")),
		Attempted: rapid.Bool().Draw(t, "attempted"),
		Reply:     drawText.Draw(t, "reply"),
	}
	if u.Index < len(it.Envelope.Recipients) {
		if is := it.Envelope.Recipients[u.Index].Status; is != queue.Pending {
			u.Status = is
		}
	}
	if it.State == queue.Unfiltered && rapid.IntRange(0, 3).Draw(t, "rerouted") == 0 {
		u.NextHop = rapid.SampledFrom([]string{"x.example", "v.example"}).Draw(t, "hop")
	}
	return queue.UpdateRecipients{Updates: []queue.RecipientUpdate{u}}
}

func (w *twin) drawHold(t *rapid.T) queue.Op {
	h := queue.Hold{By: "filter:scan", Reason: "quarantine"}
	return queue.SetHold{Hold: h}
}

func (w *twin) drawSplit(t *rapid.T, it *queue.Item) queue.Op {
	var s queue.Split
	for range rapid.IntRange(1, 2).Draw(t, "parts") {
		p := queue.Part{Recipients: rapid.SliceOfN(rapid.IntRange(0, len(it.Envelope.Recipients)-1), 1, 2).Draw(t, "of")}
		switch rapid.IntRange(0, 3).Draw(t, "part") {
		case 0:
			p.Ops = []queue.Op{queue.Finish{Disposition: queue.Discarded}}
		case 1:
			p.Ops = []queue.Op{queue.Move{To: queue.Unfiltered, Stage: "second"}}
		case 2:
			p.Ops = []queue.Op{w.drawHold(t), w.drawContent(t)}
		}
		s.Parts = append(s.Parts, p)
	}
	return s
}
