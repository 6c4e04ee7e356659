package admission

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mtad/filterproto"
	"mtad/internal/intake"
	"mtad/internal/submission"
	"mtad/queue"
	"mtad/queue/queuetest"
)

const letter = "Subject: hello\n\nbody\n"

func newDoor(t *testing.T, s Settings, now func() time.Time) (*Door, queue.Queue) {
	t.Helper()
	q := queuetest.NewModel()
	t.Cleanup(func() { q.Close() })
	d := New(Options{
		Intake: intake.New(intake.Options{Queue: q, Hostname: "mx.example.org"}), Hostname: "mx.example.org",
		Local: func(d string) bool { return d == "example.org" }, Delimiter: "+", Now: now,
	})
	d.Set(s)
	return d, q
}

func request(from string, to ...string) Request {
	env := &submission.Envelope{Sender: from}
	for _, p := range to {
		env.Recipients = append(env.Recipients, submission.Recipient{Path: p})
	}
	return Request{Envelope: env, Content: strings.NewReader(letter), Origin: queue.OriginSubmit}
}

func nothingKept(t *testing.T, q queue.Queue) {
	t.Helper()
	n, err := q.Count(t.Context(), queue.Filter{})
	if err != nil || n.Messages != 0 {
		t.Errorf("%d messages, %v; want none", n.Messages, err)
	}
}

