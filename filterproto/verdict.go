package filterproto

// Verdict is a filter's answer to one claimed message (spec/filter.md §7). The
// zero Disposition is invalid: an answer that says nothing is not an accept. It
// takes effect as a whole, durably, or not at all.
type Verdict struct {
	Disposition Disposition `json:"disposition"`
	// Reply is what the client or the DSN is told of a reject (5yz) or defer (4yz);
	// a default is used when absent. It goes with no other disposition. Text is one
	// line, at most MaxReplyText octets.
	Reply *Reply `json:"reply,omitempty"`
	// Edits are applied in order, with accept only. At most MaxEdits.
	Edits []Edit `json:"edits,omitempty"`
	// Quarantine holds the message after the edits; it survives accept.
	Quarantine *Quarantine `json:"quarantine,omitempty"`
	// Score and Symbols are remembered with the message and shown to later filters.
	// Score is finite; at most MaxSymbols symbols of at most 256 octets each.
	Score   float64  `json:"score,omitempty"`
	Symbols []string `json:"symbols,omitempty"`
	Reason  string   `json:"reason,omitempty"` // for people; not sent to peers; at most 1000 octets
	// RetryAfter, with defer, is how many seconds to wait before the message is
	// offered again.
	RetryAfter int `json:"retry_after,omitempty"`
	// Recipients gives some recipients a verdict of their own: the message is
	// split. Those not named get the outer verdict.
	Recipients []RecipientVerdict `json:"recipients,omitempty"`
}

// RecipientVerdict is a verdict for some of the recipients.
type RecipientVerdict struct {
	// Recipients are forward-paths as the claim listed them.
	Recipients []string `json:"recipients"`
	// Verdict has no Recipients of its own.
	Verdict Verdict `json:"verdict"`
}

// Disposition is what becomes of the message.
type Disposition string

// The dispositions. Anything else is refused.
const (
	Accept  Disposition = "accept"  // go on to the next filter, or to incoming
	Reject  Disposition = "reject"  // 5xx to a waiting client, failed DSN otherwise
	Discard Disposition = "discard" // gone without a word
	Defer   Disposition = "defer"   // 4xx to a waiting client, offered again later otherwise
)

// Reply is an SMTP reply: code (4yz with defer, 5yz with reject), enhanced
// status code (RFC 3463) and text.
type Reply struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced,omitempty"`
	Text     string `json:"text,omitempty"`
}

// Quarantine asks for a hold.
type Quarantine struct {
	Reason string `json:"reason,omitempty"`
	// Seconds until the hold ends by itself; 0: as the operator's configuration says.
	Seconds int64 `json:"seconds,omitempty"`
	// Then is what happens at the end: ThenRelease, ThenDelete or ThenBounce. "": with
	// Seconds a release, without as the configuration says.
	Then string `json:"then,omitempty"`
}

// The values of Quarantine.Then.
const (
	ThenRelease = "release" // it goes on to the next filter
	ThenDelete  = "delete"  // it is gone, and nobody is told
	ThenBounce  = "bounce"  // the sender is told that it was not delivered
)

// EditOp is a kind of edit.
type EditOp string

// The edits. Header edits work on the exact octets of the header section and
// leave every other octet alone.
const (
	// HeaderAdd appends "Name: Value" at the end of the header section.
	HeaderAdd EditOp = "header_add"
	// HeaderInsert puts it before the header field at position Index (0: on top).
	HeaderInsert EditOp = "header_insert"
	// HeaderChange replaces the Index-th field (1 is the first) called Name; when
	// there is none it is appended.
	HeaderChange EditOp = "header_change"
	// HeaderDelete removes the Index-th field called Name; Index 0 removes all.
	HeaderDelete EditOp = "header_delete"
	// BodyReplace replaces the body by Body (inline) or by the upload named in
	// Upload.
	BodyReplace EditOp = "body_replace"
	// MessageReplace replaces header section and body by Body or Upload.
	MessageReplace EditOp = "message_replace"
	// ReversePathSet makes Value the reverse-path ("" is the null reverse-path).
	ReversePathSet EditOp = "reverse_path_set"
	// RecipientAdd and RecipientDelete take the forward-path in Value.
	RecipientAdd    EditOp = "recipient_add"
	RecipientDelete EditOp = "recipient_delete"
)

// Edit is one change. Which fields count is said at each EditOp.
type Edit struct {
	Op EditOp `json:"op"`
	// Name is a header field name (RFC 5322 §3.6.8), without the colon.
	Name string `json:"name,omitempty"`
	// Value is the field's body; it may fold with CRLF or LF before white space.
	// One space is put between colon and value unless the value begins with white
	// space, or Exact.
	Value string `json:"value,omitempty"`
	// Exact, with the edits that write a header field, puts nothing between colon and
	// value: a signature may cover it.
	Exact bool `json:"exact,omitempty"`
	// Params, with RecipientAdd, are parameters of RCPT (RFC 3461 §4), in its syntax:
	// "NOTIFY=NEVER ORCPT=rfc822;a@example.net". At most MaxParams octets.
	Params string `json:"params,omitempty"`
	Index  int    `json:"index,omitempty"`
	Body   []byte `json:"body,omitempty"` // base64 in JSON
	// Upload names octets sent before, under the same claim (Client.Upload).
	Upload string `json:"upload,omitempty"`
}

// Bounds of a verdict. What exceeds them is refused with verdict_too_large.
const (
	MaxEdits      = 500
	MaxSymbols    = 500
	MaxValue      = 64 << 10 // octets of one Edit.Value
	MaxInlineBody = 1 << 20  // octets of Edit.Body in all
	MaxReplyText  = 500
	MaxParams     = 1000
)

// Bounds of requests.
const (
	MaxBatch  = 1000 // messages of one claim, entries of one batch
	MaxNonce  = 64   // octets of VerdictEntry.Nonce
	MaxToken  = 512  // octets of a token
	MaxHolder = 200  // octets of ClaimRequest.Holder
)
