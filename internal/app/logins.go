package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"mtad/internal/auth"
	"mtad/internal/config"
	"mtad/internal/msa"
	"mtad/internal/smtp"
	"mtad/internal/smtpd"

	"github.com/prometheus/client_golang/prometheus"
)

// logins are the auth sections in use. Listeners that name the same share one,
// and its count of failures; a reload that does not change it keeps it.
type logins struct {
	log      *slog.Logger
	attempts *prometheus.CounterVec

	mu    sync.Mutex
	known map[string]*login
}

// login is one auth section.
type login struct {
	log     *slog.Logger
	section config.Auth
	key     string // what it was made from
	service *auth.Service
	owners  *msa.Owners
	senders func(ctx context.Context, login string) ([]string, error) // nil: those of owners
}

func (s *logins) wire(log *slog.Logger, reg prometheus.Registerer) {
	s.log, s.known = log, map[string]*login{}
	s.attempts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mtad_auth_attempts_total", Help: "Attempts to log in over SMTP, by section of the configuration, mechanism and outcome.",
	}, []string{"section", "mechanism", "outcome"})
	reg.MustRegister(s.attempts)
}

// find is the section of a name in a configuration; nil for "".
func (s *logins) find(c *config.Config, name string) (*login, error) {
	if name == "" {
		return nil, nil
	}
	section := c.Auth[name]
	key, private, err := keyOf(c, section)
	if err != nil {
		return nil, fmt.Errorf("auth %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.known[name]; l != nil && l.key == key {
		return l, nil
	}
	l, err := s.make(c, name, section, private)
	if err != nil {
		return nil, fmt.Errorf("auth %s: %w", name, err)
	}
	l.key = key
	s.known[name] = l
	return l, nil
}

// keyOf is what a section is made from, with what its files have now.
func keyOf(c *config.Config, section config.Auth) (string, private, error) {
	p, err := privateOf(section)
	return fmt.Sprintf("%+v %q %q %x", section, c.LocalDomains, c.Local.Delimiter, p.sum()), p, err
}

// changed are the sections with files of their own (a DSN, credentials) that are
// not as they were.
func (s *logins) changed(c *config.Config) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for name, l := range s.known {
		section := c.Auth[name]
		if !section.Private() {
			continue
		}
		key, _, err := keyOf(c, section)
		if err != nil {
			return nil, fmt.Errorf("app: auth %s: %w", name, err)
		}
		names[name] = l == nil || l.key != key
	}
	return names, nil
}

// forget is called where sections were made that did not come into use.
func (s *logins) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.known {
		s.known[name] = nil // what listeners use is not known, so it has changed
	}
}

func (s *logins) make(c *config.Config, name string, section config.Auth, private private) (*login, error) {
	backend, err := s.backend(name, section, private)
	if err != nil {
		return nil, err
	}
	var senders func(context.Context, string) ([]string, error)
	if local, ok := backend.(*auth.Local); ok && local.SQL != nil {
		senders = local.SQL.Senders
	}
	owners, err := msa.NewOwners(msa.OwnersOptions{
		Rule:    map[string]msa.Rule{config.SendersListed: msa.Listed, config.SendersAny: msa.Any}[section.Senders],
		Domains: c.LocalDomains, Delimiter: c.Local.Delimiter, File: section.SenderFile,
		Failed: func(err error) {
			s.log.Error("table of senders cannot be read, the old one stays in use", "error", err)
		},
	})
	if err != nil {
		return nil, err
	}
	return &login{log: s.log, section: section, owners: owners, senders: senders, service: &auth.Service{
		Backend: backend, Failures: section.SessionFailures, Logger: s.log,
		Guard: auth.NewGuard(auth.GuardOptions{
			PerAddress: section.AddressFailures, PerLogin: section.LoginFailures,
			Window: section.Window, MaxDelay: section.MaxDelay,
		}),
		Observe: func(mechanism, outcome string) { s.attempts.WithLabelValues(name, mechanism, outcome).Inc() },
	}}, nil
}

