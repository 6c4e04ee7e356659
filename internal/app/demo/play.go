package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mtad/queue"
)

// play is the demo from the first letter to the summary.
func (s *show) play(ctx context.Context) error {
	events, err := s.app.Queue().Watch(ctx, "")
	if err != nil {
		return err
	}
	defer events.Close()
	if err := s.handIn(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	s.chapter("A scanner starts. It claims over HTTP, reads, and answers with a verdict")
	scanned := make(chan error, 1)
	go func() { scanned <- scan(ctx, s.printer, "http://"+s.app.Addr("api").String(), s.token) }()
	watched := make(chan error, 1)
	go func() { watched <- s.tell(ctx, events) }()
	err = s.collect(ctx, scanned)
	if err == nil {
		err = s.settled(ctx)
	}
	cancel()
	err = errors.Join(err, <-watched, <-scanned)
	if err != nil {
		return err
	}
	return s.trace(context.WithoutCancel(ctx))
}

// handIn sends the letters and shows where they stand.
func (s *show) handIn(ctx context.Context) error {
	s.chapter("Four messages come in over SMTP. Each 250 is sent after the message is on disk")
	for _, l := range s.letters {
		reply, err := send(s.app.Addr("smtp").String(), l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		s.line("%-8s to %s: %s", l.name, l.to, reply)
	}
	s.chapter("They are accepted and not yet scanned: nothing of them has gone out")
	page, err := s.app.Queue().List(ctx, queue.Filter{}, "", 0)
	if err != nil {
		return err
	}
	for _, it := range page.Items {
		s.line("%s  %s, waits for filter %q, %d octets", it.ID, it.State, it.Stage, it.Size())
		if it.State != queue.Unfiltered {
			return fmt.Errorf("%s is %s, not unfiltered", it.ID, it.State)
		}
	}
	if len(page.Items) != len(s.letters) {
		return fmt.Errorf("%d messages are queued, not %d", len(page.Items), len(s.letters))
	}
	return nil
}

// tell prints what happens in the queue, and does what an operator would with
// what is held.
func (s *show) tell(ctx context.Context, events queue.EventStream) error {
	for {
		e, err := events.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if e.Kind == queue.EventAccepted && !s.fresh(e.ID) {
			continue
		}
		s.line("%s  %-9s %s", e.ID, e.Kind, told(s.name(e.ID), e.Recipient, e.Text))
		if e.Kind != queue.EventHeld {
			continue
		}
		s.line("%s  the operator has a look and releases it (mtactl queue release %s)", e.ID, e.ID)
		_, err = s.app.Queue().Apply(ctx, queue.Txn{ID: e.ID, By: "operator:demo", Ops: []queue.Op{queue.ReleaseHold{}}})
		if err != nil {
			return fmt.Errorf("release %s: %w", e.ID, err)
		}
	}
}

// told joins what there is to say.
func told(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), "  ")
}

// delivering shows what is active while the next hop is spoken to.
func (s *show) delivering(to string) {
	page, err := s.app.Queue().List(context.Background(), queue.Filter{States: []queue.State{queue.Active}, Recipient: to}, "", 0)
	if err != nil {
		return
	}
	for _, it := range page.Items {
		s.line("%s  %-9s %s  is being handed to the next hop", it.ID, it.State, s.name(it.ID))
	}
}

// fresh says whether a message is none of the letters, that is, a report.
func (s *show) fresh(id queue.ID) bool { return s.name(id) == "(report)" }

// name is what the demo calls a message.
func (s *show) name(id queue.ID) string {
	for _, l := range s.letters {
		if l.id == string(id.Message()) {
			return "(" + l.name + ")"
		}
	}
	return "(report)"
}

// collect waits until everything has arrived at the next hop that should.
func (s *show) collect(ctx context.Context, scanned <-chan error) error {
	want := map[string]*letter{}
	for _, l := range s.letters {
		if l.name != "virus" {
			want[l.to] = l
		}
	}
	want[sender] = nil // the report
	for len(want) > 0 {
		select {
		case a := <-s.hop.arrived:
			l, ok := want[a.to]
			if !ok {
				return fmt.Errorf("%s arrived, and should not have, or for the second time", a.to)
			}
			delete(want, a.to)
			if err := s.compare(a, l); err != nil {
				return err
			}
		case err := <-scanned:
			return fmt.Errorf("the scanner ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("%d of the messages did not arrive: %w", len(want), ctx.Err())
		}
	}
	return nil
}

// compare looks at what arrived: the letter as it was sent, behind our trace
// field and with the scanner's header field; or the report on the virus.
func (s *show) compare(a arrival, l *letter) error {
	if l == nil {
		if a.from != "" || !bytes.Contains(a.content, []byte("there is a virus in it")) {
			return fmt.Errorf("the report is not what it should be:\n%s", a.content)
		}
		s.line("next hop       took the report to <%s>, from <>", a.to)
		return nil
	}
	got := bytes.Replace(a.content, []byte("X-Scanned: demo\r\n"), nil, 1)
	if !bytes.HasPrefix(got, []byte("Received: ")) || !bytes.HasSuffix(got, []byte("\r\n"+l.content)) {
		return fmt.Errorf("%s arrived changed:\n%s", l.name, a.content)
	}
	s.line("next hop       took %s to <%s>, octet by octet", l.name, a.to)
	return nil
}

// settled waits until the queue is empty: the next hop's 250 is written down.
func (s *show) settled(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := s.app.Queue().Count(ctx, queue.Filter{})
		if err != nil {
			return err
		}
		if n.Messages == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still in the queue", n.Messages)
		}
	}
}

// trace shows the history of the message that had to wait, and sums up.
func (s *show) trace(ctx context.Context) error {
	id := queue.ID(s.letters[1].id)
	items, err := s.app.Queue().History(ctx, id)
	if err != nil {
		return err
	}
	s.chapter("The history of %s, whose next hop was busy (mtactl trace %s)", id, id)
	for _, it := range items {
		for _, step := range it.Trail {
			s.line("%s  %-9s %s", step.At.Format("15:04:05.000"), step.Kind, step.Text)
		}
		r := it.Envelope.Recipients[0]
		s.line("%s: %s in %d attempts, last reply %q", r.Path, r.Status, r.Attempts, r.LastReply)
		if it.Attempts < 2 {
			return fmt.Errorf("%s was delivered in %d attempts, and should have needed two", it.ID, it.Attempts)
		}
	}
	fmt.Fprintf(s.w, "\nAll well, in %.1f s: 4 accepted; 3 relayed, one of them after a retry and one after a quarantine;\n"+
		"1 rejected by the scanner, its sender told; nothing lost, the queue is empty.\n", time.Since(s.begun).Seconds())
	return nil
}
