package rspamdfilter

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mtad/internal/filter/scanner"
	"mtad/queue"
)

// idleTime is how long a connection waits for the next message.
const idleTime = 10 * time.Second

// newTransport speaks HTTP/1.1 to one address and nobody else.
func newTransport(a scanner.Address, concurrency int) *http.Transport {
	return &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return a.Dial(ctx) },
		DisableCompression:     true,
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// header are the request's header fields: the envelope and all that is known of
// the client.
func (f *Filter) header(it queue.Item) http.Header {
	h := http.Header{}
	set := func(name, value string) {
		if value != "" {
			h.Set(name, clean(value))
		}
	}
	env, c := it.Envelope, it.Envelope.Client
	h.Set("From", "<"+clean(env.ReversePath)+">")
	for _, r := range env.Recipients {
		if r.Status == queue.Pending {
			h.Add("Rcpt", clean(r.Path))
		}
	}
	set("IP", c.Address)
	set("Helo", c.Helo)
	if c.Name != "unknown" {
		set("Hostname", c.Name)
	}
	set("User", c.SASLUser)
	set("TLS-Version", c.TLSProtocol)
	set("TLS-Cipher", c.TLSCipher)
	set("TLS-Cert-Issuer", c.CertIssuer)
	set("Queue-Id", string(it.ID))
	set("MTA-Name", f.o.Hostname)
	set("MTA-Tag", f.o.MTATag)
	set("Settings-ID", f.o.SettingsID)
	set("Password", f.o.Password)
	h.Set("Flags", "milter,body_block")
	parameters(h, env)
	return h
}

// parameters are the SMTP parameters, for rspamd 3.14 and later.
func parameters(h http.Header, env queue.Envelope) {
	add := func(name, prefix, key, value string) {
		if value != "" {
			h.Add(name, prefix+key+"="+clean(value))
		}
	}
	const mail, rcpt = "X-Rspamd-Mail-Esmtp-Args", "X-Rspamd-Rcpt-Esmtp-Args"
	add(mail, "", "RET", env.Return)
	add(mail, "", "ENVID", env.EnvID)
	add(mail, "", "BODY", string(env.Body))
	n := 0
	for _, r := range env.Recipients {
		if r.Status != queue.Pending {
			continue
		}
		prefix := strconv.Itoa(n) + ":"
		add(rcpt, prefix, "NOTIFY", notify(r.Notify))
		add(rcpt, prefix, "ORCPT", r.ORCPT)
		n++
	}
}

// notify is a NOTIFY parameter (RFC 3461 §4.1).
func notify(n queue.Notify) string {
	var words []string
	for _, w := range []struct {
		bit  queue.Notify
		word string
	}{{queue.NotifyNever, "NEVER"}, {queue.NotifySuccess, "SUCCESS"}, {queue.NotifyFailure, "FAILURE"}, {queue.NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// clean keeps what a client said within one line of the request.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
