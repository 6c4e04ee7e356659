package engine

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"mtad/queue"
)

func sampleRecord() *rec {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	r := &rec{rev: 77, dedupe: "dsn:1", nonce: "tX n", nonceAt: at, blobs: []blob{{0, 300000}, {9, 12}}, grouped: true}
	r.Item = queue.Item{
		ID: queue.IDFromBits(1<<60|5, 3), State: queue.Deferred, Origin: queue.OriginDSN, Parent: queue.IDFromBits(1<<60|4, 0),
		Chain: "in", Priority: -3, Created: at, NextAt: at.Add(time.Hour), Expires: at.Add(time.Hour * 120), Attempts: 4, LostClaims: 1,
		Envelope: queue.Envelope{ReversePath: "a@example.org", SMTPUTF8: true, Body: queue.Body8Bit, Return: "HDRS", EnvID: "e", RequireTLS: true,
			Client: queue.Client{Protocol: "ESMTPS", Helo: "h", Address: "2001:db8::1", Port: 65535, SizeHint: 1 << 40, TLSKeySize: 256, Listener: "mx"},
			Recipients: []queue.Recipient{{Path: "b@example.net", OrigPath: "c@example.net", Notify: queue.NotifyDelay, ORCPT: "rfc822;c", Transport: "smtp",
				NextHop: "example.net", Status: queue.Failed, Attempts: 2, LastAttempt: at, LastRemote: "mx.example.net", LastReply: "450 4.2.1 busy", DelaySent: true, Reported: true}}},
		Trace:       []byte("Received: x\r\n"),
		Generations: []queue.Generation{{Size: 300000, Segments: []queue.Segment{{Length: 300000}}}, {N: 1, By: "f", Size: 12, Segments: []queue.Segment{{Blob: 9, Length: 12}}}},
		Verdicts:    []queue.Verdict{{Filter: "f", Disposition: "accept", Generation: 1, Score: -1.5, Symbols: []string{"A", "B"}, Reply: "r", Reason: "q", At: at}},
		Hold:        &queue.Hold{By: "operator:x", Reason: "look", Since: at, Until: at.Add(time.Minute), Then: queue.HoldBounce},
		Trail:       []queue.Step{{At: at, Kind: queue.EventHeld, Text: "look"}},
		Meta:        map[string]string{"k": "v", "l": ""},
		Outcome:     &queue.Outcome{Disposition: queue.Deleted, Reply: "x", At: at},
	}
	return r
}

func TestRecordReadsBackAsItWasWritten(t *testing.T) {
	for _, want := range []*rec{sampleRecord(), {Item: queue.Item{ID: queue.IDFromBits(1, 0), Generations: []queue.Generation{{}}}}} {
		got, err := decodeRecord(want.encode(nil))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v; %v", got, want, err)
		}
	}
}

func TestRecordWithAnyFlippedBitIsRefused(t *testing.T) {
	b := sampleRecord().encode(nil)
	for i := range len(b) * 8 {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := decodeRecord(bad); err == nil {
			t.Fatalf("bit %d flipped and not noticed", i)
		}
	}
	for n := range b {
		if _, err := decodeRecord(b[:n]); err == nil {
			t.Fatalf("cut to %d octets and not noticed", n)
		}
	}
}

// FuzzRecord: what can be read is written and read the same again, and nothing
// panics or takes memory that the input does not pay for. The checksum is made
// good, so that the fuzzer gets past it.
func FuzzRecord(f *testing.F) {
	f.Add(sampleRecord().encode(nil)[recordHeader:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeRecord(seal(append(make([]byte, recordHeader), body...)))
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode(nil))
		if err != nil {
			t.Fatalf("written and not read: %v", err)
		}
		if !bytes.Equal(r.encode(nil), again.encode(nil)) {
			t.Fatalf("got %+v, want %+v", again, r)
		}
	})
}

// FuzzStored: the smaller records are as safe to read.
func FuzzStored(f *testing.F) {
	tot := totals{stages: map[string]int64{"scan": 2}, seq: 4}
	f.Add(tot.encode(nil)[recordHeader:])
	f.Add(encodeEvents(nil, time.Unix(5, 0), []queue.Event{{Kind: queue.EventHeld, ID: queue.IDFromBits(5, 0)}})[recordHeader:])
	f.Add([]byte(`{"Status":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := seal(append(make([]byte, recordHeader), body...))
		var tot totals
		_ = tot.decode(b)
		_, _, _ = decodeEvents(b)
		_, _ = decodeJob(b)
		_, _ = parsePlace(body)
		_, _ = parseEventCursor(queue.Cursor(body))
		_, _ = tokenKey(queue.Token(body))
	})
}

func TestPlaceReadsBackFromItsKey(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 300))
	for _, p := range []place{
		{lane: laneID{queue.Incoming, ""}, hop: "example.net", slot: slot{rank: rankOf(0), due: 5, key: key{7, 1}}},
		{lane: laneID{queue.Unfiltered, "scan"}, slot: slot{rank: rankOf(127), key: key{7, 0}}},
		{lane: laneID{queue.Deferred, ""}, hop: shorten(long), slot: slot{rank: rankOf(-128), key: key{1 << 63, 9}}},
	} {
		if got, ok := parsePlace(p.append(nil)); !ok || got != p {
			t.Errorf("got %+v, %v, want %+v", got, ok, p)
		}
	}
}
