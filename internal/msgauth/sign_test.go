package msgauth

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// shapes are messages of odd forms.
var shapes = map[string]string{
	"plain":                plainMessage,
	"empty body":           "From: a@example.org\r\n\r\n",
	"no final line end":    "From: a@example.org\r\n\r\nbody",
	"bare LF":              "From: a@example.org\r\nSubject: x\r\n\r\none\ntwo\n\nthree\r\n",
	"bare CR":              "From: a@example.org\r\n\r\none\rtwo\r\r\nthree\r",
	"empty lines":          "From: a@example.org\r\n\r\n\r\n\r\nbody\r\n\r\n\r\n\r\n",
	"white space":          "From: a@example.org\r\n\r\n a \t b \r\n \r\n\t\r\n",
	"only white space":     "From: a@example.org\r\n\r\n  \r\n",
	"eight bits":           "From: a@example.org\r\nSubject: \xff\x80 \xc3\xbc\r\n\r\n\x00\x80\xff\r\n",
	"no space":             "From:a@example.org\r\nSubject:x\r\nTo:\tb@example.net\r\n\r\nbody\r\n",
	"space before colon":   "From: a@example.org\r\nSubject : x\r\nX-Odd\t:y\r\n\r\nbody\r\n",
	"folded":               "From: a@example.org\r\nSubject:\r\n folded\r\n\t \r\n more \r\n\r\nbody\r\n",
	"long field":           "From: a@example.org\r\nSubject: " + strings.Repeat("x", 200<<10) + "\r\n\r\nbody\r\n",
	"several of a name":    "From: a@example.org\r\nX-Odd: 1\r\nX-Odd: 2\r\nX-ODD: 3\r\n\r\nbody\r\n",
	"empty field":          "From: a@example.org\r\nSubject:\r\nX-Odd: \r\n\r\nbody\r\n",
	"dots":                 "From: a@example.org\r\n\r\n.\r\n..\r\n",
	"long line":            "From: a@example.org\r\n\r\n" + strings.Repeat("y", 100<<10) + "\r\n",
	"line ends in a row":   "From: a@example.org\r\n\r\n" + strings.Repeat("\r\n", 30<<10) + "x",
	"line ends at the end": "From: a@example.org\r\n\r\nx" + strings.Repeat("\r\n", 30<<10),
}

func TestSignaturesOfMessagesOfAllShapesVerify(t *testing.T) {
	rsa, records := newKey(t, "rsa", "example.org", "one")
	ed, more := newKey(t, "ed25519", "example.org", "two")
	for name, list := range more {
		records[name] = list
	}
	for _, form := range []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"} {
		o := relaxed
		o.Canonicalization = form
		for name, message := range shapes {
			signed := sign(t, o, message, rsa, ed)
			if got := outcomes(check(t, records, "", signed)); got != "pass pass" {
				t.Errorf("%s, %s: %s", form, name, got)
			}
			for _, line := range strings.Split(strings.TrimSuffix(signed, message), "\r\n") {
				if len(line) > 998 {
					t.Errorf("%s: a line of %d octets", name, len(line))
				}
			}
		}
	}
}

