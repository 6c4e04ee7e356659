package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"

	"mtad/api"
	"mtad/filterproto"
	"mtad/queue/queuetest"
)

// whole puts the long strings of a body back.
func (s *spilled) whole(t *testing.T) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(s.skeleton, &v); err != nil {
		t.Fatalf("%v in %q", err, s.skeleton)
	}
	var walk func(any) any
	walk = func(v any) any {
		switch x := v.(type) {
		case string:
			if r, ok := s.long(x); ok {
				b, err := io.ReadAll(again(r))
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
		case []any:
			for i := range x {
				x[i] = walk(x[i])
			}
		case map[string]any:
			for k := range x {
				x[k] = walk(x[k])
			}
		}
		return v
	}
	return walk(v)
}

func again(r *io.SectionReader) io.Reader { return io.NewSectionReader(r, 0, r.Size()) }

func TestLongStringsAreKeptBeside(t *testing.T) {
	unit := "gr\u00fc\u00dfe \"x\" \\ \n\t\u2028\U0001f600/"
	for _, n := range []int{0, 1, 100, 300, 1000, 3000, 10_000, 100_000} {
		in := map[string]any{"a": strings.Repeat(unit, n), "b": []any{"short", strings.Repeat("x", n)}, "c": "\x00"}
		for name, encode := range map[string]func(any) []byte{
			"as it is": func(v any) []byte {
				var b bytes.Buffer
				e := json.NewEncoder(&b)
				e.SetEscapeHTML(false)
				if err := e.Encode(v); err != nil {
					t.Fatal(err)
				}
				return b.Bytes()
			},
			"escaped": func(v any) []byte {
				b, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				return ascii(b)
			},
		} {
			s, err := spill(iotest.OneByteReader(bytes.NewReader(encode(in))), t.TempDir())
			if err != nil {
				t.Fatalf("%d %s: %v", n, name, err)
			}
			got, _ := json.Marshal(s.whole(t))
			want, _ := json.Marshal(in)
			if !bytes.Equal(got, want) {
				t.Errorf("%d %s: it came out otherwise", n, name)
			}
			if len(s.skeleton) > 4*besideString {
				t.Errorf("%d %s: %d octets are left", n, name, len(s.skeleton))
			}
			s.Close()
		}
	}
}

// ascii writes everything else as \u escapes.
func ascii(b []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(b) {
		if r < utf8.RuneSelf {
			out.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, u)
		}
	}
	return out.Bytes()
}

func TestALongStringIsCheckedToo(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for name, body := range map[string]string{
		"not UTF-8": `{"text": "` + long + "\xff" + `"}`, "control": `{"text": "` + long + "\n" + `"}`, "half a pair": `{"text": "` + long + `\ud800"}`,
		"second half": `{"text": "` + long + `\udc00"}`, "two halves apart": `{"text": "` + long + `\ud800x\udc00"}`, "no escape": `{"text": "` + long + `\q"}`,
		"bad hex": `{"text": "` + long + `\u00g0"}`, "no end": `{"text": "` + long, "half an escape": `{"text": "` + long + `\u00"}`, "half a character": `{"text": "` + long + "\xe2\x82" + `"}`,
	} {
		s, err := spill(strings.NewReader(body), t.TempDir())
		var e *filterproto.Error
		if !errors.As(err, &e) || e.Code != filterproto.CodeInvalidJSON {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}

// Nobody writes a word that stands for another string.
func TestAWordForAStringCannotBeForged(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, forged := range []string{`\u00000`, `\u0000` + strings.Repeat("A", 26) + "0"} {
		body := `{"from": "a@b.example", "to": "c@d.example", "subject": "x", "html": "` + strings.Repeat("secret ", 20_000) + `", "text": "` + forged + `"}`
		if e := refused(t, r.call("submit", "POST", "/v1/messages", body), "invalid_submission"); e.Field != "text" {
			t.Errorf("%+v", e)
		}
	}
}

func TestNoFileIsLeft(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, rigOptions{})
	r.s.tempDir = dir
	text := `, "text": "` + strings.Repeat("x\\n", 100_000) + `"`
	r.describe("submit", `{"from": "a@b.example", "to": "c@d.example"`+text+`}`)
	refused(t, r.call("submit", "POST", "/v1/messages", `{"from": "a@b.example"`+text+`}`), "invalid_submission")
	refused(t, r.call("submit", "POST", "/v1/messages", `{"from": "a@b.example"`+text), "invalid_json")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
	r.s.tempDir = dir + "/missing"
	refused(t, r.call("submit", "POST", "/v1/messages", `{"from": "a@b.example", "to": "c@d.example"`+text+`}`), "internal")
}

// An attachment of 50 MB goes through in a few.
func TestALargeAttachmentIsStreamed(t *testing.T) {
	q := &bottomless{Queue: queuetest.NewModel()}
	r := newRig(t, rigOptions{queue: q})
	const size = 67 << 20 // of base64
	head := `{"from": "a@b.example", "to": "c@d.example", "text": "x", "attachments": [{"name": "f", "content": "`
	var most, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, looks := 0, 0
	look := func() {
		if looks++; looks%64 == 0 {
			runtime.GC()
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most.HeapAlloc = max(most.HeapAlloc, now.HeapAlloc)
		}
	}
	body := readerFunc(func(p []byte) (int, error) {
		look()
		p = p[:min(len(p), size-n)]
		if len(p) == 0 {
			return 0, io.EOF
		}
		for i := range p {
			p[i] = "QUJD"[(n+i)%4]
		}
		n += len(p)
		return len(p), nil
	})
	q.look = look
	req := httptest.NewRequestWithContext(context.Background(), "POST", "/v1/messages", io.MultiReader(strings.NewReader(head), body, strings.NewReader(`"}]}`)))
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.tokens["submitter"])
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	good[api.Submitted](t, w, 201)
	if q.n < size {
		t.Fatalf("%d octets arrived", q.n)
	}
	if used := int64(most.HeapAlloc) - int64(before.HeapAlloc); used > 16<<20 {
		t.Errorf("%d MiB of heap for a body of %d MiB", used>>20, size>>20)
	}
}

// FuzzSpill: what is taken is the same JSON with and without long strings in it, and
// what encoding/json does not take is not taken here either, in the end.
func FuzzSpill(f *testing.F) {
	f.Add([]byte(newLetter), 3)
	f.Add([]byte(`{"a": "\ud83d\ude00\u00e4\n"}`), 9000)
	f.Add([]byte(`{"a": "\ud83d"}`), 70000)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		pad := bytes.Repeat([]byte("x"), max(0, n%(80<<10)))
		long := bytes.ReplaceAll(body, []byte(`: "`), append([]byte(`: "`), pad...))
		if len(long) > 1<<20 {
			return
		}
		s, err := spill(bytes.NewReader(long), t.TempDir())
		defer func() { _ = s.Close() }()
		var want any
		bad := json.Unmarshal(long, &want)
		if err != nil || !json.Valid(s.skeleton) {
			return // stricter than encoding/json, which repairs
		}
		if bad != nil {
			t.Fatalf("%q was taken: %v", long, bad)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(s.whole(t))
		if !bytes.Equal(a, b) && len(s.places) == 0 {
			t.Fatalf("%.200q became %.200q", a, b)
		}
	})
}
