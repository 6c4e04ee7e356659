package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mtad/api"
	"mtad/filterproto"
)

// defaultServer is where mtad listens for its operators unless told otherwise: the
// api.sock of the user's own mtad, of the one that systemd runs (deploy/systemd), or
// of root's; the first that is there.
func (t *tool) defaultServer() string {
	dirs := t.stateDirs()
	for _, dir := range dirs {
		socket := filepath.Join(dir, "api.sock")
		if st, err := os.Stat(socket); err == nil && st.Mode()&os.ModeSocket != 0 {
			return "unix:" + socket
		}
	}
	return "unix:" + filepath.Join(dirs[len(dirs)-1], "api.sock")
}

// stateDirs are the directories that an mtad of this machine may have.
func (t *tool) stateDirs() []string {
	var dirs []string
	if dir := t.getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "mtad"))
	} else if home := t.getenv("HOME"); filepath.IsAbs(home) {
		dirs = append(dirs, filepath.Join(home, ".local", "state", "mtad"))
	}
	return append(dirs, systemDirs...)
}

// systemDirs may hold the socket of an mtad that is nobody's own.
var systemDirs = []string{"/run/mtad", "/var/lib/mtad", "/var/spool/mtad"}

// Bounds of what is read from files and answers.
const (
	maxToken    = 4 << 10
	maxCA       = 1 << 20
	maxPatience = 15 * time.Minute // filters that judge inline have 9 at the most
	maxAnswer   = 256 << 20        // one JSON answer: a page of 1000 messages is far below
)

// dial makes a client for the server that flags and environment name. It
// connects to nothing yet.
func dial(t *tool) (*api.ClientWithResponses, error) {
	base, tr, err := t.transport(t.serverURL())
	if err != nil {
		return nil, err
	}
	token, err := t.token()
	if err != nil {
		return nil, err
	}
	hc := &http.Client{
		Transport: &bounded{next: tr, timeout: t.timeout},
		// The token is for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	opts := []api.ClientOption{api.WithHTTPClient(hc)}
	if token != "" {
		opts = append(opts, api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	}
	return api.NewClientWithResponses(base, opts...)
}

// serverURL is where mtad is: as the flag says, or the environment, or the default.
func (t *tool) serverURL() string {
	if t.server != "" {
		return t.server
	}
	if server := t.getenv("MTACTL_SERVER"); server != "" {
		return server
	}
	return t.defaultServer()
}

// filterClient makes a client of the filter protocol for the same server, with the
// same token. It connects to nothing yet.
func (t *tool) filterClient() (*filterproto.Client, error) {
	server := t.serverURL()
	_, tr, err := t.transport(server) // checks the flags
	if err != nil {
		return nil, err
	}
	token, err := t.token()
	if err != nil {
		return nil, err
	}
	return filterproto.NewClient(filterproto.ClientOptions{URL: server, Token: token, TLS: tr.TLSClientConfig, Timeout: t.timeout})
}

func (t *tool) transport(server string) (base string, tr *http.Transport, err error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	tr = &http.Transport{DisableCompression: true, DialContext: dialer.DialContext, ResponseHeaderTimeout: t.timeout}
	if t.patient {
		tr.ResponseHeaderTimeout, tr.ExpectContinueTimeout = maxPatience, t.timeout
	}
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		if t.caFile != "" {
			return "", nil, usage("--ca-file is for https")
		}
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
		}
		return "http://localhost", tr, nil
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", nil, usage("--server %q: want unix:/path, http://host:port or https://host:port", server)
	}
	if t.caFile != "" {
		if tr.TLSClientConfig, err = trust(t.caFile); err != nil {
			return "", nil, err
		}
	}
	return strings.TrimSuffix(server, "/"), tr, nil
}

func trust(file string) (*tls.Config, error) {
	pem, err := readFile(file, maxCA)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usage("%s: no certificate", file)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// token is the bearer token: of the file, or of the environment.
func (t *tool) token() (string, error) {
	text := t.getenv("MTACTL_TOKEN")
	if t.tokenFile != "" {
		b, err := readFile(t.tokenFile, maxToken)
		if err != nil {
			return "", err
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usage("the token holds white space or control characters")
	}
	return text, nil
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usage("%v", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, usage("%v", err)
	}
	if int64(len(b)) > limit {
		return nil, usage("%s: more than %d octets", name, limit)
	}
	return b, nil
}

// bounded gives every answer but content a time limit and a bound in octets: a
// server that is not mtad must not fill the memory.
type bounded struct {
	next    http.RoundTripper
	timeout time.Duration
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/content") || strings.HasSuffix(r.URL.Path, "/v1/events") || r.Method == http.MethodPost && r.URL.Path == "/v1/messages" {
		return b.next.RoundTrip(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), b.timeout)
	res, err := b.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	res.Body = &answer{ReadCloser: res.Body, left: maxAnswer, cancel: cancel}
	return res, nil
}

type answer struct {
	io.ReadCloser
	left   int64
	cancel context.CancelFunc
}

func (a *answer) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errors.New("the answer is too large")
	}
	n, err := a.ReadCloser.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}

func (a *answer) Close() error {
	defer a.cancel()
	return a.ReadCloser.Close()
}
