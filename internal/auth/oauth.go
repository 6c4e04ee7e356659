package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// OAuthOptions describe who is asked about access tokens (RFC 7662).
type OAuthOptions struct {
	// Introspection is an https: URL, or an http: URL of this machine.
	Introspection string
	// Client and Secret say there who we are (RFC 6749 §2.3.1); "" does not.
	Client, Secret string
	// Authorities are PEM certificates that the server is verified with; nil are
	// those of the system.
	Authorities []byte
	// Claim is the member of the answer that is the login: "username".
	Claim string
	// Scopes are those that a token must have, all of them.
	Scopes []string
	// Audience is what the token must be for; "" does not look.
	Audience string
	// Discovery is a URL that clients without a good token are told.
	Discovery string
	// Realm is put behind a login without "@".
	Realm string
	// Timeout is for the whole question, with the wait for a connection: 5 s.
	Timeout time.Duration
	Now     func() time.Time // time.Now
}

// Bounds of an answer, in octets, and how many questions there are at a time.
const (
	maxIntrospection = 64 << 10
	maxAsking        = 16
)

// OAuth takes access tokens, and asks about each of them: nothing is kept. Its
// methods are safe for concurrent use.
type OAuth struct {
	o    OAuthOptions
	http *http.Client
}

// NewOAuth makes one; the server need not run yet.
func NewOAuth(o OAuthOptions) (*OAuth, error) {
	u, err := url.Parse(o.Introspection)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("auth: oauth: the URL of introspection cannot be used")
	}
	o.Timeout = positive(o.Timeout, 5*time.Second)
	if o.Claim == "" {
		o.Claim = "username"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.Authorities) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(o.Authorities) {
			return nil, errors.New("auth: oauth: no certificate among the authorities")
		}
	}
	d := &net.Dialer{}
	if u.Scheme == "http" {
		d.Control = loopbackOnly
	}
	return &OAuth{o: o, http: &http.Client{
		// No Proxy: the environment does not decide who sees tokens.
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSClientConfig: conf, DisableCompression: true, MaxResponseHeaderBytes: maxIntrospection,
			MaxConnsPerHost: maxAsking, MaxIdleConnsPerHost: maxAsking, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// loopbackOnly keeps tokens in clear text on this machine, whatever a name means.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().Unmap().IsLoopback() {
		return errors.New("not this machine, and no TLS")
	}
	return nil
}

// Login is the login that a token is for. The error is ErrRefused where the
// server said so, or what it said does not suffice; every other is transient.
func (a *OAuth) Login(ctx context.Context, token string) (string, error) {
	claims, err := a.ask(ctx, token)
	if err != nil {
		return "", fmt.Errorf("auth: oauth: %w", err)
	}
	return a.judge(claims)
}

// ask sends the token. Errors do not show it: it is in the body.
func (a *OAuth) ask(ctx context.Context, token string) (claims, error) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	body := url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.o.Introspection, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "mtad")
	if a.o.Client != "" {
		req.SetBasicAuth(url.QueryEscape(a.o.Client), url.QueryEscape(a.o.Secret))
	}
	resp, err := a.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("introspection answered %d", resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("introspection did not answer in JSON")
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxIntrospection+1))
	if err == nil && len(b) > maxIntrospection {
		err = fmt.Errorf("introspection answered more than %d octets", maxIntrospection)
	}
	if err != nil {
		return nil, err
	}
	return parseClaims(b)
}

// claims are the members of an answer (RFC 7662 §2.2).
type claims map[string]json.RawMessage

func parseClaims(b []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(b, &c); err != nil || c == nil {
		return nil, errors.New("introspection did not answer with a JSON object")
	}
	if _, ok := claim[bool](c, "active"); !ok {
		return nil, errors.New(`introspection did not say whether the token is "active"`)
	}
	return c, nil
}

// claim is a member, if it is there and of that type.
func claim[T any](c claims, name string) (v T, ok bool) {
	raw, there := c[name]
	if !there || string(raw) == "null" {
		return v, false
	}
	return v, json.Unmarshal(raw, &v) == nil
}

// judge finds the login of a token, or why it has none.
func (a *OAuth) judge(c claims) (string, error) {
	active, _ := claim[bool](c, "active")
	switch {
	case !active:
		return "", &refusal{reason: "the token is not active"}
	case !a.fresh(c):
		return "", &refusal{reason: "the token has expired"}
	case !a.scoped(c):
		return "", &refusal{reason: "the token lacks a scope", scope: true}
	case !a.meant(c):
		return "", &refusal{reason: "the token is for another audience"}
	}
	text, ok := claim[string](c, a.o.Claim)
	login := a.name(text)
	if !ok || !ValidLogin(login) || !utf8.ValidString(login) {
		return "", &refusal{reason: "the token has no login"}
	}
	return login, nil
}

// fresh looks at exp, in seconds since 1970 (RFC 7519 §4.1.4); one that is no
// number is none that has a future.
func (a *OAuth) fresh(c claims) bool {
	if _, there := c["exp"]; !there {
		return true
	}
	exp, ok := claim[float64](c, "exp")
	return ok && float64(a.o.Now().Unix()) < exp
}

func (a *OAuth) scoped(c claims) bool {
	text, _ := claim[string](c, "scope")
	have := strings.Fields(text)
	return !slices.ContainsFunc(a.o.Scopes, func(s string) bool { return !slices.Contains(have, s) })
}

// meant looks at aud, a string or a list of them (RFC 7519 §4.1.3).
func (a *OAuth) meant(c claims) bool {
	if a.o.Audience == "" {
		return true
	}
	if one, ok := claim[string](c, "aud"); ok {
		return one == a.o.Audience
	}
	all, _ := claim[[]string](c, "aud")
	return slices.Contains(all, a.o.Audience)
}

// name is the form in which logins of tokens are compared.
func (a *OAuth) name(s string) string {
	s = Fold(s)
	if s != "" && a.o.Realm != "" && !strings.Contains(s, "@") {
		s += "@" + a.o.Realm
	}
	return s
}
