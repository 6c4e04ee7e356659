package main

import (
	"strings"
	"testing"

	"mtad/api"
)

// Who handed a message in is shown, and nothing that the message brought along
// looks like a line of ours.
func TestWhoSubmittedIsShown(t *testing.T) {
	var out strings.Builder
	m := api.Message{ID: "0SAF4BHHW0000", State: "incoming", Meta: map[string]string{"submitted_by": "uid:1001", "state": "delivered"}}
	if err := (&tool{out: &out}).details(m); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nsubmitted by:  uid:1001\n", "\nmeta state:    delivered\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
