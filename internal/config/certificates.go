package config

import "fmt"

// Certificate is one more certificate, chosen by name.
type Certificate struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// ACME is where certificates are ordered.
type ACME struct {
	Hosts       []string `yaml:"hosts"`
	Email       string   `yaml:"email"`
	Directory   string   `yaml:"directory"`
	Authorities string   `yaml:"certificate_authorities"`
	AcceptTerms bool     `yaml:"accept_terms"`
	Challenge   string   `yaml:"challenge"`
	Address     string   `yaml:"address"`
}

// The words of ACME.Challenge.
const (
	ChallengeTLS  = "tls-alpn-01"
	ChallengeHTTP = "http-01"
)

func certificateKeys() []Key {
	return []Key{
		{Path: "certificates[].certificate", Required: true, Is: "path", Live: true, Doc: "PEM file with a further certificate chain. A client that asks for a host that is in it (SNI) gets it, at every listener with TLS."},
		{Path: "certificates[].key", Required: true, Is: "path", Live: true, Doc: "PEM file with its key. Others must not be able to read it."},
		{Path: "acme.hosts", Is: "domain", Doc: "Host names to order certificates for from an ACME server. Listeners without a certificate of their own show them; the first name is for clients that name none. Account key and certificates are kept in `acme` in the spool directory."},
		{Path: "acme.email", Is: "mailbox", Doc: "Where the ACME server may write to. Default: none is given."},
		{Path: "acme.directory", Is: "url", Default: "https://acme-v02.api.letsencrypt.org/directory", Doc: "URL of the ACME server."},
		{Path: "acme.certificate_authorities", Is: "path", Doc: "PEM file with the authorities that signed the ACME server's own certificate. Default: those of the system."},
		{Path: "acme.accept_terms", Default: "false", Doc: "You agree to the terms of service of the ACME server. Without it nothing is ordered."},
		{Path: "acme.challenge", Default: ChallengeTLS, Enum: []string{ChallengeTLS, ChallengeHTTP}, Doc: "How the ACME server sees that the host is ours: by TLS on port 443, or by HTTP on port 80."},
		{Path: "acme.address", Is: "address", Doc: "IP address and port where challenges are answered; the ACME server has to reach it as port 443 or 80. Default: all IPv4 addresses at that port."},
	}
}

func (k *checker) acme() {
	for i, c := range k.Certificates {
		k.certificate(fmt.Sprintf("certificates[%d]", i), TLS{Certificate: c.Certificate, Key: c.Key})
	}
	if len(k.ACME.Hosts) > 0 && !k.ACME.AcceptTerms {
		k.add("acme", "the terms of the ACME server are not accepted", "read them, and say acme.accept_terms: true")
	}
}

// ChallengeAddress is where challenges are answered.
func (a ACME) ChallengeAddress() string {
	switch {
	case a.Address != "":
		return a.Address
	case a.Challenge == ChallengeHTTP:
		return "0.0.0.0:80"
	}
	return "0.0.0.0:443"
}
