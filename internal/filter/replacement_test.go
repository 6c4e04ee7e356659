package filter

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"mtad/queue"
)

// replaced puts what a scanner gives back through a Replacement, in pieces of n
// octets, and returns what the message is then.
func replaced(t *testing.T, trace, content, back string, n int, limit int64, fix bool) (string, int, error) {
	t.Helper()
	r := newRig(t, oneFilter(Definition{}))
	w, err := r.q.Create(t.Context(), envelope("b@example.net"), queue.CreateOptions{Chain: "c", Stage: "f", Trace: func(queue.ID) []byte { return []byte(trace) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	it, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := r.claim("f")
	m := Message{Filter: "f", Item: c.Item, q: r.q, token: c.Token}
	src, err := m.Source(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if b, err := io.ReadAll(src); err != nil || string(b) != trace+content || src.Size() != int64(len(b)) {
		t.Fatalf("source: %q, %v", b, err)
	}
	out := m.Replacement(t.Context(), limit)
	out.FixLineEnds = fix
	for p := range strings.SplitSeq(back, "") {
		if n > 1 {
			p = ""
		}
		if _, err := io.WriteString(out, p); err != nil {
			break
		}
	}
	if n > 1 {
		_, _ = io.WriteString(out, back)
	}
	edits, err := out.Edits(context.Background(), src)
	if err != nil {
		return "", 0, err
	}
	items := r.judge("f", c.Token, accept(edits...))
	return r.content(it.ID), len(items[0].Generations), nil
}

func TestReplacementIsWhatCameWithoutOurTrace(t *testing.T) {
	const trace = "Received: by us\r\n\tid x\r\n"
	for _, n := range []int{1, 1000} {
		for back, want := range map[string]string{
			trace + plain:                        plain,
			plain:                                plain,
			"X: y\r\n" + trace + plain:           "X: y\r\n" + plain,
			"X: y" + trace + plain:               "X: y" + trace + plain, // not a field of its own
			"A: b\r\n\r\n" + trace:               "A: b\r\n\r\n" + trace, // in the body
			trace + trace + plain:                trace + plain,
			"no header":                          "no header",
			strings.Repeat("x", 300<<10) + "end": strings.Repeat("x", 300<<10) + "end",
		} {
			got, generations, err := replaced(t, trace, plain, back, n, 1<<20, false)
			if err != nil || got != want {
				t.Errorf("%.50q: got %.80q, %v; want %.80q", back, got, err, want)
			}
			if same := want == plain; same != (generations == 1) {
				t.Errorf("%.50q: %d generations", back, generations)
			}
		}
	}
}

func TestReplacementIsBoundedAndNotEmpty(t *testing.T) {
	if _, _, err := replaced(t, "", plain, "12345", 1, 5, false); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, _, err := replaced(t, "", plain, "123456", 1, 5, false); !errors.Is(err, ErrReplacementLarge) {
		t.Errorf("one past: %v", err)
	}
	if _, _, err := replaced(t, "T: t\r\n", plain, "T: t\r\n", 1, 5, false); !errors.Is(err, ErrReplacementEmpty) {
		t.Errorf("nothing: %v", err)
	}
}

func TestReplacementWithFixedLineEnds(t *testing.T) {
	for _, n := range []int{1, 1000} {
		got, _, err := replaced(t, "", plain, "a: b\n\nc\r\nd\re\n", n, 100, true)
		if want := "a: b\r\n\r\nc\r\nd\re\r\n"; err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}