func (s *logins) backend(name string, section config.Auth, private private) (auth.Backend, error) {
	if section.Dovecot != "" {
		network, address := "tcp", strings.TrimPrefix(section.Dovecot, "inet:")
		if path, ok := strings.CutPrefix(section.Dovecot, "unix:"); ok {
			network, address = "unix", path
		}
		return auth.NewDovecot(auth.DovecotOptions{Network: network, Address: address, Offer: section.Mechanisms}), nil
	}
	local := &auth.Local{Offer: section.Mechanisms}
	var err error
	if section.PasswordFile != "" {
		if local.File, err = auth.OpenFile(auth.FileOptions{Path: section.PasswordFile, Realm: section.Realm, Logger: s.log}); err != nil {
			return nil, err
		}
	}
	if section.SQL.Driver != "" {
		if local.SQL, err = s.database(name, section, private); err != nil {
			return nil, err
		}
	}
	if section.OAuth.Introspection != "" {
		if local.OAuth, err = oauth(section, private); err != nil {
			return nil, err
		}
	}
	if section.AsksCertificate() {
		local.Certificates, err = auth.LoadCertificates(auth.CertificateOptions{
			Authorities: section.Authorities, Fingerprints: section.Certificates, Logger: s.log,
		})
	}
	return local, err
}

// needTLS is what AUTH gets in the clear (RFC 4954 §6).
var needTLS = smtp.Reply{Code: 538, Enhanced: "5.7.11", Text: "encryption required, issue STARTTLS first"}

// noSenders is what a login gets whose addresses are not known for the moment.
var noSenders = smtp.Reply{Code: 454, Enhanced: "4.7.0", Text: "temporary authentication failure"}

// keywordTime bounds how long a reply to EHLO waits for a backend.
const keywordTime = 5 * time.Second

// serve adds AUTH to a listener: over TLS alone, and mail from nobody without.
func (l *login) serve(o *smtpd.Options) {
	o.RequireTLS, o.RequireAuth = true, true
	p := &o.Policy
	p.Keywords = func(c *smtpd.Conversation) []string {
		if !c.TLS || c.Client.SASLUser != "" {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), keywordTime)
		defer cancel()
		if k := l.service.Keyword(ctx, &l.session(c).Peer); k != "" {
			return []string{k}
		}
		return nil
	}
	p.Auth = l.auth
	p.Assert = func(c *smtpd.Conversation, mailbox string) bool {
		return mailbox == "<>" || l.owners.May(c.Client.SASLUser, mailbox, stateOf(c).senders...)
	}
	gate := p.Mail
	p.Mail = func(ctx context.Context, c *smtpd.Conversation) *smtp.Reply {
		if !l.owners.May(c.Client.SASLUser, c.Envelope.ReversePath, stateOf(c).senders...) {
			o.Logger.Info("sender refused", "listener", o.Name, "client_address", c.Client.Address,
				"login", c.Client.SASLUser, "reverse_path", c.Envelope.ReversePath)
			return notOwner("sender address", c.Envelope.ReversePath, c.Client.SASLUser)
		}
		if gate != nil {
			return gate(ctx, c)
		}
		return nil
	}
}

func notOwner(what, address, user string) *smtp.Reply {
	return &smtp.Reply{Code: 553, Enhanced: "5.7.1", Text: fmt.Sprintf("<%s>: %s rejected: not owned by user %s", address, what, user)}
}

// session is what the service knows of a conversation, as it is now.
func (l *login) session(c *smtpd.Conversation) *auth.Session {
	s := &stateOf(c).auth
	s.Peer = auth.Peer{Listener: c.Client.Listener, Local: c.Local, Leaf: c.Leaf}
	if addr, err := netip.ParseAddr(c.Client.Address); err == nil {
		s.Peer.Addr = addr
	}
	if c.Secure != nil {
		s.Peer.TLS = connectionState(c.Secure)
	}
	return s
}

func connectionState(c *tls.Conn) *tls.ConnectionState {
	state := c.ConnectionState()
	return &state
}

func (l *login) auth(ctx context.Context, c *smtpd.Conversation, arg string, ask func(string) (string, error)) smtp.Reply {
	if !c.TLS {
		return needTLS
	}
	user, mechanism, reply := l.service.Serve(ctx, l.session(c), arg, func(challenge string) (string, error) {
		line, err := ask(challenge)
		if errors.Is(err, smtpd.ErrLineTooLong) {
			err = auth.ErrLineTooLong
		}
		return line, err
	})
	if user != "" && l.senders != nil {
		granted, err := l.senders(ctx, user)
		if err != nil {
			l.log.Error("senders of a login cannot be looked up", "login", user, "error", err)
			return noSenders
		}
		stateOf(c).senders = granted
	}
	if user != "" {
		c.Client.SASLUser, c.Client.SASLMethod = user, mechanism
	}
	return reply
}
