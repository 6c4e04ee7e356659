package main

import (
	"strings"
	"testing"
)

// Every command explains itself, also those that take their options as sendmail(1) does.
func TestHelpIsHelpOfSendmailsNamesToo(t *testing.T) {
	for name := range sendmailNames {
		if _, _, ok := asSendmail([]string{"mtactl", name, "--help"}); ok {
			t.Errorf("mtactl %s --help: taken for a run", name)
		}
		var out strings.Builder
		root := (&tool{out: &out, err: &out}).root()
		root.SetOut(&out)
		root.SetArgs([]string{name, "--help"})
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("mtactl %s --help: %v, %q", name, err, out.String())
		}
		if _, args, ok := asSendmail([]string{"mtactl", name, "help"}); !ok || args[0] != "help" {
			t.Errorf("mtactl %s help: %q is not taken for an address", name, args)
		}
	}
}
