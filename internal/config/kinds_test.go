package config

import (
	"strings"
	"testing"
)

func TestProgramsAndContentFiltersAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"filters: {f: {kind: exec}}":                                                                                                 "wants a command",
		"filters: {f: {kind: exec, exec: {command: [cat]}}}":                                                                         "not an absolute path",
		"filters: {f: {kind: exec, exec: {command: [/bin/cat], exit: [1=perhaps]}}}":                                                 "not one of its words",
		"filters: {f: {kind: exec, exec: {command: [/bin/cat], exit: [256=reject]}}}":                                                "does not begin with an exit status",
		"filters: {f: {kind: exec, exec: {command: [/bin/cat], exit: [1=reject, 1=defer]}}}":                                         "second meaning",
		"filters: {f: {kind: exec, exec: {command: [/bin/cat], environment: [A-B=1]}}}":                                              "is not NAME=value",
		"filters: {f: {kind: exec, exec: {command: [/bin/cat], environment: [MTAD_SENDER=x]}}}":                                      "is not NAME=value",
		"filters: {f: {kind: exec, exec: {command: [/bin/cat], memory: 1K}}}":                                                        "too little",
		"filters: {f: {kind: pull, exec: {command: [/bin/cat]}}}":                                                                    "settings of kind exec",
		"filters: {f: {kind: smtp, address: \"127.0.0.1:10024\"}}":                                                                   "no listener where messages come back",
		"filters: {f: {kind: smtp}}\nlisteners: {b: {kind: reinjection, address: \"127.0.0.1:10025\"}}":                              "wants an address",
		"listeners: {b: {kind: reinjection, address: \"127.0.0.1:10025\", chain: c}}\nchains: {c: {filters: [f]}}\nfilters: {f: {}}": "goes on in the chain",
		"listeners: {b: {kind: reinjection, unix: /tmp/s}}":                                                                          "knows its clients by address",
		"listeners: {b: {kind: reinjection, address: \"0.0.0.0:10025\", xforward: [0.0.0.0/0]}}":                                     "strangers may try",
	} {
		_, err := Parse("x.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{
		"filters: {f: {kind: exec, exec: {command: [/bin/cat, \"-\", \"$HOME; rm\"], exit: [1=reject, 2=unknown], output: replace}}}",
		"filters: {f: {kind: smtp, address: \"unix:/run/a\", smtp: {protocol: lmtp}}}\nlisteners: {b: {kind: reinjection, address: \"127.0.0.1:10025\"}}",
	} {
		if _, err := Parse("x.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
