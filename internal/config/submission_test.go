package config

import (
	"strings"
	"testing"
)

func TestSubmissionRulesThatMeanNothingAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"submission: {allow: [{}]}":                                                              "0 kinds of users",
		"submission: {allow: [{uid: 1, gid: 1}]}":                                                "2 kinds of users",
		"submission: {allow: [{everyone: false}]}":                                               "0 kinds of users",
		"submission: {allow: [{user: 'a b'}]}":                                                   "not the name of a user",
		"submission: {allow: [{user: '-x'}]}":                                                    "not the name of a user",
		"submission: {allow: [{uid: -1}]}":                                                       "-1",
		"submission: {allow: [{uid: 1, senders: ['a b@c']}]}":                                    "not a mailbox",
		"submission: {allow: [{uid: 1, senders: ['*']}]}":                                        "domain",
		"submission: {allow: [{uid: 1, client_attributes: all}]}":                                "client_attributes",
		"submission: {allow: [{uid: 1, chain: nowhere}]}":                                        `no chain called "nowhere"`,
		"submission: {chain: none}":                                                              `no chain called "none"`,
		"submission: {recipients: 50001}":                                                        "50001",
		"api: {tokens: {t: {sha256: " + hash + ", scopes: [submit], submit: {senders: [own]}}}}": "no login name",
		"api: {tokens: {t: {sha256: " + hash + ", scopes: [submit], submit: {chain: nowhere}}}}": `no chain called "nowhere"`,
	} {
		if _, err := Parse("mtad.yaml", []byte(text+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestWithoutAListEveryLocalUserSubmits(t *testing.T) {
	for text, rules := range map[string]int{"": 1, "submission: {recipients: 7}\n": 1, "submission: {allow: []}\n": 0, "submission: {allow: [{uid: 7}, {gid: 8}]}\n": 2} {
		c, err := Parse("mtad.yaml", []byte(text))
		if err != nil || len(c.Submission.Allow) != rules {
			t.Errorf("%q: %+v, %v", text, c.Submission, err)
		}
		if text == "" && (!c.Submission.Allow[0].Everyone || c.Submission.Allow[0].ClientAttributes != "none" || c.Submission.Allow[0].Senders != nil) {
			t.Errorf("%+v", c.Submission.Allow[0])
		}
	}
}
