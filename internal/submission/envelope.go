package submission

import (
	"mtad/internal/smtp"
)

// Version is the version of the format that is written, and the only one that is
// read.
const Version = "1"

// MediaType is the format's name in HTTP.
const MediaType = "application/vnd.mtad.submission"

// Envelope is a block. The zero value of a field is an attribute that is not
// given.
type Envelope struct {
	Client Client
	// Sender is the reverse-path without brackets, canonical; "" is <>. The domain
	// may be missing: the taker's host name is meant then.
	Sender string
	EnvID  string // RFC 3461 ENVID, decoded
	Return string // "", "FULL", "HDRS" (RFC 3461)
	// Recipients, one at least.
	Recipients []Recipient
}

// Client is what is claimed about the client that the message came from.
type Client struct {
	Protocol    string // protocol_name
	Helo        string // helo_name
	Name        string // client_name
	Address     string // client_address, without brackets, canonical
	Port        uint16 // client_port
	SASLMethod  string // sasl_method
	SASLUser    string // sasl_username
	SASLSender  string // sasl_sender
	SizeHint    int64  // size, octets
	CertSubject string // ccert_subject
	CertIssuer  string // ccert_issuer
	CertFinger  string // ccert_fingerprint
	TLSProtocol string // encryption_protocol
	TLSCipher   string // encryption_cipher
	TLSKeySize  int    // encryption_keysize, bits
}

// Recipient is one recipient.
type Recipient struct {
	// Path is the forward-path without brackets, canonical; never empty. The domain
	// may be missing.
	Path   string
	Notify smtp.Notify
	ORCPT  string // "type;address", decoded
}

// Claims is the first attribute about the client that the envelope has, "" if
// there is none. The size is a hint about the message and not counted.
func (e *Envelope) Claims() string {
	for i := range messageAttributes {
		a := &messageAttributes[i]
		if a.client && a.text(e) != "" {
			return a.name
		}
	}
	return ""
}

// UTF8 says that an address needs SMTPUTF8 (RFC 6531). A domain counts, too: it
// is the caller's to make A-labels of it first.
func (e *Envelope) UTF8() bool {
	if !smtp.IsASCII(e.Sender) {
		return true
	}
	for i := range e.Recipients {
		if !smtp.IsASCII(e.Recipients[i].Path) {
			return true
		}
	}
	return false
}
