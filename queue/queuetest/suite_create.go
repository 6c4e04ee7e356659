package queuetest

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"mtad/queue"
)

var createTests = []behaviour{
	{"nothing is visible before the commit", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{Stage: "scan"}, text, "b@example.net")
		defer w.Abort()
		r.absent(w.ID())
		if _, err := r.q.History(r.ctx(), w.ID()); !errors.Is(err, queue.ErrNotFound) {
			r.Errorf("History: %v, want ErrNotFound", err)
		}
		if got := r.list(queue.Filter{}); len(got) != 0 {
			r.Errorf("List shows %v", ids(got))
		}
		r.claimNone(forScan)
		r.claimNone(forDelivery)
	}},
	{"a commit makes the message visible under its ID", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{}, text, "b@example.net")
		it, err := w.Commit(r.ctx())
		r.must(err)
		if it.ID != w.ID() || r.get(w.ID()).ID != it.ID {
			r.Errorf("committed %s, promised %s", it.ID, w.ID())
		}
	}},
	{"the ID is well formed", nothing, func(r *rig) {
		id := r.incoming().ID
		if got, err := queue.ParseID(string(id)); err != nil || got != id || id.Part() != 0 {
			r.Errorf("ParseID(%q) = %q, %v", id, got, err)
		}
	}},
	{"an ID is never given twice", nothing, func(r *rig) {
		given := make(chan queue.ID, 200)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					w, err := r.q.Create(r.ctx(), envelope("b@example.net"), queue.CreateOptions{})
					if err != nil {
						r.Error(err)
						return
					}
					given <- w.ID()
					if err := w.Abort(); err != nil {
						r.Error(err)
					}
				}
			})
		}
		wg.Wait()
		close(given)
		seen := map[queue.ID]bool{}
		for id := range given {
			if seen[id] {
				r.Errorf("%s given twice", id)
			}
			seen[id] = true
		}
	}},
	{"with a stage a message enters unfiltered, without one incoming", nothing, func(r *rig) {
		r.inState(r.unfiltered().ID, queue.Unfiltered)
		r.inState(r.incoming().ID, queue.Incoming)
	}},
	{"a DSN and a forwarded copy go straight to incoming and name their parent", nothing, func(r *rig) {
		parent := r.unfiltered().ID
		for _, o := range []queue.Origin{queue.OriginDSN, queue.OriginForward} {
			it := r.get(r.commit(queue.CreateOptions{Origin: o, Parent: parent}, "b@example.net").ID)
			if it.State != queue.Incoming || it.Parent != parent || it.Origin != o {
				r.Errorf("%s: state %s, parent %s, origin %s", o, it.State, it.Parent, it.Origin)
			}
		}
	}},
	{"everything the door said is kept", nothing, everythingIsKept},
	{"content comes back octet for octet", nothing, func(r *rig) {
		for _, body := range []string{"", "x", "bare\nlf\rcr\x00nul\r\n", octets(4096), octets(300_000), octets(2_000_001)} {
			it, err := r.open(queue.CreateOptions{}, body, "b@example.net").Commit(r.ctx())
			r.must(err)
			got := r.get(it.ID)
			if it.Size() != int64(len(body)) || got.Size() != int64(len(body)) {
				r.Errorf("size %d, want %d", it.Size(), len(body))
			}
			r.reads(queue.OpenSpec{ID: it.ID, Generation: -1}, body)
		}
	}},
	{"content may come in pieces of any size", nothing, func(r *rig) {
		body := octets(700_000)
		w := r.open(queue.CreateOptions{}, "", "b@example.net")
		for rest, n := body, 1; rest != ""; n = n*3 + 1 {
			n = min(n, len(rest))
			_, err := io.WriteString(w, rest[:n])
			r.must(err)
			rest = rest[n:]
		}
		it, err := w.Commit(r.ctx())
		r.must(err)
		r.reads(queue.OpenSpec{ID: it.ID, Generation: -1}, body)
	}},
	{"an abort drops everything", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{}, text, "b@example.net")
		r.must(w.Abort())
		r.absent(w.ID())
		r.claimNone(forDelivery)
	}},
	{"an abort after the commit does nothing", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{}, text, "b@example.net")
		_, err := w.Commit(r.ctx())
		r.must(err)
		r.must(w.Abort())
		r.get(w.ID())
	}},
	{"a commit may be repeated", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{DedupeKey: "k"}, text, "b@example.net")
		first, err := w.Commit(r.ctx())
		r.must(err)
		second, err := w.Commit(r.ctx())
		r.must(err)
		if first.ID != second.ID || len(r.list(queue.Filter{})) != 1 {
			r.Errorf("first %s, second %s", first.ID, second.ID)
		}
	}},
	{"no reference to the envelope is kept", nothing, func(r *rig) {
		e := envelope("b@example.net")
		meta := map[string]string{"k": "v"}
		w, err := r.q.Create(r.ctx(), e, queue.CreateOptions{Meta: meta})
		r.must(err)
		e.Recipients[0].Path, meta["k"] = "changed@example.net", "changed"
		it, err := w.Commit(r.ctx())
		r.must(err)
		if it.Envelope.Recipients[0].Path != "b@example.net" || it.Meta["k"] != "v" {
			r.Errorf("stored what the caller changed later: %+v", it)
		}
	}},
	{"what is returned belongs to the caller", nothing, func(r *rig) {
		it := r.get(r.commit(queue.CreateOptions{Meta: map[string]string{"k": "v"}}, "b@example.net").ID)
		it.Envelope.Recipients[0].Path, it.Meta["k"] = "changed@example.net", "changed"
		if again := r.get(it.ID); again.Envelope.Recipients[0].Path != "b@example.net" || again.Meta["k"] != "v" {
			r.Errorf("a caller's change shows: %+v", again)
		}
	}},
	{"a message without a recipient is refused", nothing, func(r *rig) {
		_, err := r.q.Create(r.ctx(), envelope(), queue.CreateOptions{})
		r.refused(err, queue.ErrInvalid)
	}},
	{"a message that enters incoming is split by route", nothing, func(r *rig) {
		it := r.commit(queue.CreateOptions{}, "a@example.net", "b@example.com", "c@example.net", "d@example.com")
		parts := r.history(it.ID)
		if len(parts) != 2 || !slices.Equal(paths(parts[0]), []string{"a@example.net", "c@example.net"}) ||
			!slices.Equal(paths(parts[1]), []string{"b@example.com", "d@example.com"}) {
			r.Errorf("parts %+v", parts)
		}
		for _, p := range parts {
			r.reads(queue.OpenSpec{ID: p.ID, Generation: -1}, text)
		}
	}},
	{"a second commit with a dedupe key names the first message", nothing, func(r *rig) {
		first := r.commit(queue.CreateOptions{DedupeKey: "key"}, "b@example.net")
		w := r.open(queue.CreateOptions{DedupeKey: "key"}, text, "b@example.net")
		_, err := w.Commit(r.ctx())
		r.duplicateOf(err, first.ID)
		r.must(w.Abort())
		if n := len(r.list(queue.Filter{})); n != 1 {
			r.Errorf("%d messages, want 1", n)
		}
	}},
	{"a used dedupe key is known to create, for who asks", nothing, func(r *rig) {
		first := r.commit(queue.CreateOptions{DedupeKey: "key"}, "b@example.net")
		_, err := r.q.Create(r.ctx(), envelope("b@example.net"), queue.CreateOptions{DedupeKey: "key", EarlyDuplicate: true})
		r.duplicateOf(err, first.ID)
		r.commit(queue.CreateOptions{DedupeKey: "another", EarlyDuplicate: true}, "b@example.net")
	}},
	{"what is known of the content at its end is kept with it", nothing, func(r *rig) {
		calls := 0
		w := r.open(queue.CreateOptions{Meta: map[string]string{"a": "1"}, LateMeta: func() map[string]string {
			calls++
			return map[string]string{"b": "2"}
		}}, text, "b@example.net")
		if calls != 0 {
			r.Error("called before the content was complete")
		}
		it, err := w.Commit(r.ctx())
		r.must(err)
		if got := r.get(it.ID).Meta; calls != 1 || !reflect.DeepEqual(got, map[string]string{"a": "1", "b": "2"}) {
			r.Errorf("%d calls, meta %v", calls, got)
		}
		w = r.open(queue.CreateOptions{LateMeta: func() map[string]string {
			return map[string]string{"b": strings.Repeat("x", queue.MaxMeta)}
		}}, text, "b@example.net")
		_, err = w.Commit(r.ctx())
		r.refused(err, queue.ErrTooLarge)
		r.must(w.Abort())
	}},
	{"of many commits with one dedupe key one succeeds", nothing, oneOfMany},
	{"a dedupe key outlives the message", nothing, func(r *rig) {
		first := r.commit(queue.CreateOptions{DedupeKey: "key"}, "b@example.net")
		r.change(r.claimOne(forDelivery).Token, relayed(1)...)
		_, err := r.open(queue.CreateOptions{DedupeKey: "key"}, text, "b@example.net").Commit(r.ctx())
		r.duplicateOf(err, first.ID)
	}},
	{"an aborted message leaves its dedupe key free", nothing, func(r *rig) {
		r.must(r.open(queue.CreateOptions{DedupeKey: "key"}, text, "b@example.net").Abort())
		r.commit(queue.CreateOptions{DedupeKey: "key"}, "b@example.net")
	}},
	{"content over MaxSize is refused for good", nothing, func(r *rig) {
		w := r.open(queue.CreateOptions{MaxSize: 10}, "0123456789", "b@example.net")
		_, err := io.WriteString(w, "x")
		r.refused(err, queue.ErrTooLarge)
		_, err = w.Commit(r.ctx())
		r.refused(err, queue.ErrTooLarge)
		r.must(w.Abort())
		r.absent(w.ID())
	}},
	{"content of exactly MaxSize is taken", nothing, func(r *rig) {
		_, err := r.open(queue.CreateOptions{MaxSize: 10}, "0123456789", "b@example.net").Commit(r.ctx())
		r.must(err)
	}},
	{"the trace is made once, for the ID, and kept apart", nothing, func(r *rig) {
		var calls []queue.ID
		trace := func(id queue.ID) []byte {
			calls = append(calls, id)
			return []byte("Received: by us id " + string(id) + "\r\n")
		}
		it := r.get(r.commit(queue.CreateOptions{Trace: trace}, "b@example.net").ID)
		want := "Received: by us id " + string(it.ID) + "\r\n"
		if !slices.Equal(calls, []queue.ID{it.ID}) || string(it.Trace) != want || it.Size() != int64(len(text)) {
			r.Errorf("calls %v, trace %q, size %d", calls, it.Trace, it.Size())
		}
		r.reads(queue.OpenSpec{ID: it.ID, Generation: -1}, text)
		r.reads(queue.OpenSpec{ID: it.ID, Generation: -1, Trace: true}, want+text)
	}},
	{"a message is not claimable before its NextAt", advance, func(r *rig) {
		r.commit(queue.CreateOptions{NextAt: r.now().Add(time.Hour)}, "b@example.net")
		r.claimNone(forDelivery)
		r.Advance(time.Hour)
		r.claimSoon(forDelivery)
	}},
}

