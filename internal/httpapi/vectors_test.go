package httpapi

import (
	"encoding/json"
	"os"
	"testing"

	"mtad/filterproto"
)

func vectors[T any](t *testing.T, name string) (v T) {
	t.Helper()
	b, err := os.ReadFile("../../filterproto/testdata/" + name)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRequestVectors(t *testing.T) {
	for _, v := range vectors[[]struct{ Name, Path, Body, Code, Field, Entry string }](t, "requests.json") {
		t.Run(v.Name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			path := "/v1/claims/" + v.Path
			if v.Path == "claims" {
				path = "/v1/filters/virus/claims"
			}
			w := r.call("virus", "POST", path, v.Body)
			if v.Code != "" {
				if e := refused(t, w, v.Code); e.Field != v.Field {
					t.Errorf("field %q, want %q", e.Field, v.Field)
				}
				return
			}
			res := good[filterproto.Results](t, w, 200)
			if v.Entry != "" && (res.Results[0].OK || res.Results[0].Error.Code != v.Entry) {
				t.Errorf("%+v, want %s", res.Results[0], v.Entry)
			}
		})
	}
}

func TestVerdictVectors(t *testing.T) {
	file := vectors[struct {
		Message, Recipient string
		Verdicts           []struct {
			Name, Code, Field, Content string
			Verdict                    json.RawMessage
		}
	}](t, "verdicts.json")
	for _, v := range file.Verdicts {
		t.Run(v.Name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			it := r.accept(file.Message, theFilter, file.Recipient)
			c := r.claim("virus", "virus")
			body := `{"verdicts":[{"token":"` + c.Token + `","verdict":` + string(v.Verdict) + `}]}`
			res := good[filterproto.Results](t, r.call("virus", "POST", "/v1/claims/verdicts", body), 200).Results[0]
			if v.Code != "" {
				if res.OK || res.Error.Code != v.Code || v.Field != "" && res.Error.Field != v.Field {
					t.Errorf("%+v, want %s %s", res.Error, v.Code, v.Field)
				}
				if w := r.call("virus", "GET", "/v1/claims/"+c.Token+"/content", nil); w.Code != 200 || w.Body.String() != file.Message {
					t.Errorf("the lease or the message is gone: %d", w.Code)
				}
				return
			}
			if !res.OK {
				t.Fatal(res.Error)
			}
			if got := r.call("read", "GET", "/v1/queue/messages/"+string(it.ID)+"/content", nil).Body.String(); got != v.Content {
				t.Errorf("got  %q\nwant %q", got, v.Content)
			}
		})
	}
}
