package queue

import "time"

// Envelope is reverse-path, recipients and SMTP parameters (RFC 5321 §2.3.1),
// with what is known of the client. Verdicts change it only through named Ops.
type Envelope struct {
	// ReversePath is the mailbox of MAIL FROM without brackets; "" is the null
	// reverse-path <>.
	ReversePath string      `json:"reverse_path"`
	Recipients  []Recipient `json:"recipients"`

	SMTPUTF8 bool     `json:"smtputf8,omitempty"` // RFC 6531
	Body     BodyType `json:"body,omitempty"`     // RFC 6152, 3030
	Return   string   `json:"ret,omitempty"`      // RFC 3461 RET: "", "FULL", "HDRS"
	EnvID    string   `json:"envid,omitempty"`    // RFC 3461 ENVID, xtext decoded
	// RequireTLS is RFC 8689 REQUIRETLS.
	RequireTLS bool `json:"requiretls,omitempty"`

	Client Client `json:"client"`
}

// BodyType is the BODY= parameter as received; "" when there was none.
type BodyType string

// The body types.
const (
	Body7Bit    BodyType = "7BIT"
	Body8Bit    BodyType = "8BITMIME"
	BodyBinary  BodyType = "BINARYMIME"
	BodyUnknown BodyType = ""
)

// Client is what is known of the peer that handed the message in: the
// attributes of the submission format (spec/submission.md). Nothing here is
// trusted for more than its door established.
type Client struct {
	Protocol    string `json:"protocol_name,omitempty"`  // SMTP, ESMTP, ESMTPSA, LMTP, HTTP, local … (RFC 3848)
	Helo        string `json:"helo_name,omitempty"`      // HELO argument as sent
	Name        string `json:"client_name,omitempty"`    // verified host name, or "unknown"
	Address     string `json:"client_address,omitempty"` // IP address, no brackets
	Port        uint16 `json:"client_port,omitempty"`
	SASLMethod  string `json:"sasl_method,omitempty"`
	SASLUser    string `json:"sasl_username,omitempty"`
	SASLSender  string `json:"sasl_sender,omitempty"` // MAIL AUTH=
	SizeHint    int64  `json:"size,omitempty"`        // MAIL SIZE=, octets
	CertSubject string `json:"ccert_subject,omitempty"`
	CertIssuer  string `json:"ccert_issuer,omitempty"`
	CertFinger  string `json:"ccert_fingerprint,omitempty"`
	TLSProtocol string `json:"encryption_protocol,omitempty"` // e.g. TLSv1.3
	TLSCipher   string `json:"encryption_cipher,omitempty"`
	TLSKeySize  int    `json:"encryption_keysize,omitempty"` // bits
	Listener    string `json:"listener,omitempty"`           // name of the door it came through
}

// Notify is the NOTIFY parameter of RFC 3461 §4.1 as a set. The zero value
// means "not given": failures are reported, delays at the MTA's discretion.
type Notify uint8

// The members of Notify. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Recipient is a forward-path and its delivery status.
type Recipient struct {
	// Path is the mailbox of RCPT TO without brackets. It is where mail goes; the
	// address before any rewriting is in OrigPath when it differs.
	Path     string `json:"path"`
	OrigPath string `json:"orig_path,omitempty"`
	Notify   Notify `json:"notify,omitempty"`
	ORCPT    string `json:"orcpt,omitempty"` // RFC 3461 ORCPT, "type;address", xtext decoded

	// Transport and NextHop say how and where it goes now ("smtp", "example.net").
	// They are resolved by the caller, refreshed when the item is claimed.
	Transport string `json:"transport"`
	NextHop   string `json:"next_hop"`

	Status      RecipientStatus `json:"status"`
	Attempts    int             `json:"attempts"`
	LastAttempt time.Time       `json:"last_attempt,omitzero"`
	LastRemote  string          `json:"last_remote,omitempty"` // host that gave LastReply
	LastReply   string          `json:"last_reply,omitempty"`  // "450 4.2.1 busy", one line
	DelaySent   bool            `json:"delay_sent,omitempty"`  // a delayed DSN went out
	// Reported: with a final Status, nothing is left to be said about it: its DSN
	// went out, or none was due. The queue manager reports what is final and not
	// Reported before it finishes the item.
	Reported bool `json:"reported,omitempty"`
}

// RecipientStatus is the fate of one recipient.
type RecipientStatus uint8

// The statuses. Pending recipients are tried again; the others are final.
const (
	Pending   RecipientStatus = iota
	Delivered                 // in a mailbox, or taken by a final transport
	Relayed                   // accepted by the next hop
	Failed                    // permanent: a failed DSN is due or made
	Removed                   // taken off by a verdict or an operator, no DSN
)

var statusNames = [...]string{"pending", "delivered", "relayed", "failed", "removed"}

func (s RecipientStatus) String() string { return nameOf(statusNames[:], uint8(s)) }

// MarshalText and UnmarshalText use the names of String.
func (s RecipientStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what MarshalText writes.
func (s *RecipientStatus) UnmarshalText(b []byte) error {
	return unname(statusNames[:], b, (*uint8)(s), "recipient status")
}
