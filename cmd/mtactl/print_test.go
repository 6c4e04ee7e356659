package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// What mail brings along does not command the terminal that -o json is read on,
// and is the same to programs.
func TestJSONIsSafeForATerminal(t *testing.T) {
	in := map[string]string{
		"subject": "\x1b[2J\u009b2J \x7f \u202eevil \u2066 \u200b \U000e0001 \u2028",
		"plain":   "grå 漢字 😀 <a@b> & \ufffd",
	}
	var out strings.Builder
	if err := (&tool{out: &out}).json(in); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && !showable(r) && r != '\ufffd' {
			t.Errorf("%q goes to the terminal", r)
		}
	}
	if !strings.Contains(out.String(), in["plain"]) {
		t.Errorf("got %s", out.String())
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil || !reflect.DeepEqual(back, in) {
		t.Errorf("%q, %v", back, err)
	}
}
