package queuetest

import (
	"errors"
	"io"
	"testing"

	"mtad/queue"
)

var _ queue.Queue = (*FaultyQueue)(nil)

func TestFaultyConformsWithoutAPlan(t *testing.T) {
	Run(t, func(*testing.T) queue.Queue { return Faulty(NewModel(), nil) })
}

func TestFaultyFailsTheChosenCallAlone(t *testing.T) {
	trouble := errors.New("trouble")
	f := Faulty(NewModel(), Fail("Get", 2, trouble))
	for n, want := range []error{queue.ErrNotFound, trouble, queue.ErrNotFound} {
		if _, err := f.Get(t.Context(), "01HF8ZQ4Z8M2T"); !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", n+1, err, want)
		}
	}
	if n := f.Calls("Get"); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestFaultyCommitIsUncertainAndMadeAllTheSame(t *testing.T) {
	m := NewModel()
	f := Faulty(m, Uncertain("Writer.Commit", 1))
	w, err := f.Create(t.Context(), envelope("b@example.net"), queue.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context()); !errors.Is(err, queue.ErrUncertain) {
		t.Fatalf("Commit: %v", err)
	}
	if _, err := m.Get(t.Context(), w.ID()); err != nil {
		t.Errorf("not made: %v", err)
	}
	if it, err := w.Commit(t.Context()); err != nil || it.ID != w.ID() {
		t.Errorf("repeated: %v, %v", it.ID, err)
	}
}

func TestFaultyContentBreaksInTheMiddle(t *testing.T) {
	f := Faulty(NewModel(), FailAll("Content.Read", queue.ErrCorrupt))
	w, err := f.Create(t.Context(), envelope("b@example.net"), queue.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := f.Open(t.Context(), queue.OpenSpec{ID: w.ID()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); !errors.Is(err, queue.ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	f.Replan(nil)
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("read without a plan: %v", err)
	}
}
