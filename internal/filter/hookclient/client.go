package hookclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"mtad/internal/filter"
	"mtad/internal/filter/scanner"
)

const (
	// idleTime is how long a connection waits for the next message.
	idleTime = 10 * time.Second
	// maxFields bounds the header section of an answer, in octets.
	maxFields = 64 << 10
)

// Options configure a Client. URL is required; the zero value of everything else
// works.
type Options struct {
	// URL is an absolute http or https URL without user and fragment.
	URL string
	// Address is connected to in place of the URL's host: "unix:/path" or
	// "host:port".
	Address string
	// Plaintext allows http to hosts other than this one.
	Plaintext bool
	// CA are the certificates (PEM) that https servers are verified with. Default:
	// the system's.
	CA []byte
	// Authorization is the value of that header field; "" sends none.
	Authorization string
	// Concurrency is how many connections are kept. Default 10.
	Concurrency int
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base *url.URL
	auth string
	t    *http.Transport
}

// New makes a Client. It connects to nothing yet.
func New(o Options) (*Client, error) {
	u, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" && o.Address == "" && !o.Plaintext && !Local(u) {
		return nil, fmt.Errorf("hookclient: %s: mail would go to another host in clear text", o.URL)
	}
	a := scanner.Address{Network: "tcp", Addr: hostPort(u)}
	if o.Address != "" {
		if a, err = scanner.ParseAddress(o.Address); err != nil {
			return nil, err
		}
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 10
	}
	c := &Client{base: u, auth: o.Authorization}
	conf := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if len(o.CA) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("hookclient: no certificate in the file of CAs")
		}
	}
	c.t = &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return a.Dial(ctx) },
		DialTLSContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dialTLS(ctx, a, conf) },
		DisableCompression:     true,
		MaxIdleConns:           o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxFields,
		ReadBufferSize:         16 << 10,
		WriteBufferSize:        64 << 10,
	}
	return c, nil
}

// Close ends the connections that are kept for the next message.
func (c *Client) Close() { c.t.CloseIdleConnections() }

// URL is the configured one.
func (c *Client) URL() *url.URL { return c.base }

// Join resolves a reference that the server gave against from. It has to stay at
// the configured scheme, host and port: credentials and mail go nowhere else.
func (c *Client) Join(from *url.URL, ref string) (*url.URL, error) {
	u, err := from.Parse(ref)
	if err != nil || len(ref) > maxURL || u.Scheme != c.base.Scheme || hostPort(u) != hostPort(c.base) || u.User != nil {
		return nil, scanner.Protocol("the server names %s, which is not its own", scanner.Quote([]byte(ref)))
	}
	u.Fragment = ""
	return u, nil
}

const maxURL = 2000 // octets

// ParseURL reads an absolute http or https URL without user and fragment.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("hookclient: %q is not an http or https URL", s)
	}
	return u, nil
}

// Local reports whether a URL's host is this machine.
func Local(u *url.URL) bool {
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return a.IsLoopback()
	}
	return u.Hostname() == "localhost"
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dialTLS connects and shakes hands: a server whose certificate is not good is not
// reached.
func dialTLS(ctx context.Context, a scanner.Address, conf *tls.Config) (net.Conn, error) {
	raw, err := a.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, &filter.Failure{Class: filter.Timeout, Err: err}
		}
		return nil, &filter.Failure{Class: filter.Unreachable, Err: err}
	}
	return c, nil
}