func (r *rig) duplicateOf(err error, first queue.ID) {
	r.Helper()
	var dup *queue.DuplicateError
	if !errors.As(err, &dup) || dup.ID != first || !errors.Is(err, queue.ErrExists) {
		r.Errorf("got %v, want a duplicate of %s", err, first)
	}
}

func everythingIsKept(r *rig) {
	at := r.now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	e := queue.Envelope{
		ReversePath: "aü@example.org", SMTPUTF8: true, Body: queue.Body8Bit, Return: "HDRS", EnvID: "env 1", RequireTLS: true,
		Recipients: []queue.Recipient{{
			Path: "b@example.net", OrigPath: "alias@example.net", Notify: queue.NotifyFailure | queue.NotifyDelay,
			ORCPT: "rfc822;alias@example.net", Transport: "lmtp", NextHop: "[192.0.2.1]:24",
		}},
		Client: queue.Client{
			Protocol: "ESMTPSA", Helo: "client.example", Name: "unknown", Address: "2001:db8::1", Port: 4711, SASLMethod: "PLAIN",
			SASLUser: "ann", SASLSender: "ann@example.org", SizeHint: 77, CertSubject: "s", CertIssuer: "i", CertFinger: "f",
			TLSProtocol: "TLSv1.3", TLSCipher: "c", TLSKeySize: 256, Listener: "submission",
		},
	}
	o := queue.CreateOptions{
		Origin: queue.OriginHTTP, Chain: "in", Stage: "scan", Priority: -3, NextAt: at, Expires: at.Add(time.Hour),
		Hold: &queue.Hold{By: "operator:ann", Reason: "look", Since: at, Until: at}, Meta: map[string]string{"k": "v"},
	}
	w, err := r.q.Create(r.ctx(), e, o)
	r.must(err)
	_, err = w.Commit(r.ctx())
	r.must(err)
	it := r.get(w.ID())
	if !reflect.DeepEqual(it.Envelope, e) {
		r.Errorf("envelope\n%+v, want\n%+v", it.Envelope, e)
	}
	if it.Origin != o.Origin || it.Chain != o.Chain || it.Stage != o.Stage || it.Priority != o.Priority ||
		!it.NextAt.Equal(at) || !it.Expires.Equal(o.Expires) || !reflect.DeepEqual(it.Meta, o.Meta) || it.RecipientCount != 1 {
		r.Errorf("item %+v, want %+v", it, o)
	}
	if h := it.Hold; h == nil || h.By != o.Hold.By || h.Reason != o.Hold.Reason || !h.Since.Equal(at) || !h.Until.Equal(at) {
		r.Errorf("hold %+v, want %+v", it.Hold, o.Hold)
	}
	if d := r.now().Sub(it.Created); d < -time.Second || d > time.Minute {
		r.Errorf("created %v ago", d)
	}
}

func oneOfMany(r *rig) {
	results := make(chan error, 10)
	for range cap(results) {
		w := r.open(queue.CreateOptions{DedupeKey: "key"}, text, "b@example.net")
		go func() {
			_, err := w.Commit(r.ctx())
			if err != nil {
				err = errors.Join(err, w.Abort())
			}
			results <- err
		}()
	}
	var accepted int
	for range cap(results) {
		if err := <-results; err == nil {
			accepted++
		} else if !errors.Is(err, queue.ErrExists) {
			r.Error(err)
		}
	}
	if n := len(r.list(queue.Filter{})); accepted != 1 || n != 1 {
		r.Errorf("%d commits succeeded, %d messages listed, want 1", accepted, n)
	}
}