func TestSignatureBreaksWhenAnythingSignedChanges(t *testing.T) {
	key, records := newKey(t, "ed25519", "example.org", "s")
	o := relaxed
	o.Oversign = []string{"From", "Subject", "Reply-To"}
	signed := sign(t, o, plainMessage, key)
	for name, tt := range map[string]struct {
		from, to, want string
	}{
		"nothing":         {"", "", "pass"},
		"unsigned field":  {"\r\nTo:", "\r\nX-New: 1\r\nTo:", "pass"},
		"white space":     {"Subject: hello", "Subject:  hello ", "pass"},
		"body":            {"\r\n\r\nhello", "\r\n\r\nhullo", "fail"},
		"text after":      {"\r\n\r\nhello\r\n", "\r\n\r\nhello\r\nmore\r\n", "fail"},
		"subject":         {"Subject: hello", "Subject: hullo", "fail"},
		"second From":     {"\r\nTo:", "\r\nFrom: x@example.org\r\nTo:", "fail"},
		"second Subject":  {"\r\nTo:", "\r\nSubject: x\r\nTo:", "fail"},
		"first Reply-To":  {"\r\nTo:", "\r\nReply-To: x@example.org\r\nTo:", "fail"},
		"second To":       {"\r\nTo:", "\r\nTo: x@example.org\r\nTo:", "pass"}, // not oversigned here
		"removed Subject": {"Subject: hello\r\n", "", "fail"},
	} {
		if got := outcomes(check(t, records, "", strings.Replace(signed, tt.from, tt.to, 1))); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestSignatureSaysWhatItIsToldAndHasNoLength(t *testing.T) {
	key, _ := newKey(t, "rsa", "example.org", "s2027")
	o := relaxed
	o.Expire = 48 * time.Hour
	signed := sign(t, o, plainMessage, key)
	tags := tagsOf(strings.TrimPrefix(strings.TrimSuffix(signed, plainMessage), "DKIM-Signature:"))
	for name, want := range map[string]string{
		"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "example.org", "s": "s2027",
		"h": "From:To:Subject:Date:Message-ID:From:Subject", "l": "",
	} {
		if tags[name] != want {
			t.Errorf("%s=%s, want %q", name, tags[name], want)
		}
	}
	if !regexp.MustCompile(`^\d{10}$`).MatchString(tags["x"]) || tags["x"] <= tags["t"] {
		t.Errorf("t=%s x=%s", tags["t"], tags["x"])
	}
	header, _ := cut(t, signed)
	if n := SignedBy(header, key); n != 1 {
		t.Errorf("position %d, want 1", n)
	}
	if n := SignedBy(header, Signer{Domain: "example.org", Selector: "other"}); n != 0 {
		t.Errorf("another key: position %d", n)
	}
}

func TestSignIsBounded(t *testing.T) {
	key, _ := newKey(t, "ed25519", "example.org", "s")
	for name, message := range map[string]string{
		"fields":      "From: a@example.org\r\n" + strings.Repeat("X: y\r\n", maxFields) + "\r\nbody\r\n",
		"lines":       "From: a@example.org\r\nX:\r\n" + strings.Repeat(" y\r\n", 100_000) + "\r\nbody\r\n",
		"of one name": "From: a@example.org\r\n" + strings.Repeat("X-Odd: y\r\n", 200) + "\r\nbody\r\n",
		"empty lines": "From: a@example.org\r\n\r\n" + strings.Repeat("\r\n", maxRun) + "x",
		"CRs":         "From: a@example.org\r\n\r\n" + strings.Repeat("\r", maxRun+1),
	} {
		header, body := cut(t, message)
		fields, err := relaxed.Sign(header, strings.NewReader(body), []Signer{key})
		if !errors.Is(err, ErrUnsignable) || fields != nil {
			t.Errorf("%s: %d fields, %v", name, len(fields), err)
		}
	}
}

// broken ends in an error.
type broken struct{ r io.Reader }

var errDisk = errors.New("disk")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

func TestContentThatCannotBeReadIsNeitherSignedNorJudged(t *testing.T) {
	key, records := newKey(t, "ed25519", "example.org", "s")
	signed := sign(t, relaxed, plainMessage, key, key)
	header, body := cut(t, signed)
	if fields, err := relaxed.Sign(header, broken{strings.NewReader(body)}, []Signer{key, key}); !errors.Is(err, errDisk) || fields != nil {
		t.Errorf("signed: %v", err)
	}
	c := &Checker{Resolver: records}
	if r, err := c.Check(t.Context(), Session{}, header, broken{strings.NewReader(body)}); !errors.Is(err, errDisk) {
		t.Errorf("judged: %+v, %v", r, err)
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	if CheckKey(Signer{Domain: "example.org", Selector: "s"}) == nil {
		t.Error("no key is good")
	}
	key, _ := newKey(t, "ed25519", "example.org", "s")
	if err := CheckKey(key); err != nil {
		t.Error(err)
	}
}
