package config

import (
	"fmt"
	"testing"
)

func TestChangesNameWhatDiffersAndWhatWantsARestart(t *testing.T) {
	read := func(text string) *Config {
		c, err := Parse("/m.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := read("mynetworks: [loopback]\nspool: {directory: /a}\nfilters: {x: {}}\napi: {peers: [{uid: 1, scopes: [submit]}]}\n")
	b := read("mynetworks: [10.0.0.0/8]\nspool: {directory: /b}\nfilters: {}\napi: {peers: [{uid: 2, scopes: [submit]}]}\n")
	got := map[string]bool{}
	for _, c := range a.Changes(b) {
		got[c.Key] = c.Live
	}
	for key, live := range map[string]bool{"mynetworks": true, "spool.directory": false, "filters.x.timeout": true, "api.peers[0].uid": true} {
		if l, ok := got[key]; !ok || l != live {
			t.Errorf("%s: got live %v, listed %v; want live %v", key, l, ok, live)
		}
	}
	if same := a.Changes(a); len(same) != 0 {
		t.Errorf("a configuration differs from itself: %s", fmt.Sprint(same))
	}
}