func TestAnEnvelopeIsCompleted(t *testing.T) {
	d, q := newDoor(t, Settings{}, nil)
	r := request("root", "bob", "bob@mx.example.org", "carol@BÜCHER.example", `"a@b"`, "grå@example.net")
	res, err := d.Submit(t.Context(), Caller{Name: "uid:7"}, r)
	if err != nil {
		t.Fatal(err)
	}
	items, err := q.History(t.Context(), res.ID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range res.Recipients {
		got = append(got, p.Path)
	}
	if want := `bob@mx.example.org carol@xn--bcher-kva.example "a@b"@mx.example.org grå@example.net`; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e := items[0].Envelope
	if e.ReversePath != "root@mx.example.org" || !e.SMTPUTF8 || items[0].Meta[MetaCaller] != "uid:7" {
		t.Errorf("%+v", items[0])
	}
	if res.Recipients[0].ID != RecipientID(res.ID, "bob@mx.example.org") || res.Recipients[0].ID == res.Recipients[1].ID {
		t.Errorf("recipients %+v", res.Recipients)
	}
	if len(r.Envelope.Recipients) != 5 || r.Envelope.Sender != "root" {
		t.Error("the request was changed")
	}
}

func TestAGrantBoundsWhatACallerMayDo(t *testing.T) {
	own := func() string { return "alice" }
	claims := request("a@example.org", "b@example.net")
	claims.Envelope.Client.Helo = "x"
	sized := request("a@example.org", "b@example.net")
	sized.Envelope.Client.SizeHint = 7
	for name, c := range map[string]struct {
		grant Grant
		r     Request
		field string // "" is taken
	}{
		"anything":                 {Grant{}, request("a@example.org", "b@example.net"), ""},
		"a claim":                  {Grant{}, claims, "helo_name"},
		"a claim that is believed": {Grant{ClientAttributes: true}, claims, ""},
		"a size":                   {Grant{}, sized, ""},
		"own":                      {Grant{Senders: []string{"own"}}, request("alice", "b@example.net"), ""},
		"own, local domain":        {Grant{Senders: []string{"own"}}, request("alice@EXAMPLE.org", "b@example.net"), ""},
		"own, extension":           {Grant{Senders: []string{"own"}}, request("alice+x@example.org", "b@example.net"), ""},
		"own, elsewhere":           {Grant{Senders: []string{"own"}}, request("alice@example.com", "b@example.net"), "sender"},
		"another's":                {Grant{Senders: []string{"own"}}, request("bob", "b@example.net"), "sender"},
		"own, quoted":              {Grant{Senders: []string{"own"}}, request(`"alice@example.com"`, "b@example.net"), "sender"},
		"null":                     {Grant{Senders: []string{"own"}}, request("", "b@example.net"), ""},
		"mailbox":                  {Grant{Senders: []string{"x@example.com"}}, request("x@Example.Com", "b@example.net"), ""},
		"mailbox, other case":      {Grant{Senders: []string{"x@example.com"}}, request("X@example.com", "b@example.net"), "sender"},
		"domain":                   {Grant{Senders: []string{"example.com"}}, request("x@example.com", "b@example.net"), ""},
		"domain, below":            {Grant{Senders: []string{"example.com"}}, request("x@a.example.com", "b@example.net"), "sender"},
		"below":                    {Grant{Senders: []string{".example.com"}}, request("x@a.example.com", "b@example.net"), ""},
		"below, itself":            {Grant{Senders: []string{".example.com"}}, request("x@example.com", "b@example.net"), "sender"},
		"below, suffix":            {Grant{Senders: []string{".example.com"}}, request("x@badexample.com", "b@example.net"), "sender"},
		"local":                    {Grant{LocalOnly: true}, request("a@example.com", "b@example.org"), ""},
		"local, one not":           {Grant{LocalOnly: true}, request("a@example.com", "b@example.org", "c@example.net"), "recipient"},
		"local, hidden":            {Grant{LocalOnly: true}, request("a@example.com", `"c@example.org"@example.net`), "recipient"},
		"too many":                 {Grant{}, request("a@example.com", "1@a", "2@a", "3@a", "4@a"), "recipient"},
		"none":                     {Grant{}, request("a@example.com"), "recipient"},
	} {
		t.Run(name, func(t *testing.T) {
			d, q := newDoor(t, Settings{Recipients: 3}, nil)
			c.r.Content = strings.NewReader(letter)
			_, err := d.Submit(t.Context(), Caller{Name: "x", Login: own, Grant: c.grant}, c.r)
			var refusal *Refusal
			switch {
			case c.field == "" && err != nil:
				t.Fatal(err)
			case c.field == "":
				return
			case !errors.As(err, &refusal) || refusal.Field != c.field || refusal.Transient():
				t.Errorf("%v, want one about %s", err, c.field)
			}
			nothingKept(t, q)
		})
	}
}

func TestRulesDecideInOrder(t *testing.T) {
	r := Rules{{UID: 7, GID: -1, Grant: Grant{Rate: 1}}, {UID: -1, GID: 8, Grant: Grant{Rate: 2}}, {UID: -1, GID: -1, Grant: Grant{Rate: 3}}}
	for _, c := range []struct {
		uid    int
		groups []int
		rate   int
		ok     bool
	}{{7, []int{8}, 1, true}, {9, []int{1, 8}, 2, true}, {9, []int{1}, 0, false}, {-1, []int{-1}, 0, false}} {
		if g, ok := r.For(c.uid, c.groups); g.Rate != c.rate || ok != c.ok {
			t.Errorf("%d %v: %d %v", c.uid, c.groups, g.Rate, ok)
		}
	}
	if g, ok := append(r, Rule{Everyone: true, UID: -1, GID: -1, Grant: Grant{Rate: 4}}).For(9, nil); !ok || g.Rate != 4 {
		t.Error("everyone is not anybody")
	}
}

func TestARateIsCountedByCaller(t *testing.T) {
	now := time.Unix(1e9, 0)
	d, _ := newDoor(t, Settings{}, func() time.Time { return now })
	hand := func(name string) error {
		_, err := d.Submit(t.Context(), Caller{Name: name, Grant: Grant{Rate: 2}}, request("a@b", "c@d"))
		return err
	}
	for i, want := range []bool{true, true, false} {
		if err := hand("one"); (err == nil) != want {
			t.Errorf("message %d: %v", i, err)
		}
	}
	var refusal *Refusal
	if err := hand("one"); !errors.As(err, &refusal) || refusal.Code != filterproto.CodeRateLimited || refusal.RetryAfter != 30 {
		t.Errorf("got %v", err)
	}
	if err := hand("two"); err != nil {
		t.Errorf("another caller: %v", err)
	}
	now = now.Add(30 * time.Second)
	if err := hand("one"); err != nil {
		t.Errorf("after the time: %v", err)
	}
}

func TestAKeyMakesOneMessageOfOneCaller(t *testing.T) {
	d, q := newDoor(t, Settings{}, nil)
	hand := func(name, key string) Result {
		t.Helper()
		r := request("a@b", "c@d")
		r.Key = key
		res, err := d.Submit(t.Context(), Caller{Name: name}, r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first, again := hand("one", "k"), hand("one", "k")
	if again.ID != first.ID || !again.Duplicate || first.Duplicate || again.Recipients[0] != first.Recipients[0] {
		t.Errorf("%+v, then %+v", first, again)
	}
	for _, other := range []Result{hand("two", "k"), hand("one", "l"), hand("one\x00k", "")} {
		if other.ID == first.ID || other.Duplicate {
			t.Errorf("another's key counted: %+v", other)
		}
	}
	if n, _ := q.Count(t.Context(), queue.Filter{}); n.Messages != 4 {
		t.Errorf("%d messages, want 4", n.Messages)
	}
}

func TestContentThatDoesNotComeWholeIsNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		content io.Reader
		max     int64
		want    func(error) bool
	}{
		"cut off": {io.MultiReader(strings.NewReader(letter), iotest.ErrReader(io.ErrUnexpectedEOF)), 0, func(err error) bool {
			var read *ReadError
			return errors.As(err, &read) && errors.Is(err, io.ErrUnexpectedEOF)
		}},
		"empty":     {strings.NewReader(""), 0, func(err error) bool { var r *Refusal; return errors.As(err, &r) }},
		"too large": {strings.NewReader(strings.Repeat("x\n", 1000)), 2500, func(err error) bool { return errors.Is(err, queue.ErrTooLarge) }},
		"a loop":    {strings.NewReader(strings.Repeat("Received: x\n", 51)), 0, func(err error) bool { return errors.Is(err, intake.ErrLoop) }},
	} {
		d, q := newDoor(t, Settings{MaxSize: c.max}, nil)
		r := request("a@b", "c@d")
		r.Content = c.content
		if _, err := d.Submit(t.Context(), Caller{}, r); !c.want(err) {
			t.Errorf("%s: %v", name, err)
		}
		nothingKept(t, q)
	}
}

// A caller that goes away before the commit has handed nothing in.
func TestACallerThatIsGoneHandsNothingIn(t *testing.T) {
	d, q := newDoor(t, Settings{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Submit(ctx, Caller{}, request("a@b", "c@d")); err == nil {
		t.Error("taken")
	}
	nothingKept(t, q)
}

func TestTheTraceFieldNamesTheClientThatIsClaimed(t *testing.T) {
	d, q := newDoor(t, Settings{}, nil)
	r := request("a@b", "c@d")
	r.Envelope.Client = submission.Client{Helo: "h.example", Name: "n.example", Address: "192.0.2.1", Protocol: "ESMTPS"}
	c := Caller{Grant: Grant{ClientAttributes: true}, Client: queue.Client{Protocol: "local", Listener: "submit"}}
	res, err := d.Submit(t.Context(), c, r)
	if err != nil {
		t.Fatal(err)
	}
	it, err := q.Get(t.Context(), res.ID)
	if err != nil || !strings.HasPrefix(string(it.Trace), "Received: from h.example (n.example [192.0.2.1])\r\n\tby mx.example.org with ESMTPS") {
		t.Errorf("%q, %v", it.Trace, err)
	}
	if it.Envelope.Client.Listener != "submit" {
		t.Errorf("%+v", it.Envelope.Client)
	}
}
