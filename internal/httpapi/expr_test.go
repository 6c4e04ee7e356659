package httpapi

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"mtad/queue"
)

func TestFilterExpression(t *testing.T) {
	yes, no := true, false
	origin := queue.OriginDSN
	for _, c := range []struct {
		expr string
		want queue.Filter
	}{
		{"", queue.Filter{}},
		{"  \t", queue.Filter{}},
		{"state=deferred,incoming", queue.Filter{States: []queue.State{queue.Deferred, queue.Incoming}}},
		{"id=01HF8ZQ4Z8M2T,01hf8zq4z8m2t.2", queue.Filter{IDs: []queue.ID{"01HF8ZQ4Z8M2T", "01HF8ZQ4Z8M2T.2"}}},
		{"sender=<> recipient=*@example.org next_hop=example.org", queue.Filter{Sender: "<>", Recipient: "*@example.org", NextHop: "example.org"}},
		{"stage=virus chain=in held=true", queue.Filter{Stage: "virus", Chain: "in", Held: &yes}},
		{`held=false hold_by=filter:* reason="a \"quoted\" \\ word"`, queue.Filter{Held: &no, HoldBy: "filter:*", Reason: `a "quoted" \ word`}},
		{"origin=dsn parent=01HF8ZQ4Z8M2T", queue.Filter{Origin: &origin, Parent: "01HF8ZQ4Z8M2T"}},
		{"age>2h age<3d", queue.Filter{OlderThan: 2 * time.Hour, YoungerThan: 72 * time.Hour}},
		{"size>1M size<10k", queue.Filter{MinSize: 1<<20 + 1, MaxSize: 10<<10 - 1}},
		{"sender==odd", queue.Filter{Sender: "=odd"}},
	} {
		got, err := parseExpr(c.expr)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v %v, want %+v", c.expr, got, err, c.want)
		}
	}
}

func TestMalformedFilterExpressionIsRefused(t *testing.T) {
	for _, expr := range []string{
		"deferred", "state", "state=", "state=late", "state=active,active,active,active,active", "colour=red", "id=x", "id=", "held=yes", "held>true",
		"age=2h", "age>2", "age>-2h", "age>99999d", "size=1", "size>1T", "size>-1", "size<1", "size>99999999999999999999", "origin=moon",
		`sender="open`, `sender="a"b`, `sender="\n"`, "state=deferred state=incoming", "=x", "sender=\xff", "STATE=deferred",
		"parent=nobody", strings.Repeat("x", maxExpr+1), "id=" + strings.Repeat("01HF8ZQ4Z8M2T,", 501) + "01HF8ZQ4Z8M2T",
	} {
		if f, err := parseExpr(expr); err == nil {
			t.Errorf("%.60q: taken as %+v", expr, f)
		} else if !strings.Contains(err.Error(), "invalid_filter") {
			t.Errorf("%.60q: %v", expr, err)
		}
	}
}

// A value in quotes comes back as it is, whatever it is.
func FuzzFilterExpression(f *testing.F) {
	for _, s := range []string{"state=deferred", `reason="x y"`, "age>2h size<1M held=true", `sender="\\"`, "id=01HF8ZQ4Z8M2T"} {
		f.Add(s)
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, s string) {
		if f, err := parseExpr(s); err != nil && !reflect.DeepEqual(f, queue.Filter{}) {
			t.Error("half a filter with an error: it might be used")
		}
		got, err := parseExpr(`reason="` + escape.Replace(s) + `"`)
		if err == nil && got.Reason != s {
			t.Errorf("%q came back as %q", s, got.Reason)
		}
	})
}
