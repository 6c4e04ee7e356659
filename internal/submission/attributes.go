package submission

// attribute is one of those that are about the message as a whole.
type attribute struct {
	name string
	// client: a claim about the client, which not everybody may make.
	client bool
	set    func(*Envelope, string) error
	text   func(*Envelope) string // "" is absent
}

func text(name string, most int, field func(*Envelope) *string) attribute {
	return attribute{name, true, setText(most, field), getText(field)}
}

func word(name string, field func(*Envelope) *string) attribute {
	return attribute{name, true, setWord(field), getText(field)}
}

// messageAttributes are all but those of recipients, in the order they are
// written. "sender" is here so that it is known; it is written even when "".
var messageAttributes = []attribute{
	word("protocol_name", func(e *Envelope) *string { return &e.Client.Protocol }),
	text("helo_name", maxText, func(e *Envelope) *string { return &e.Client.Helo }),
	{"client_name", true, setName, func(e *Envelope) string { return e.Client.Name }},
	{"client_address", true, setAddress, addressText},
	{"client_port", true, setPort, func(e *Envelope) string { return numberText(int64(e.Client.Port)) }},
	word("sasl_method", func(e *Envelope) *string { return &e.Client.SASLMethod }),
	text("sasl_username", maxText, func(e *Envelope) *string { return &e.Client.SASLUser }),
	text("sasl_sender", maxText, func(e *Envelope) *string { return &e.Client.SASLSender }),
	{"size", false, setSize, func(e *Envelope) string { return numberText(e.Client.SizeHint) }},
	text("ccert_subject", maxSubject, func(e *Envelope) *string { return &e.Client.CertSubject }),
	text("ccert_issuer", maxSubject, func(e *Envelope) *string { return &e.Client.CertIssuer }),
	text("ccert_fingerprint", maxText, func(e *Envelope) *string { return &e.Client.CertFinger }),
	word("encryption_protocol", func(e *Envelope) *string { return &e.Client.TLSProtocol }),
	text("encryption_cipher", maxText, func(e *Envelope) *string { return &e.Client.TLSCipher }),
	{"encryption_keysize", true, setKeySize, func(e *Envelope) string { return numberText(int64(e.Client.TLSKeySize)) }},
	{"sender", false, setSender, senderText},
	{"dsn-envelope-id", false, setEnvID, envIDText},
	{"dsn-return-option", false, setReturn, returnText},
}

func setSender(e *Envelope, v string) (err error) {
	e.Sender, err = ParseAddress(v)
	return err
}

func senderText(e *Envelope) string { return "<" + e.Sender + ">" }

// The attributes of recipients, and that of the format itself.
const (
	nameVersion   = "submission_version"
	nameSender    = "sender"
	nameRecipient = "recipient"
	nameNotify    = "dsn-notify-options"
	nameORCPT     = "dsn-orig-rcpt"
)

// find returns the index of an attribute in messageAttributes, or -1.
func find(name string) int {
	for i := range messageAttributes {
		if messageAttributes[i].name == name {
			return i
		}
	}
	return -1
}

// known says whether the specification has an attribute of this name.
func known(name string) bool {
	switch name {
	case nameVersion, nameRecipient, nameNotify, nameORCPT:
		return true
	}
	return find(name) >= 0
}

// IsAttribute says whether the format has an attribute of this name. A content whose
// first line begins with one and a colon is refused.
func IsAttribute(name string) bool { return known(name) }
