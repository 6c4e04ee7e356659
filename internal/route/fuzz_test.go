package route_test

import (
	"path/filepath"
	"strings"
	"testing"

	"mtad/internal/route"
)

// Whatever the path: an error is a refusal with a permanent reply, a mailbox is
// one safe path element, and a next hop is a name that resolves to itself.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{
		"a@local.test", "alice+x@local.test", `"a b"@local.test`, "..@local.test", "a/b@local.test",
		"a%b@local.test", "a@[1.2.3.4]", "a@[IPv6:::1]", "a@bücher.test", "a@xn--bcher-kva.test", "\x00@local.test",
		"a@.below.test", "a@x.below.test", "postmaster", `"\"@local.test`,
	} {
		f.Add(s)
	}
	tab := table(f, options())
	f.Fuzz(func(t *testing.T, path string) {
		r, err := tab.Resolve(path)
		if err != nil {
			if reply, ok := route.ReplyOf(err); !ok || reply.Code/100 != 5 || r.Transport != "error" {
				t.Fatalf("Resolve(%q): %v is no permanent refusal (%+v)", path, err, r)
			}
			return
		}
		switch r.Transport {
		case "maildir":
			checkMailbox(t, r.NextHop)
		case "smtp":
			checkNextHop(t, r.NextHop)
		}
	})
}

func checkMailbox(t *testing.T, name string) {
	t.Helper()
	if !filepath.IsLocal(name) || filepath.Base(name) != name || name == "." || name[0] == '.' ||
		strings.ContainsAny(name, "/\\\x00\r\n@%!") || len(name) > 200 {
		t.Fatalf("unsafe mailbox name %q", name)
	}
}

func checkNextHop(t *testing.T, hop string) {
	t.Helper()
	for _, fixed := range []string{"[192.0.2.7]:2525", "[gw.test]"} {
		if hop == fixed {
			return
		}
	}
	if again, err := route.Domain(hop); err != nil || again != hop {
		t.Fatalf("next hop %q is not canonical: %q, %v", hop, again, err)
	}
}
