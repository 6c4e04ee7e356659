package filterproto

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ClientOptions say where mtad is. URL is enough on a unix socket that lets the
// process in.
type ClientOptions struct {
	// URL is "http://host:port", "https://host:port", or "unix:/path/of/socket".
	URL   string
	Token string // bearer token, if one is needed
	TLS   *tls.Config
	// Timeout bounds requests that neither wait nor stream (default 1 min), and the
	// time to an answer of the others beyond their wait.
	Timeout time.Duration
}

// Client speaks the filter protocol. It is safe for concurrent use. Errors of the
// server are *Error; match them by code with errors.Is(err, &Error{Code: …}).
type Client struct {
	base    string
	token   string
	timeout time.Duration
	http    *http.Client
}

// NewClient makes a Client. It connects to nothing yet.
func NewClient(o ClientOptions) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	tr := &http.Transport{
		TLSClientConfig:     o.TLS,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     time.Minute, // below the server's, so that it is not the one to hang up
		DisableCompression:  true,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	base := strings.TrimSuffix(o.URL, "/")
	if path, ok := strings.CutPrefix(o.URL, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		base = "http://localhost"
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
	} else {
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("filterproto: URL %q is none of http://HOST, https://HOST and unix:PATH", o.URL)
		}
		tr.DialContext = dialer.DialContext
	}
	return &Client{
		base: base, token: o.Token, timeout: o.Timeout,
		// No redirects: the token is for this server.
		http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Received is a claim as it arrived. Fail says why its content could not be sent
// along; the lease is good all the same.
type Received struct {
	Claim
	Fail *Error
}

// Claim claims messages for a filter, with content when r asks for it. An answer
// that breaks off midway is an error, and the server takes its claims back.
func (c *Client) Claim(ctx context.Context, filter string, r ClaimRequest) ([]Received, error) {
	wait := time.Duration(r.Wait * float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, wait+5*c.timeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	res, err := c.do(ctx, http.MethodPost, "/v1/filters/"+url.PathEscape(filter)+"/claims", "application/json", MediaFrames, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer drain(res.Body)
	bound := r.InlineMax
	if bound <= 0 {
		bound = maxInline
	}
	cr := NewClaimReader(res.Body, bound+maxTrace)
	var out []Received
	for {
		claim, fail, err := cr.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("filterproto: claims: %w", err)
		}
		if out = append(out, Received{claim, fail}); len(out) > MaxBatch {
			return nil, fmt.Errorf("%w: more than %d claims", ErrFrame, MaxBatch)
		}
	}
}

const (
	maxInline = 8 << 20  // what the server sends at the most
	maxTrace  = 64 << 10 // of trace fields in front of it
	maxAnswer = 64 << 20 // octets of a JSON answer
)

// Content reads a claimed message's content from offset on. The caller closes it.
// A reader that ends early gives io.ErrUnexpectedEOF.
func (c *Client) Content(ctx context.Context, token string, trace bool, offset int64) (io.ReadCloser, error) {
	path := "/v1/claims/" + url.PathEscape(token) + "/content?trace=" + strconv.FormatBool(trace) + "&offset=" + strconv.FormatInt(offset, 10)
	res, err := c.do(ctx, http.MethodGet, path, "", "message/rfc822", nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Upload stores octets for an Edit.Upload of the verdict on this claim.
func (c *Client) Upload(ctx context.Context, token string, r io.Reader) (u Upload, err error) {
	res, err := c.do(ctx, http.MethodPost, "/v1/claims/"+url.PathEscape(token)+"/uploads", "application/octet-stream", "application/json", r)
	if err != nil {
		return u, err
	}
	return u, decode(res, &u)
}

// Renew lets leases run for lease from now; results are in the order of tokens.
func (c *Client) Renew(ctx context.Context, tokens []string, lease time.Duration) ([]Result, error) {
	return c.batch(ctx, "/v1/claims/renew", len(tokens), RenewRequest{Tokens: tokens, Lease: lease.Seconds()})
}

// Release gives messages back without a verdict, not to be offered again for
// delay. lost counts it as a lease that ran out.
func (c *Client) Release(ctx context.Context, tokens []string, delay time.Duration, lost bool) ([]Result, error) {
	return c.batch(ctx, "/v1/claims/release", len(tokens), ReleaseRequest{Tokens: tokens, Delay: delay.Seconds(), Lost: lost})
}

// Verdicts judges messages. A result that is OK is durable. After an error of the
// whole request, repeat it: with the same nonces nothing happens twice.
func (c *Client) Verdicts(ctx context.Context, entries []VerdictEntry) ([]Result, error) {
	return c.batch(ctx, "/v1/claims/verdicts", len(entries), VerdictRequest{Verdicts: entries})
}

func (c *Client) batch(ctx context.Context, path string, n int, body any) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	res, err := c.do(ctx, http.MethodPost, path, "application/json", "application/json", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var out Results
	if err := decode(res, &out); err != nil {
		return nil, err
	}
	if len(out.Results) != n {
		return nil, fmt.Errorf("filterproto: %s: %d results for %d entries", path, len(out.Results), n)
	}
	return out.Results, nil
}

// do sends a request; an answer that is not 2xx becomes an *Error.
func (c *Client) do(ctx context.Context, method, path, contentType, accept string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", accept)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("filterproto: %w", err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer drain(res.Body)
	return nil, errorOf(res)
}

func errorOf(res *http.Response) error {
	e := &Error{}
	b, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if json.Unmarshal(b, e) != nil || e.Code == "" {
		*e = Error{Code: CodeInternal, Message: "HTTP " + res.Status}
	}
	e.Status = res.StatusCode
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && e.RetryAfter == 0 {
		e.RetryAfter = n
	}
	return e
}

func decode(res *http.Response, v any) error {
	defer drain(res.Body)
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("filterproto: answer: %w", err)
	}
	return nil
}

// drain reads a little of what is left, so that the connection can be used again.
func drain(r io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, r, 4<<10)
	_ = r.Close()
}
