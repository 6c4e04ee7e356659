package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

const (
	maxAnswer = 64 << 10 // octets read of an answer's body, so that the connection can be kept
	maxFields = 64 << 10 // octets of its header section
	minWait   = time.Second
	maxWait   = time.Hour // of a Retry-After
)

// client sends to one target. It is safe for concurrent use.
type client struct {
	target Target
	http   *http.Client
	now    func() time.Time
}

func newClient(t Target, now func() time.Time) (*client, error) {
	if err := CheckURL(t.URL, t.AllowPlaintext); err != nil {
		return nil, err
	}
	if len(t.Secrets) == 0 {
		return nil, errors.New("webhook: a target wants a secret")
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(t.CA) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("webhook: no certificate in the file of CAs")
		}
	}
	d := &net.Dialer{Timeout: t.Timeout}
	if !t.AllowPrivate {
		d.Control = publicOnly
	}
	c := &client{target: t, now: now}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: t.Timeout,
			DisableCompression: true, MaxResponseHeaderBytes: maxFields, IdleConnTimeout: 30 * time.Second,
			MaxIdleConns: t.Concurrency, MaxIdleConnsPerHost: t.Concurrency, MaxConnsPerHost: t.Concurrency + 1,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// publicOnly is net.Dialer.Control: it sees the address that is connected to.
func publicOnly(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrAddress, address)
	}
	return public(a.Addr())
}

func (c *client) close() { c.http.CloseIdleConnections() }

// result is how an attempt ended.
type result struct {
	status int           // 0: there was no answer
	wait   time.Duration // the target asks for it; 0: it does not
	err    error         // nil: the event was taken
	took   time.Duration
}

// gone: the target wants no more.
func (r *result) gone() bool { return r.status == http.StatusGone }

// send makes one attempt.
func (c *client) send(ctx context.Context, id string, body []byte) (r result) {
	ctx, cancel := context.WithTimeout(ctx, c.target.Timeout)
	defer cancel()
	start := time.Now()
	defer func() { r.took = time.Since(start) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.URL, bytes.NewReader(body))
	if err != nil {
		return result{err: err}
	}
	at := c.now()
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "mtad")
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", Sign(c.target.Secrets, id, at, body))
	resp, err := c.http.Do(req)
	if err != nil {
		return result{err: plain(err)}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	_ = resp.Body.Close()
	r.status = resp.StatusCode
	if r.status >= 200 && r.status < 300 {
		return r
	}
	r.err = fmt.Errorf("answered %d", r.status)
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		r.wait = retryAfter(resp.Header.Get("Retry-After"), at)
	}
	return r
}

// plain takes the URL out of an error: it may hold a secret.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return errors.New("timed out")
		}
		return u.Err
	}
	return err
}

// retryAfter reads RFC 9110 §10.2.3, within bounds; 0 when there is none.
func retryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	} else {
		return 0
	}
	return min(max(d, minWait), maxWait)
}
