package rspamdfilter

import (
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/internal/filter/scannertest"
)

func newFilter(t testing.TB, o Options) *Filter {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// settings make rspamd answer any action, by the name of the settings.
const settings = `
s_quarantine { id = "quarantine"; apply { actions { quarantine = -100; } } }
s_discard { id = "discard"; apply { actions { discard = -100; } } }
s_grey { id = "grey"; apply { actions { greylist = -100; } } }
s_mark { id = "mark"; apply { actions { "add header" = -100; } } }
s_subject { id = "subject"; apply { actions { "rewrite subject" = -100; } subject = "[spam] %s"; } }
`

// rules change a message as its X-Do field says.
const rules = `
rspamd_config:register_symbol({name = 'MTAD_TEST', type = 'postfilter', callback = function(task)
  local todo = task:get_header('X-Do')
  if todo == 'soft' then
    task:set_pre_result('soft reject', 'come back later')
  elseif todo == 'headers' then
    task:set_milter_reply({
      remove_headers = {['X-Gone'] = 0, ['X-Last'] = -1},
      add_headers = {['X-Top'] = {value = 'top', order = 1}, ['X-End'] = {value = 'end'}},
      change_from = 'new@example.org', add_rcpt = {'added@example.net'}, del_rcpt = {'rcpt@example.net'},
    })
  elseif todo == 'body' then
    task:set_message('Subject: other\r\nX-New: 1\r\n\r\nrewritten\r\n')
  end
end})
`

func TestRspamdActions(t *testing.T) {
	r := scannertest.StartRspamd(t, "", [2]string{"local.d/settings.conf", settings}, [2]string{"rspamd.local.lua", rules})
	for _, tt := range []struct {
		settings string
		message  string
		want     func(o scannertest.Outcome) bool
	}{
		{"", "X-Spamd-Bar: forged\r\nX-Rspamd-Made-Up: forged\r\n" + scannertest.Ham(), func(o scannertest.Outcome) bool {
			return o.Content != "" && !strings.Contains(o.Content, "forged") && strings.HasSuffix(o.Content, "\r\n\r\nan ordinary message\r\n")
		}},
		{"", scannertest.Spam(), func(o scannertest.Outcome) bool {
			return o.Verdict.Disposition == filterproto.Reject && o.Verdict.Reply.Text == "Gtube pattern"
		}},
		{"quarantine", scannertest.Ham(), func(o scannertest.Outcome) bool { return o.Item.Hold != nil }},
		{"discard", scannertest.Ham(), func(o scannertest.Outcome) bool { return o.Verdict.Disposition == filterproto.Discard }},
		{"", "X-Do: soft\r\n" + scannertest.Ham(), func(o scannertest.Outcome) bool {
			return o.Verdict.Disposition == filterproto.Defer && o.Verdict.Reply.Code == 451 && o.Verdict.Reply.Text == "come back later"
		}},
		{"grey", scannertest.Ham(), func(o scannertest.Outcome) bool { return o.Verdict.Disposition == filterproto.Accept }},
		{"mark", "X-Spam: No\r\n" + scannertest.Ham(), func(o scannertest.Outcome) bool {
			return strings.Count(o.Content, "X-Spam: ") == 1 && strings.Contains(o.Content, "X-Spam: Yes\r\n")
		}},
		{"subject", scannertest.Ham(), func(o scannertest.Outcome) bool {
			return strings.Contains(o.Content, "\r\nSubject: [spam] test\r\n") || strings.Contains(o.Content, "\r\nSubject: ***SPAM*** test\r\n")
		}},
		{"", "X-Do: headers\r\nX-Gone: 1\r\nX-Last: 1\r\nX-Gone: 2\r\nX-Last: 2\r\n" + scannertest.Ham(), func(o scannertest.Outcome) bool {
			head, _, _ := strings.Cut(o.Content, "\r\n\r\n")
			return strings.Contains(head, "X-Top: top\r\nX-Do: headers\r\n") && strings.Contains(head+"\r\n", "\r\nX-End: end\r\n") && !strings.Contains(head, "X-Gone") &&
				strings.Contains(head, "X-Last: 1") && !strings.Contains(head, "X-Last: 2") &&
				o.Item.Envelope.ReversePath == "new@example.org" && o.Item.Envelope.Recipients[1].Path == "added@example.net"
		}},
		{"", "X-Do: body\r\n" + scannertest.Ham(), func(o scannertest.Outcome) bool {
			return strings.Contains(o.Content, "X-Do: body\r\n") && !strings.Contains(o.Content, "X-New") && strings.HasSuffix(o.Content, "\r\n\r\nrewritten\r\n")
		}},
		{"", "", func(o scannertest.Outcome) bool { return o.Verdict.Disposition == filterproto.Accept }},
	} {
		f := newFilter(t, Options{Address: r.Addr, SettingsID: tt.settings, SpamField: "X-Spam", Hostname: "mx.test"})
		if o := scannertest.Try(t, f, tt.message, scannertest.Setup{}); o.Err != nil || !tt.want(o) {
			t.Errorf("%s %.20q: %v, %s, %+v\n%q", tt.settings, tt.message, o.Err, o.Verdict.Disposition, o.Verdict.Reply, o.Content)
		}
	}
}
