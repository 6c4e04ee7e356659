package submission

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
)

// vector is an entry of spec/vectors/submission.json.
type vector struct {
	Name     string
	Input    string
	Error    *struct{ Attribute, Kind string }
	Envelope map[string]any
	Content  string
}

func vectors(t testing.TB) (list []vector) {
	t.Helper()
	b, err := os.ReadFile("../../spec/vectors/submission.json")
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	return list
}

// asJSON is an envelope as the vectors write it: the attributes by name.
func asJSON(e *Envelope) map[string]any {
	m := map[string]any{}
	for i := range messageAttributes {
		if a := &messageAttributes[i]; a.text(e) != "" {
			m[a.name] = a.text(e)
		}
	}
	var list []any
	for i := range e.Recipients {
		r := map[string]any{nameRecipient: "<" + e.Recipients[i].Path + ">"}
		if n := e.Recipients[i].Notify; n != 0 {
			r[nameNotify] = notifyText(n)
		}
		if o := e.Recipients[i].ORCPT; o != "" {
			r[nameORCPT] = orcptText(o)
		}
		list = append(list, r)
	}
	m["recipients"] = list
	return m
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			e, rest, err := read(v.Input, Limits{})
			if v.Error == nil {
				if err != nil {
					t.Fatal(err)
				}
				if got := asJSON(e); !reflect.DeepEqual(got, v.Envelope) {
					t.Errorf("got  %v\nwant %v", got, v.Envelope)
				}
				if got := convert(t, rest); got != v.Content {
					t.Errorf("content %q, want %q", got, v.Content)
				}
				return
			}
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("%+v, %v", e, err)
			}
			kind := "invalid"
			if got.TooLarge {
				kind = "too_large"
			}
			if got.Attribute != v.Error.Attribute || kind != v.Error.Kind {
				t.Errorf("%v (%s), want %+v", err, kind, *v.Error)
			}
		})
	}
}
