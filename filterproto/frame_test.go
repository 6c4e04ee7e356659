package filterproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

type frameVector struct {
	Name, Stream, Error string
	Claims              []frameClaim
}

type frameClaim struct {
	Token, Content, Fail string
	Inline               bool
}

func frameVectors(t testing.TB) (list []frameVector) {
	t.Helper()
	b, err := os.ReadFile("testdata/frames.json")
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	return list
}

func readClaims(r io.Reader) (out []frameClaim, err error) {
	cr := NewClaimReader(r, 1<<20)
	for {
		c, fail, err := cr.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		f := frameClaim{Token: c.Token, Content: string(c.Content), Inline: c.Inline}
		if fail != nil {
			f.Fail = fail.Code
		}
		out = append(out, f)
	}
}

func TestFrameVectors(t *testing.T) {
	for _, v := range frameVectors(t) {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(v.Stream), "by octets": iotest.OneByteReader(strings.NewReader(v.Stream)),
		} {
			got, err := readClaims(r)
			switch v.Error {
			case "truncated":
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s, %s: %v, want io.ErrUnexpectedEOF", v.Name, how, err)
				}
			case "malformed":
				if !errors.Is(err, ErrFrame) {
					t.Errorf("%s, %s: %v, want ErrFrame", v.Name, how, err)
				}
			default:
				if err != nil || len(got)+len(v.Claims) > 0 && !reflect.DeepEqual(got, v.Claims) {
					t.Errorf("%s, %s: %+v %v, want %+v", v.Name, how, got, err, v.Claims)
				}
			}
		}
	}
}

func TestContentBeyondTheReadersBoundIsRefused(t *testing.T) {
	stream := []byte{}
	claim := `{"token":"t","inline":true}`
	stream = append(AppendFrame(stream, FrameClaim, len(claim)), claim...)
	for range 3 {
		stream = append(AppendFrame(stream, FrameData, 10), "0123456789"...)
	}
	stream = AppendFrame(AppendFrame(stream, FrameDone, 0), FrameEnd, 0)
	for max, ok := range map[int64]bool{30: true, 29: false} {
		_, _, err := NewClaimReader(bytes.NewReader(stream), max).Next()
		if (err == nil) != ok || !ok && !errors.Is(err, ErrFrame) {
			t.Errorf("bound %d: %v", max, err)
		}
	}
}

// A length that is only announced takes no memory.
func TestAnnouncedLengthIsNotAllocated(t *testing.T) {
	r := NewFrameReader(strings.NewReader("claim 67108864\n{"))
	if _, _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if cap(r.buf) > 4*frameStep {
		t.Errorf("%d octets allocated for one that came", cap(r.buf))
	}
}

// Whatever comes: no panic, bounded memory, and what is read prints to a stream
// that reads the same.
func FuzzFrames(f *testing.F) {
	for _, v := range frameVectors(f) {
		f.Add([]byte(v.Stream))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewFrameReader(bytes.NewReader(b))
		var again []byte
		for {
			kind, payload, err := r.Next()
			if err != nil {
				break
			}
			again = append(AppendFrame(again, kind, len(payload)), payload...)
		}
		if !subsequence(again, b) {
			t.Errorf("%q is not made of %q", again, b)
		}
		if got, err := readClaims(bytes.NewReader(b)); err == nil {
			second, err := readClaims(bytes.NewReader(again))
			if err != nil || !reflect.DeepEqual(got, second) {
				t.Errorf("%+v, then %+v %v", got, second, err)
			}
		}
	})
}

// subsequence reports whether a is b with octets left out.
func subsequence(a, b []byte) bool {
	for _, c := range a {
		i := bytes.IndexByte(b, c)
		if i < 0 {
			return false
		}
		b = b[i+1:]
	}
	return true
}
