package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// clock is a time that stands still unless it is moved.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

func newGuard(o GuardOptions) (*Guard, *clock) {
	c := &clock{time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
	o.Now = c.time
	return NewGuard(o), c
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestEachFailureDoublesTheWait(t *testing.T) {
	g, c := newGuard(GuardOptions{FirstDelay: time.Second, MaxDelay: 5 * time.Second})
	var got []time.Duration
	for range 6 {
		got = append(got, g.Address(addr("192.0.2.1")))
	}
	want := []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if d := g.Address(addr("192.0.2.2")); d != 0 {
		t.Errorf("a neighbour waits %v", d)
	}
	c.now = c.now.Add(time.Hour)
	if d := g.Address(addr("192.0.2.1")); d != 0 {
		t.Errorf("after an hour: waits %v", d)
	}
}

func TestAnAddressIsBarredAndHeardAgain(t *testing.T) {
	g, c := newGuard(GuardOptions{PerAddress: 3, Window: time.Minute})
	for range 3 {
		g.Address(addr("2001:db8::1"))
	}
	for a, want := range map[string]bool{"2001:db8::1": true, "2001:db8::ffff:1": true, "2001:db8:0:1::1": false, "192.0.2.1": false} {
		if got := g.Barred(addr(a)); got != want {
			t.Errorf("%s: barred %v", a, got)
		}
	}
	c.now = c.now.Add(2 * time.Minute)
	if g.Barred(addr("2001:db8::1")) {
		t.Error("still barred after two windows")
	}
}

func TestIPv4InIPv6CountsAsIPv4(t *testing.T) {
	g, _ := newGuard(GuardOptions{PerAddress: 1})
	g.Address(addr("::ffff:192.0.2.1"))
	if !g.Barred(addr("192.0.2.1")) || g.Barred(addr("::ffff:192.0.2.2")) {
		t.Error("mapped addresses are taken for one network")
	}
}

func TestALoginUnderAttackWaitsForStrangersAlone(t *testing.T) {
	g, _ := newGuard(GuardOptions{PerLogin: 2, FirstDelay: time.Second})
	g.Address(addr("198.51.100.1"))
	g.Login(addr("198.51.100.1"), "ann")
	g.Passed(addr("198.51.100.1"), "ann", true)
	var last time.Duration
	for i := range 5 {
		last = g.Login(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), "ann")
	}
	if last != 2*time.Second {
		t.Errorf("the fifth stranger waits %v, want 2s", last)
	}
	if d := g.Login(addr("198.51.100.1"), "ann"); d != 0 {
		t.Errorf("who logged in from there lately waits %v", d)
	}
	if d := g.Login(addr("203.0.113.1"), "bob"); d != 0 {
		t.Errorf("another login waits %v", d)
	}
}

func TestAttemptsAtTheSameTimeHoldEachOtherUp(t *testing.T) {
	g, _ := newGuard(GuardOptions{FirstDelay: time.Second})
	g.Address(addr("192.0.2.1"))
	if d := g.Address(addr("192.0.2.1")); d != time.Second {
		t.Errorf("the second of two waits %v", d)
	}
	g.Passed(addr("192.0.2.1"), "ann", false)
	g.Unheard(addr("192.0.2.1"))
	if d := g.Address(addr("192.0.2.1")); d != 0 {
		t.Errorf("after none failed: waits %v", d)
	}
}

func TestTablesAreBounded(t *testing.T) {
	g, _ := newGuard(GuardOptions{Entries: 100})
	for i := range 20_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		g.Address(a)
		g.Login(a, fmt.Sprint(i))
		g.Passed(a, fmt.Sprint(i), true)
	}
	for name, c := range map[string]*counts{"addresses": &g.addrs, "logins": &g.logins, "pairs": &g.friends} {
		if n := len(c.now) + len(c.older); n > 100 {
			t.Errorf("%s: %d entries", name, n)
		}
	}
}

func TestTheWaitComesBeforeThePasswordIsLookedAt(t *testing.T) {
	g, _ := newGuard(GuardOptions{FirstDelay: time.Second, PerLogin: 1})
	var w waits
	s := &Service{Backend: &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}, Guard: g, Wait: w.wait, Failures: 100}
	for range 3 {
		dialogueOf(s, session("192.0.2.1"), "PLAIN "+b64("\x00ann\x00wrong"))
	}
	dialogueOf(s, session("192.0.2.1"), "PLAIN "+b64("\x00nobody\x00wrong"))
	w.all = append(w.all, -1)
	if _, code, _ := dialogueOf(s, session("192.0.2.1"), "PLAIN "+b64("\x00ann\x00secret")); code != 235 {
		t.Fatalf("got %d", code)
	}
	// By address: 0, 1, 2, 4 for the failures, 8 for who has it right; by login,
	// beyond one failure: 0, 0, 1, and 2 for who has it right.
	if got := fmt.Sprint(w.all); got != "[1s 2s 1s 4s -1ns 8s 2s]" {
		t.Errorf("waited %s", got)
	}
	s.Wait = func(context.Context, time.Duration) error { return context.Canceled }
	if _, code, _ := dialogueOf(s, session("192.0.2.1"), "PLAIN "+b64("\x00ann\x00wrong")); code != 454 {
		t.Errorf("a wait that was cut short: got %d, want 454", code)
	}
}

func TestABarredAddressIsNotHeard(t *testing.T) {
	g, _ := newGuard(GuardOptions{PerAddress: 1})
	s := &Service{Backend: &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}, Guard: g, Wait: (&waits{}).wait}
	dialogueOf(s, session("192.0.2.1"), "PLAIN "+b64("\x00ann\x00wrong"))
	if _, code, asked := dialogueOf(s, session("192.0.2.1"), "PLAIN", b64("\x00ann\x00secret")); code != 421 || asked != nil {
		t.Errorf("got %d after %v", code, asked)
	}
}

func TestOurOwnTroubleIsNobodysFailure(t *testing.T) {
	g, _ := newGuard(GuardOptions{PerAddress: 1})
	s := &Service{Backend: broken{}, Guard: g, Wait: (&waits{}).wait, Failures: 1}
	for range 3 {
		if _, code, _ := dialogueOf(s, session("192.0.2.1"), "PLAIN ="); code != 454 {
			t.Fatalf("got %d, want 454", code)
		}
	}
}

// broken has exchanges that fail.
type broken struct{}

func (broken) Mechanisms(context.Context, *Peer) []string { return []string{Plain} }

func (broken) Begin(context.Context, string, *Peer) (Exchange, error) { return broken{}, nil }

func (broken) Next(context.Context, []byte) ([]byte, bool, error) {
	return nil, false, errors.New("the disk is gone")
}

func (broken) Login() string { return "" }

func (broken) Close() {}
