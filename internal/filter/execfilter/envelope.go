package execfilter

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"mtad/queue"
)

// writeEnvelope writes the attributes of the submission format, one "name: value"
// a line, and the empty line that ends them. Recipients are the pending ones, in
// the order of the envelope. A value with control characters, which no door lets
// in, is left out: a line is what it seems to be.
func writeEnvelope(w io.Writer, it queue.Item) error {
	b := &block{w: w}
	c := it.Envelope.Client
	b.attr("protocol_name", c.Protocol)
	b.attr("helo_name", c.Helo)
	b.attr("client_name", c.Name)
	b.attr("client_address", bracketed(c.Address))
	b.number("client_port", int64(c.Port))
	b.attr("sasl_method", c.SASLMethod)
	b.attr("sasl_username", c.SASLUser)
	b.attr("sasl_sender", c.SASLSender)
	b.number("size", it.Size())
	b.attr("ccert_subject", c.CertSubject)
	b.attr("ccert_issuer", c.CertIssuer)
	b.attr("ccert_fingerprint", c.CertFinger)
	b.attr("encryption_protocol", c.TLSProtocol)
	b.attr("encryption_cipher", c.TLSCipher)
	b.number("encryption_keysize", int64(c.TLSKeySize))
	b.attr("sender", path(it.Envelope.ReversePath))
	b.attr("dsn-envelope-id", it.Envelope.EnvID)
	b.attr("dsn-return-option", returnOption(it.Envelope.Return))
	for _, r := range it.Envelope.Recipients {
		if r.Status == queue.Pending {
			b.attr("recipient", r.Path)
			b.attr("dsn-notify-options", notify(r.Notify))
			b.attr("dsn-orig-rcpt", r.ORCPT)
		}
	}
	b.line("")
	return b.err
}

// block writes lines until one fails.
type block struct {
	w   io.Writer
	err error
}

func (b *block) line(s string) {
	if b.err == nil {
		_, b.err = io.WriteString(b.w, s+"\n")
	}
}

func (b *block) attr(name, value string) {
	if value != "" && !strings.ContainsFunc(value, isControl) {
		b.line(name + ": " + value)
	}
}

func (b *block) number(name string, n int64) {
	if n > 0 {
		b.line(name + ": " + strconv.FormatInt(n, 10))
	}
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 }

// path is "<>" for the null reverse-path.
func path(p string) string {
	if p == "" {
		return "<>"
	}
	return p
}

// bracketed is "[192.0.2.1]" or "[ipv6:2001:db8::1]"; "" when it is no address.
func bracketed(address string) string {
	a, err := netip.ParseAddr(address)
	switch {
	case err != nil:
		return ""
	case a.Is4():
		return fmt.Sprintf("[%s]", a)
	}
	return fmt.Sprintf("[ipv6:%s]", a)
}

func returnOption(ret string) string {
	switch ret {
	case "FULL":
		return "full"
	case "HDRS":
		return "headers"
	}
	return ""
}

func notify(n queue.Notify) string {
	if n&queue.NotifyNever != 0 {
		return "never"
	}
	var list []string
	for _, m := range []struct {
		bit  queue.Notify
		name string
	}{{queue.NotifyFailure, "fail"}, {queue.NotifyDelay, "delay"}, {queue.NotifySuccess, "success"}} {
		if n&m.bit != 0 {
			list = append(list, m.name)
		}
	}
	return strings.Join(list, ",")
}
