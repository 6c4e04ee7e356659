package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACMEOptions describe how certificates are ordered. Hosts and Cache are
// required.
type ACMEOptions struct {
	Hosts []string // the first is for clients that name no host
	Email string
	// Directory is the server's URL; "" is Let's Encrypt.
	Directory string
	// Authorities is a PEM file with who signed the server's own certificate; "" is
	// the system's.
	Authorities string
	Cache       string // directory for account key and certificates
	// HTTP answers HTTP-01 challenges in place of TLS-ALPN-01 (RFC 8737).
	HTTP bool
}

// ACME orders certificates and renews them. A connection never waits for an
// order: until there is a certificate for a host none is shown. Its methods are
// safe for concurrent use; a nil *ACME has nothing.
type ACME struct {
	o       ACMEOptions
	store   *Store
	manager *autocert.Manager
	retry   time.Duration // after the first failure; doubles

	mu    sync.RWMutex
	ready map[string]*tls.Certificate
}

// NewACME makes an ACME that reports to s.
func NewACME(o ACMEOptions, s *Store) (*ACME, error) {
	if len(o.Hosts) == 0 || o.Cache == "" {
		return nil, errors.New("certs: ACME without hosts or without a directory")
	}
	if err := os.MkdirAll(o.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	client := &acme.Client{DirectoryURL: o.Directory, UserAgent: "mtad"}
	if o.Authorities != "" {
		pem, err := os.ReadFile(o.Authorities)
		if err != nil {
			return nil, fmt.Errorf("certs: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certs: %s: no certificate in it", o.Authorities)
		}
		client.HTTPClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots}, // #nosec G402 -- a client of the standard library's defaults
		}}
	}
	return &ACME{
		o: o, store: s, ready: map[string]*tls.Certificate{}, retry: time.Minute,
		manager: &autocert.Manager{
			Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(o.Cache), Email: o.Email,
			HostPolicy: autocert.HostWhitelist(o.Hosts...), Client: client,
		},
	}, nil
}

// get is the certificate for a connection. With orDefault a client that names no
// host of ours gets that of the first.
func (a *ACME) get(h *tls.ClientHelloInfo, orDefault bool) *tls.Certificate {
	if a == nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(h.ServerName, "."))
	if !slices.Contains(a.o.Hosts, name) {
		if !orDefault {
			return nil
		}
		name = a.o.Hosts[0]
	}
	a.mu.RLock()
	known := a.ready[name] != nil
	a.mu.RUnlock()
	if !known {
		return nil
	}
	cert, err := a.manager.GetCertificate(hello(name)) // in memory: renewed in the background
	if err != nil {
		return nil
	}
	return cert
}

// hello asks the manager for a certificate with an ECDSA key.
func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: name, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
}

// Ready says whether there is a certificate for every host.
func (a *ACME) Ready() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.ready) == len(a.o.Hosts)
}

// Serve answers challenges on l until ctx ends, and orders what is missing.
func (a *ACME) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: http.NotFoundHandler(), ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	if a.o.HTTP {
		// The library tries TLS-ALPN-01 first all the same, which fails, and then this.
		srv.Handler = withoutPort(a.manager.HTTPHandler(srv.Handler))
	} else {
		// Only the challenge's protocol is spoken: what else comes here ends with the
		// handshake.
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{acme.ALPNProto}, GetCertificate: a.challenge,
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	var wg sync.WaitGroup
	for _, host := range a.o.Hosts {
		wg.Go(func() { a.maintain(ctx, host) })
	}
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-ended:
	}
	srv.Close()
	wg.Wait()
	return err
}

// withoutPort takes the port off the host that is asked for: the library looks
// for the bare name.
func withoutPort(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}

// challenge shows certificates of challenges alone.
func (a *ACME) challenge(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Contains(h.SupportedProtos, acme.ALPNProto) {
		return nil, errNone
	}
	return a.manager.GetCertificate(h)
}

// Bounds of maintain.
const (
	maxRetry  = time.Hour
	lookAgain = time.Hour
)

// maintain orders the certificate of a host, and has a look at it now and then:
// the manager renews it by itself.
func (a *ACME) maintain(ctx context.Context, host string) {
	wait := a.retry
	for {
		cert, err := a.manager.GetCertificate(hello(host))
		next := lookAgain
		if err != nil {
			a.store.failed.Inc()
			a.store.log.Error("certificate cannot be ordered", "host", host, "error", err, "retry_in", wait)
			next, wait = wait, min(2*wait, maxRetry)
		} else {
			a.adopt(host, cert)
			wait = a.retry
		}
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (a *ACME) adopt(host string, cert *tls.Certificate) {
	a.mu.Lock()
	was := a.ready[host]
	a.ready[host] = cert
	a.mu.Unlock()
	a.store.note(host, cert)
	if was == nil || was.Leaf != nil && cert.Leaf != nil && !was.Leaf.Equal(cert.Leaf) {
		a.store.log.Info("certificate of the ACME server in use", "host", host, "not_after", cert.Leaf.NotAfter)
	}
}
