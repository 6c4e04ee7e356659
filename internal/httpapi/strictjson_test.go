package httpapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"mtad/filterproto"
)

func jsonFields[T any]() map[string]bool {
	m := map[string]bool{}
	for name := range new(fieldTable).of(reflect.TypeFor[T]()) {
		m[name] = true
	}
	return m
}

func TestStrictJSONNamesWhatIsWrong(t *testing.T) {
	verdict := func(s string) string { return `{"verdicts":[{"token":"t","verdict":` + s + `}]}` }
	for _, c := range []struct{ body, code, field string }{
		{`{"verdicts":[]}`, "", ""},
		{verdict(`{"disposition":"accept","reply":null}`), "", ""},
		{``, "invalid_json", ""},
		{`{`, "invalid_json", ""},
		{`{"verdicts":[}`, "invalid_json", ""},
		{`{"verdicts":[]} x`, "invalid_json", ""},
		{`{"verdicts":[]}{}`, "invalid_json", ""},
		{"{\"verdicts\":\"\xff\"}", "invalid_json", ""},
		{`null`, "invalid_request", ""},
		{`[]`, "invalid_request", ""},
		{`"x"`, "invalid_request", ""},
		{`{"verdict":[]}`, "unknown_field", "verdict"},
		{`{"Verdicts":[]}`, "unknown_field", "Verdicts"},
		{`{"verdicts":[],"verdicts":[]}`, "invalid_request", "verdicts"},
		{`{"verdicts":{}}`, "invalid_request", "verdicts"},
		{`{"verdicts":[1]}`, "invalid_request", "verdicts[0]"},
		{verdict(`{"disposition":1}`), "invalid_request", "verdicts[0].verdict.disposition"},
		{verdict(`{"edits":[{"op":"header_add"},{"opp":1}]}`), "unknown_field", "verdicts[0].verdict.edits[1].opp"},
		{verdict(`{"edits":[{"index":1.5}]}`), "invalid_request", "verdicts[0].verdict.edits[0].index"},
		{verdict(`{"edits":[{"index":1e99}]}`), "invalid_request", "verdicts[0].verdict.edits[0].index"},
		{verdict(`{"edits":[{"index":99999999999999999999}]}`), "invalid_request", "verdicts[0].verdict.edits[0].index"},
		{verdict(`{"edits":[{"body":"***"}]}`), "invalid_request", "verdicts[0].verdict.edits[0].body"},
		{verdict(`{"score":1e999}`), "invalid_request", "verdicts[0].verdict.score"},
		{verdict(`{"score":"1"}`), "invalid_request", "verdicts[0].verdict.score"},
		{verdict(`{"score":NaN}`), "invalid_json", ""},
		{verdict(`{"symbols":[true]}`), "invalid_request", "verdicts[0].verdict.symbols[0]"},
		{`{"verdicts":` + strings.Repeat(`[`, 100_000), "invalid_request", "verdicts[0]"},
		{strings.Repeat(`{"verdicts":`, 1000), "invalid_request", "verdicts"},
		{verdict(nested(20)), "invalid_json", "verdicts[0].verdict" + strings.Repeat(".recipients[0].verdict", 4) + ".recipients"},
	} {
		err := checkJSON(new(fieldTable), []byte(c.body), reflect.TypeFor[filterproto.VerdictRequest]())
		code, field := "", ""
		if err != nil {
			code, field = err.Code, err.Field
		}
		if code != c.code || field != c.field {
			t.Errorf("%.80s: %s %q, want %s %q", c.body, code, field, c.code, c.field)
		}
	}
}

// nested is a verdict within recipients' verdicts, n deep: the types allow any
// depth, the bound does not.
func nested(n int) string {
	return strings.Repeat(`{"recipients":[{"verdict":`, n) + `{}` + strings.Repeat(`}]}`, n)
}

// Whatever is let through is what encoding/json decodes without complaint, with
// unknown fields refused.
func FuzzStrictJSON(f *testing.F) {
	f.Add([]byte(`{"verdicts":[{"token":"t","nonce":"n","verdict":{"disposition":"accept","edits":[{"op":"body_replace","body":"aGk="}],"score":1.5,"quarantine":{"seconds":9}}}]}`))
	f.Add([]byte(`{"verdicts":[null]}`))
	f.Add([]byte(`{"verdicts":[{"verdict":{"recipients":[{"recipients":["a"],"verdict":{}}]}}]}`))
	fields := new(fieldTable)
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkJSON(fields, b, reflect.TypeFor[filterproto.VerdictRequest]()) != nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.DisallowUnknownFields()
		var v filterproto.VerdictRequest
		if err := d.Decode(&v); err != nil {
			t.Errorf("let through: %v", err)
		}
	})
}
