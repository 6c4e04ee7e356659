package mxlookup

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// udpSize is what we take over UDP without fragments (DNS flag day 2020).
const udpSize = 1232

var errNoAnswer = errors.New("no usable answer")

// ask puts one question to the servers, in order, until one answers.
func (r *Resolver) ask(ctx context.Context, q question) (*dns.Msg, error) {
	err := errNoAnswer
	for range r.o.Rounds {
		for _, server := range r.servers.get(r.o.Now()) {
			m, e := r.askOne(ctx, server, q)
			if e == nil {
				return m, nil
			}
			err = fmt.Errorf("%s %s: %w", server, dns.TypeToString[q.qtype], e)
			if ctx.Err() != nil {
				return nil, err
			}
		}
	}
	return nil, err
}

// askOne asks without EDNS once more where a server does not know it.
func (r *Resolver) askOne(ctx context.Context, server string, q question) (*dns.Msg, error) {
	m, err := r.exchange(ctx, server, q, true)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) {
		m, err = r.exchange(ctx, server, q, false)
	}
	if err != nil {
		return nil, err
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, errors.New(rcodeName(m.Rcode))
	}
	return m, nil
}

func (r *Resolver) exchange(ctx context.Context, server string, q question, edns bool) (*dns.Msg, error) {
	query := new(dns.Msg)
	query.SetQuestion(dns.Fqdn(q.name), q.qtype)
	if edns {
		query.SetEdns0(udpSize, false)
	}
	m, err := r.over(ctx, "udp", server, query)
	if err == nil && m.Truncated {
		m, err = r.over(ctx, "tcp", server, query)
	}
	return m, err
}

func (r *Resolver) over(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	c := &dns.Client{Net: network, Timeout: r.o.Timeout, UDPSize: udpSize}
	m, _, err := c.ExchangeContext(ctx, query, server)
	if err != nil {
		return nil, err
	}
	if !answers(m, query) {
		return nil, errNoAnswer
	}
	return m, nil
}

func rcodeName(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return fmt.Sprintf("rcode %d", code)
}
