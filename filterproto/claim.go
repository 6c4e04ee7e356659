package filterproto

import "time"

// ContentForm says whether a claim's answer brings content along.
type ContentForm string

// The content forms.
const (
	ContentNone   ContentForm = "none"
	ContentInline ContentForm = "inline"
)

// ClaimRequest asks for messages. The zero value asks for one, without waiting
// and without content. Durations are seconds; see spec/filter.md §4 for the
// bounds.
type ClaimRequest struct {
	Max      int         `json:"max,omitempty"`
	MaxBytes int64       `json:"max_bytes,omitempty"`
	Lease    float64     `json:"lease,omitempty"`
	Wait     float64     `json:"wait,omitempty"`
	Holder   string      `json:"holder,omitempty"`
	Content  ContentForm `json:"content,omitempty"`
	// Trace puts our own trace header fields in front of inline content.
	Trace bool `json:"trace,omitempty"`
	// InlineMax leaves longer content to be fetched; 0 is the server's bound.
	InlineMax int64 `json:"inline_max,omitempty"`
}

// ClaimBatch is what was claimed; none when the wait ended first.
type ClaimBatch struct {
	Claims []Claim `json:"claims"`
}

// Claim is one leased message.
type Claim struct {
	// Token is the proof of the lease, good while it lives and never again.
	Token string `json:"token"`
	// Lease is how many seconds the lease runs from the answer on.
	Lease   float64     `json:"lease"`
	Message MessageInfo `json:"message"`
	// Inline: the content came with the answer. In the JSON form it is Content;
	// in the framed form it follows as data frames.
	Inline  bool   `json:"inline,omitempty"`
	Content []byte `json:"content,omitempty"`
}

// MessageInfo is what is known of a claimed message besides its content.
type MessageInfo struct {
	ID     string `json:"id"` // queue ID, of a part of a split message with a suffix
	Origin string `json:"origin"`
	Chain  string `json:"chain,omitempty"`
	Stage  string `json:"stage"` // the filter
	// Staged: the client still waits for its reply, nothing is committed, and a
	// reject makes no DSN.
	Staged     bool      `json:"staged,omitempty"`
	Created    time.Time `json:"created"`
	Size       int64     `json:"size"` // octets of content, without Trace
	Generation int       `json:"generation"`
	// LostClaims counts leases that ran out: a scanner may have died of it.
	LostClaims int      `json:"lost_claims,omitempty"`
	Envelope   Envelope `json:"envelope"`
	// Trace is our own trace header field(s), CRLF included, not part of the
	// content.
	Trace    []byte            `json:"trace,omitempty"`
	Verdicts []PastVerdict     `json:"verdicts,omitempty"`
	Meta     map[string]string `json:"meta,omitempty"`
}

// Envelope is reverse-path, recipients and SMTP parameters (RFC 5321 §2.3.1).
type Envelope struct {
	ReversePath string      `json:"reverse_path"` // "" is the null reverse-path
	Recipients  []Recipient `json:"recipients"`
	SMTPUTF8    bool        `json:"smtputf8,omitempty"`
	Body        string      `json:"body,omitempty"`  // 7BIT, 8BITMIME, BINARYMIME
	Return      string      `json:"ret,omitempty"`   // FULL, HDRS
	EnvID       string      `json:"envid,omitempty"` // xtext decoded
	RequireTLS  bool        `json:"requiretls,omitempty"`
	Client      ClientInfo  `json:"client"`
}

// Recipient is one recipient that is still pending.
type Recipient struct {
	Path     string `json:"path"`
	OrigPath string `json:"orig_path,omitempty"` // before rewriting, when it differs
	// Notify are "never", or some of "success", "failure", "delay" (RFC 3461 §4.1).
	Notify    []string `json:"notify,omitempty"`
	ORCPT     string   `json:"orcpt,omitempty"`
	Transport string   `json:"transport,omitempty"`
	NextHop   string   `json:"next_hop,omitempty"`
}

// ClientInfo is what is known of the peer that handed the message in. The names
// are those of the submission format.
type ClientInfo struct {
	Protocol    string `json:"protocol_name,omitempty"`
	Helo        string `json:"helo_name,omitempty"`
	Name        string `json:"client_name,omitempty"`
	Address     string `json:"client_address,omitempty"`
	Port        uint16 `json:"client_port,omitempty"`
	SASLMethod  string `json:"sasl_method,omitempty"`
	SASLUser    string `json:"sasl_username,omitempty"`
	SASLSender  string `json:"sasl_sender,omitempty"`
	SizeHint    int64  `json:"size,omitempty"`
	CertSubject string `json:"ccert_subject,omitempty"`
	CertIssuer  string `json:"ccert_issuer,omitempty"`
	CertFinger  string `json:"ccert_fingerprint,omitempty"`
	TLSProtocol string `json:"encryption_protocol,omitempty"`
	TLSCipher   string `json:"encryption_cipher,omitempty"`
	TLSKeySize  int    `json:"encryption_keysize,omitempty"`
	Listener    string `json:"listener,omitempty"`
}

// PastVerdict is what an earlier filter said of the message.
type PastVerdict struct {
	Filter      string    `json:"filter"`
	Disposition string    `json:"disposition"`
	Generation  int       `json:"generation"` // judged
	Score       float64   `json:"score,omitempty"`
	Symbols     []string  `json:"symbols,omitempty"`
	Reply       string    `json:"reply,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	At          time.Time `json:"at"`
}
