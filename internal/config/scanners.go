package config

import "time"

// The kinds of filters.
const (
	KindPull   = "pull"
	KindClamd  = "clamd"
	KindSpamd  = "spamd"
	KindRspamd = "rspamd"
	KindMilter = "milter"
)

func filterKinds() []string {
	return []string{KindPull, KindClamd, KindSpamd, KindRspamd, KindMilter, KindExec, KindSMTPFilter, KindWebhook, KindMTAHooks, KindDMARC, KindDKIM}
}

// Clamd is what is particular to the kind clamd.
type Clamd struct {
	Virus        string `yaml:"virus"`
	Transfer     string `yaml:"transfer"`
	ScannedField string `yaml:"scanned_field"`
	StatusField  string `yaml:"status_field"`
}

// The ways of Clamd.Transfer.
const (
	TransferStream     = "stream"
	TransferDescriptor = "descriptor"
)

// Spamd is what is particular to the kind spamd. A score that is nil is not
// looked at.
type Spamd struct {
	Method       string   `yaml:"method"`
	User         string   `yaml:"user"`
	Spam         string   `yaml:"spam"`
	QuarantineAt *float64 `yaml:"quarantine_at"`
	RejectAt     *float64 `yaml:"reject_at"`
	DiscardAt    *float64 `yaml:"discard_at"`
	Fields       string   `yaml:"fields"`
}

// The methods of Spamd.Method, and whose messages get fields (Spamd.Fields).
const (
	SpamdSymbols = "symbols"
	SpamdHeaders = "headers"
	SpamdProcess = "process"
	FieldsAll    = "all"
	FieldsSpam   = "spam"
	FieldsNone   = "none"
)

// Rspamd is what is particular to the kind rspamd.
type Rspamd struct {
	Reject       string `yaml:"reject"`
	SpamField    string `yaml:"spam_field"`
	PasswordFile string `yaml:"password_file"`
	SettingsID   string `yaml:"settings_id"`
	MTATag       string `yaml:"mta_tag"`
}

// Milter is what is particular to the kind milter.
type Milter struct {
	InSession      bool          `yaml:"in_session"`
	QuitNC         bool          `yaml:"quit_nc"`
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	CommandTimeout time.Duration `yaml:"command_timeout"`
	ContentTimeout time.Duration `yaml:"content_timeout"`
}

// Policies of a find.
const (
	PolicyReject     = "reject"
	PolicyQuarantine = "quarantine"
	PolicyDiscard    = "discard"
	PolicyMark       = "mark"
)

func scannerKeys() []Key {
	policies := []string{PolicyReject, PolicyQuarantine, PolicyDiscard, PolicyMark}
	const c, s, r, m = "filters.*.clamd.", "filters.*.spamd.", "filters.*.rspamd.", "filters.*.milter."
	return []Key{
		{Path: c + "virus", Default: PolicyReject, Enum: policies, Live: true, Doc: "What a virus means: 554 5.7.1 to a client that waits and a failed DSN otherwise; held in quarantine; gone without a word; or marked only."},
		{Path: c + "transfer", Default: TransferStream, Enum: []string{TransferStream, TransferDescriptor}, Live: true, Doc: "How clamd gets a message: as a stream, bounded by its `StreamMaxLength`; or as an open descriptor of a copy in memory (unix sockets only), bounded by its `MaxFileSize`: up to `concurrency` messages are then in memory."},
		{Path: c + "scanned_field", Default: "X-Virus-Scanned", Is: "field", Live: true, Doc: "Header field that says who scanned a message; fields of this name that came with it are removed. `none` adds and removes nothing."},
		{Path: c + "status_field", Default: "X-Virus-Status", Is: "field", Live: true, Doc: "Header field that says `Clean` or `Infected (NAME)`, likewise."},
		{Path: s + "method", Default: SpamdSymbols, Enum: []string{SpamdSymbols, SpamdHeaders, SpamdProcess}, Live: true, Doc: "`symbols`: spamd scores, mtad adds the X-Spam fields. `headers`: the header section is made as spamd has it (wants its `report_safe 0`). `process`: header section and body are."},
		{Path: s + "user", Live: true, Doc: "Whose preferences spamd uses. Default: spamd's own."},
		{Path: s + "spam", Default: PolicyMark, Enum: policies, Live: true, Doc: "What spam means, by spamd's own threshold, when no score below says more."},
		{Path: s + "quarantine_at", Min: "-1000", Max: "100000", Live: true, Doc: "Score from which on a message is held. Default: none."},
		{Path: s + "reject_at", Min: "-1000", Max: "100000", Live: true, Doc: "Score from which on a message is refused with 554 5.7.1. Default: none."},
		{Path: s + "discard_at", Min: "-1000", Max: "100000", Live: true, Doc: "Score from which on a message is thrown away without a word. Default: none."},
		{Path: s + "fields", Default: FieldsAll, Enum: []string{FieldsAll, FieldsSpam, FieldsNone}, Live: true, Doc: "With `symbols`: which messages get X-Spam fields. Those that came with a message are removed in any case."},
		{Path: r + "reject", Default: PolicyReject, Enum: policies, Live: true, Doc: "What rspamd's action `reject` means."},
		{Path: r + "spam_field", Default: "X-Spam", Is: "field", Live: true, Doc: "Header field that rspamd's action `add header` sets to `Yes`; fields of this name that came with the message are removed. `none` adds and removes nothing."},
		{Path: r + "password_file", Is: "path", Live: true, Doc: "File with the password that rspamd wants in the header Password. Default: none is sent."},
		{Path: r + "settings_id", Is: "name", Live: true, Doc: "Which of rspamd's settings to use (header Settings-ID). Default: rspamd decides."},
		{Path: m + "in_session", Default: "false", Live: true, Doc: "Ask the milter while the client speaks, too: at the connection, HELO, MAIL, RCPT and DATA, on the listeners whose chain it is in. What it refuses there is refused at once, a recipient alone if it was RCPT; what it lets pass goes on with the chain, in the same conversation where that is `inline`."},
		{Path: m + "quit_nc", Default: "false", Live: true, Doc: "Lead messages of different clients in one connection (SMFIC_QUIT_NC), where the milter ended the one before with `continue`: for milters that note nothing in their negotiation, mimedefang and spamass-milter for instance."},
		{Path: m + "connect_timeout", Default: "30s", Min: "1s", Max: "10m", Live: true, Doc: "How long connection and negotiation may take."},
		{Path: m + "command_timeout", Default: "30s", Min: "1s", Max: "10m", Live: true, Doc: "How long the milter may take for a command. A sign of progress from it starts the time anew."},
		{Path: m + "content_timeout", Default: "5m", Min: "1s", Max: "1h", Live: true, Doc: "How long it may take for its verdict once it has the whole message, likewise."},
		{Path: r + "mta_tag", Is: "name", Live: true, Doc: "Tag of this MTA (header MTA-Tag). Default: none."},
	}
}
