package queue

import (
	"strings"
	"testing"
	"time"
)

func TestIDCarriesTheTimeOfAcceptance(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 34, 56, 789_000_000, time.UTC)
	if got := IDOf(at, 7, 9).Time(); !got.Equal(at) {
		t.Errorf("Time() = %v, want %v", got, at)
	}
}

func TestIDsSortByTimeThenNodeThenSequence(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ids := []ID{IDOf(at, 0, 0), IDOf(at, 0, 1), IDOf(at, 0, 1<<14-1), IDOf(at, 1, 0), IDOf(at, 255, 5), IDOf(at.Add(time.Millisecond), 0, 0), IDOf(at.AddDate(100, 0, 0), 0, 0)}
	for i := 1; i < len(ids); i++ {
		if ids[i-1] >= ids[i] {
			t.Errorf("%s is not before %s", ids[i-1], ids[i])
		}
	}
}

func TestIDPartKeepsTheMessage(t *testing.T) {
	whole := IDOf(time.Now(), 3, 4)
	bits, _ := whole.Bits()
	part := IDFromBits(bits, 12)
	if part != whole+".12" || part.Message() != whole || part.Part() != 12 || whole.Part() != 0 || whole.Message() != whole {
		t.Errorf("part %s of %s", part, whole)
	}
}

func TestParseIDReadsWhatPeopleType(t *testing.T) {
	for text, want := range map[string]ID{
		"01HF8ZQ4Z8M2T":         "01HF8ZQ4Z8M2T",
		"01hf8zq4z8m2t":         "01HF8ZQ4Z8M2T",
		"oihf8zq4z8m2t.7":       "01HF8ZQ4Z8M2T.7",
		"OLHF8ZQ4Z8M2T":         "01HF8ZQ4Z8M2T",
		"FZZZZZZZZZZZZ.1048575": "FZZZZZZZZZZZZ.1048575",
	} {
		if got, err := ParseID(text); err != nil || got != want {
			t.Errorf("ParseID(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseIDRefusesWhatIsNoID(t *testing.T) {
	for _, text := range []string{
		"", ".", ".1", "01HF8ZQ4Z8M2", "01HF8ZQ4Z8M2TT", "U1HF8ZQ4Z8M2T", "01HF8ZQ4Z8M2!", "01HF8ZQ4Z8M2T.", "01HF8ZQ4Z8M2T.0",
		"01HF8ZQ4Z8M2T.01", "01HF8ZQ4Z8M2T.1048576", "01HF8ZQ4Z8M2T.+1", "01HF8ZQ4Z8M2T.1.1", "01HF8ZQ4Z8M2T.99999999", "GZZZZZZZZZZZZ",
		"01HF8ZQ4Z8M2T ", "01HF8ZQ4Z8Mé", "../../../etc/", strings.Repeat("0", 1<<16),
	} {
		if got, err := ParseID(text); err != ErrInvalidID {
			t.Errorf("ParseID(%.40q) = %q, %v", text, got, err)
		}
	}
}

func TestIDBitsPanicsOnWhatIsNoID(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	ID("x").Bits()
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"01HF8ZQ4Z8M2T", "oihf8zq4z8m2t.2", "FZZZZZZZZZZZZ.1048575", "GZZZZZZZZZZZZ", ".", "01HF8ZQ4Z8M2T.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		if again, err := ParseID(string(id)); err != nil || again != id {
			t.Fatalf("ParseID(%q) = %q, which reads as %q, %v", s, id, again, err)
		}
		if bits, part := id.Bits(); IDFromBits(bits, part) != id {
			t.Fatalf("%q has bits %x, %d, which are %q", id, bits, part, IDFromBits(bits, part))
		}
		if id.Message().Part() != 0 || !strings.HasPrefix(string(id), string(id.Message())) {
			t.Fatalf("%q has message %q", id, id.Message())
		}
	})
}
