package httpapi

import (
	"errors"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/queue"
)

func TestFilterExpressionIsTheQueuesOwn(t *testing.T) {
	text := `state=deferred next-hop=example.net hold-by=filter:* reason="two words" held age>9d size>=10K`
	got, err := parseExpr(text)
	if err != nil || got.String() != text {
		t.Errorf("%q came back as %q, %v", text, got, err)
	}
}

func TestMalformedFilterExpressionNamesItsTerm(t *testing.T) {
	for expr, want := range map[string]string{
		"held colour=red":            `"colour=red" at 5: no such term`,
		`sender="open`:               "quote is not closed",
		"sender=\xff":                "not UTF-8",
		strings.Repeat("x", 1<<13):   "want name=value",
		strings.Repeat("x", 1<<13+1): "over 8192 octets",
	} {
		f, err := parseExpr(expr)
		var e *filterproto.Error
		if !errors.As(err, &e) || e.Code != filterproto.CodeInvalidFilter || e.Field != "filter" || !strings.Contains(e.Message, want) {
			t.Errorf("%.40q: %v, want invalid_filter with %q", expr, err, want)
		}
		if len(e.Message) > 500 || f.String() != (queue.Filter{}).String() {
			t.Errorf("%.40q: %d octets of message, filter %q", expr, len(e.Message), f)
		}
	}
}
