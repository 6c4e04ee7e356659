package deliver_test

import (
	"testing"

	"mtad/internal/deliver"
)

func TestDiscardDeliversToNowhere(t *testing.T) {
	expect(t, deliver.NewDiscard(deliver.Options{}).Deliver(bg, job(mail, "a@x.test", "b@x.test")),
		"delivered 250 2.0.0 discarded", "delivered 250 2.0.0 discarded")
}

func TestErrorGivesTheReplyItIsTold(t *testing.T) {
	f := deliver.NewFail(deliver.Options{})
	for nextHop, want := range map[string]string{
		"":                         "failed 554 5.0.0 not deliverable",
		"moved away":               "failed 554 5.0.0 moved away",
		"5.1.6 moved":              "failed 554 5.1.6 moved",
		"4.2.1 later":              "pending 450 4.2.1 later",
		"2.0.0 fine":               "failed 554 5.0.0 2.0.0 fine",
		"550 5.1.1 no such user":   "failed 550 5.1.1 no such user",
		"450 4.2.1 busy":           "pending 450 4.2.1 busy",
		"250 2.0.0 fine":           "failed 554 5.0.0 250 2.0.0 fine",
		"550 4.1.1 classes differ": "failed 550 4.1.1 classes differ",
	} {
		j := job(mail, "a@x.test")
		j.NextHop = nextHop
		expect(t, f.Deliver(bg, j), want)
	}
}
