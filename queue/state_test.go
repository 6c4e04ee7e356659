package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

// Rule 1: four states, nothing else is one.
func TestThereAreFourStates(t *testing.T) {
	want := []string{"unfiltered", "incoming", "active", "deferred"}
	for i, s := range States {
		if s.String() != want[i] {
			t.Errorf("state %d is %q, want %q", i, s, want[i])
		}
	}
	for v := range 256 {
		s := State(v)
		isState := s >= Unfiltered && s <= Deferred
		if _, err := ParseState(s.String()); (err == nil) != isState {
			t.Errorf("State(%d) reads back: %v", v, err)
		}
	}
}

type text interface {
	fmt.Stringer
	MarshalText() ([]byte, error)
}

func TestNamesReadBackAsWhatWroteThem(t *testing.T) {
	var values []text
	for _, s := range States {
		values = append(values, s)
	}
	for v := range originNames {
		values = append(values, Origin(v))
	}
	for v := range dispositionNames {
		values = append(values, Disposition(v))
	}
	for v := range statusNames {
		values = append(values, RecipientStatus(v))
	}
	for _, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readBack(v, b); err != nil || got != v {
			t.Errorf("%T %v is written %s and reads back as %v, %v", v, v, b, got, err)
		}
	}
}

// readBack decodes b into a value of v's type.
func readBack(v text, b []byte) (any, error) {
	switch v.(type) {
	case State:
		return decode[State](b)
	case Origin:
		return decode[Origin](b)
	case Disposition:
		return decode[Disposition](b)
	}
	return decode[RecipientStatus](b)
}

func decode[T any](b []byte) (any, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, dst := range []any{new(State), new(Origin), new(Disposition), new(RecipientStatus)} {
		if err := json.Unmarshal([]byte(`"nonsense"`), dst); err == nil {
			t.Errorf("%T took nonsense", dst)
		}
	}
}

func TestUnknownValuesPrintTheirNumber(t *testing.T) {
	for _, v := range []fmt.Stringer{State(200), Origin(200), Disposition(200), RecipientStatus(200)} {
		if got := v.String(); got != "state(200)" && got != "unknown(200)" {
			t.Errorf("%T(200) prints %q", v, got)
		}
	}
}

func TestTheEmptyStateTextIsTheZeroState(t *testing.T) {
	s := Deferred
	if err := s.UnmarshalText(nil); err != nil || s != 0 {
		t.Errorf("got %v, %v", s, err)
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"unfiltered", "smtp", "done", "pending", "", "Active"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var st State
		var o Origin
		var d Disposition
		var r RecipientStatus
		if st.UnmarshalText([]byte(s)) == nil && st.String() != s {
			t.Errorf("%q read as state %q", s, st)
		}
		if o.UnmarshalText([]byte(s)) == nil && o.String() != s {
			t.Errorf("%q read as origin %q", s, o)
		}
		if d.UnmarshalText([]byte(s)) == nil && d.String() != s {
			t.Errorf("%q read as disposition %q", s, d)
		}
		if r.UnmarshalText([]byte(s)) == nil && r.String() != s {
			t.Errorf("%q read as recipient status %q", s, r)
		}
	})
}

func TestDuplicateErrorNamesTheFirstMessage(t *testing.T) {
	err := fmt.Errorf("commit: %w", &DuplicateError{ID: "01HF8ZQ4Z8M2T"})
	var dup *DuplicateError
	if !errors.Is(err, ErrExists) || !errors.As(err, &dup) || dup.ID != "01HF8ZQ4Z8M2T" {
		t.Errorf("%v does not match ErrExists with its ID", err)
	}
	if errors.Is(err, ErrConflict) {
		t.Errorf("%v matches ErrConflict", err)
	}
}
