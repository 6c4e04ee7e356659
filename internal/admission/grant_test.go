package admission

import "testing"

func TestWhoMayChooseAChain(t *testing.T) {
	for i, c := range []struct {
		g     Grant
		chain string
		want  bool
	}{
		{Grant{Chain: "a"}, "a", true}, {Grant{Chain: "a"}, "b", false}, {Grant{Chain: "a"}, "", false}, {Grant{Chain: "a"}, NoChain, false},
		{Grant{}, NoChain, true}, {Grant{}, "*", false}, {Grant{Chains: []string{"b"}}, "b", true}, {Grant{Chains: []string{"*"}}, "*", true},
		{Grant{Chain: "a", Chains: []string{"*"}}, NoChain, false}, {Unlimited("a"), NoChain, true}, {Unlimited("a"), "z", true},
	} {
		if got := c.g.MayChoose(c.chain); got != c.want {
			t.Errorf("%d: %+v, %q: %v", i, c.g, c.chain, got)
		}
	}
}
