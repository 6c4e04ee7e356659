package rspamdfilter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"mtad/filterproto"
	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

// Options configure a Filter. Address is required; the zero value of everything
// else works.
type Options struct {
	// Address is "unix:/path" or "host:port" of a normal worker.
	Address string
	// Reject is what the action "reject" is turned into. Default scanner.Reject.
	Reject scanner.Policy
	// SpamField is set to "Yes" by the action "add header"; fields of this name that
	// came with a message are removed. "" does neither.
	SpamField string
	// Password, SettingsID, MTATag and Hostname go into request headers.
	Password, SettingsID, MTATag, Hostname string
	// Concurrency is how many connections are kept. Default 10.
	Concurrency int
}

// Filter is a filter.Kind. Its memory is an answer (bounded) for each scan under
// way; the message and a rewritten body are streamed.
type Filter struct {
	o Options
	t *http.Transport
}

// New makes a Filter. It connects to nothing yet.
func New(o Options) (*Filter, error) {
	a, err := scanner.ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Reject == "" {
		o.Reject = scanner.Reject
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 10
	}
	return &Filter{o: o, t: newTransport(a, o.Concurrency)}, nil
}

// Close ends the connections that are kept for the next message.
func (f *Filter) Close() error {
	f.t.CloseIdleConnections()
	return nil
}

// Scan shows the message to rspamd.
func (f *Filter) Scan(ctx context.Context, m filter.Message) (filterproto.Verdict, error) {
	content, err := m.Open(ctx, m.Item.Size() == 0)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	defer content.Close()
	size := content.Size()
	if size == 0 {
		return filterproto.Verdict{}, scanner.Protocol("rspamd cannot judge a message without an octet")
	}
	forged := &scanner.Forged{Prefixes: []string{"x-spam-", "x-spamd-", "x-rspamd-"}}
	body := scanner.NewBody(io.TeeReader(content, forged), size)
	resp, err := f.post(ctx, m, body, size)
	sent, own := body.Stop()
	if err == nil {
		defer resp.Body.Close()
	}
	switch {
	case own != nil:
		return filterproto.Verdict{}, own
	case err != nil:
		return filterproto.Verdict{}, scanner.Fault(ctx, "rspamd", err)
	}
	if err := checkStatus(resp); err != nil {
		return filterproto.Verdict{}, err
	}
	if sent != size {
		return filterproto.Verdict{}, scanner.Protocol("rspamd answered after %d octets of %d", sent, size)
	}
	v, err := f.verdict(ctx, m, resp, forged)
	if err != nil {
		return filterproto.Verdict{}, scanner.Fault(ctx, "rspamd", err)
	}
	return v, nil
}

// checkStatus takes 200 and nothing else.
func checkStatus(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	err := fmt.Errorf("rspamd answers HTTP %d: %s", resp.StatusCode, scanner.Quote(text))
	if resp.StatusCode == http.StatusRequestEntityTooLarge {
		return &filter.Failure{Class: filter.OverSize, Err: err}
	}
	return &filter.Failure{Class: filter.Protocol, Err: err}
}

func (f *Filter) post(ctx context.Context, m filter.Message, body io.ReadCloser, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rspamd/checkv2", body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.Header = f.header(m.Item)
	return scanner.RoundTrip(f.t, req)
}

func (f *Filter) verdict(ctx context.Context, m filter.Message, resp *http.Response, forged *scanner.Forged) (filterproto.Verdict, error) {
	text, rest, err := split(resp)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	a, err := parseAnswer(text)
	if err != nil {
		return filterproto.Verdict{}, err
	}
	e := &edits{f: f, m: m, forged: forged}
	if err := e.all(ctx, a); err != nil {
		return filterproto.Verdict{}, err
	}
	if rest != nil {
		if err := e.body(ctx, rest); err != nil {
			return filterproto.Verdict{}, err
		}
	}
	return f.decide(a, e.list)
}

// split reads the JSON; rest is the rewritten body behind it, nil when there is
// none.
func split(resp *http.Response) (text []byte, rest io.Reader, err error) {
	r := bufio.NewReader(resp.Body)
	offset := resp.Header.Get("Message-Offset")
	if offset == "" {
		text, err = io.ReadAll(io.LimitReader(r, maxAnswer+1))
		if len(text) > maxAnswer {
			err = scanner.Protocol("rspamd's answer is longer than %d octets", maxAnswer)
		}
		return text, nil, err
	}
	n, err := strconv.ParseUint(offset, 10, 31)
	if err != nil || n > maxAnswer {
		return nil, nil, scanner.Protocol("rspamd's Message-Offset is %s", scanner.Quote([]byte(offset)))
	}
	text, err = io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(text) < int(n) {
		err = fmt.Errorf("answer cut short: %w", io.ErrUnexpectedEOF)
	}
	return text, r, err
}
