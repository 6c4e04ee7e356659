package config

import "time"

// Config is a complete configuration: every key has its value or its default.
// It is read-only once loaded.
type Config struct {
	// File is where it was read from; "" for the built-in defaults.
	File string `yaml:"-"`

	Hostname     string                 `yaml:"hostname"`
	Postmaster   string                 `yaml:"postmaster"`
	Received     int                    `yaml:"received_fields"`
	Spool        Spool                  `yaml:"spool"`
	Listeners    map[string]Listener    `yaml:"listeners"`
	TLS          TLS                    `yaml:"tls"`
	Certificates []Certificate          `yaml:"certificates"`
	ACME         ACME                   `yaml:"acme"`
	Auth         map[string]Auth        `yaml:"auth"`
	MyNetworks   Networks               `yaml:"mynetworks"`
	OpenRelay    bool                   `yaml:"allow_open_relay"`
	RelayDomains []string               `yaml:"relay_domains"`
	LocalDomains []string               `yaml:"local_domains"`
	Local        Local                  `yaml:"local"`
	Routes       []Route                `yaml:"routes"`
	Smarthost    string                 `yaml:"smarthost"`
	Filters      map[string]Filter      `yaml:"filters"`
	Chains       map[string]Chain       `yaml:"chains"`
	Quarantine   Quarantine             `yaml:"quarantine"`
	Queue        Queue                  `yaml:"queue"`
	Delivery     Delivery               `yaml:"delivery"`
	API          API                    `yaml:"api"`
	Submission   Submission             `yaml:"submission"`
	Webhooks     map[string]EventTarget `yaml:"webhooks"`
	Log          Log                    `yaml:"log"`
	Shutdown     Shutdown               `yaml:"shutdown"`

	positions map[string]Position
}

// Spool is where the queue is kept.
type Spool struct {
	Directory     string `yaml:"directory"`
	AllowVolatile bool   `yaml:"allow_volatile"`
	AllowUnsynced bool   `yaml:"allow_unsynced"`
	AllowOldClock bool   `yaml:"allow_old_clock"`
	Cache         Size   `yaml:"cache"`
	FreeFloor     Size   `yaml:"free_floor"`
	Ballast       Size   `yaml:"ballast"`
}

// Listener is one door for SMTP.
type Listener struct {
	Kind          string   `yaml:"kind"`
	Address       string   `yaml:"address"`
	Unix          string   `yaml:"unix"`
	Systemd       string   `yaml:"systemd"`
	Chain         string   `yaml:"chain"`
	TLS           TLS      `yaml:"tls"`
	ProxyProtocol Networks `yaml:"proxy_protocol"`
	XClient       Networks `yaml:"xclient"`
	XForward      Networks `yaml:"xforward"`
	LineEnds      string   `yaml:"line_ends"`
	Auth          string   `yaml:"auth"`
	Complete      []string `yaml:"complete"`
	Limits        Limits   `yaml:"limits"`
}

// The kinds of listeners.
const (
	KindSMTP        = "smtp"
	KindSubmission  = "submission"
	KindSubmissions = "submissions"
)

// TLS names a certificate.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	MinVersion  string `yaml:"min_version"`
}

// Limits bound what a client of a listener may do.
type Limits struct {
	Connections          int           `yaml:"connections"`
	ConnectionsPerClient int           `yaml:"connections_per_client"`
	ConnectRate          int           `yaml:"connects_per_minute"`
	MessageSize          Size          `yaml:"message_size"`
	Recipients           int           `yaml:"recipients"`
	Messages             int           `yaml:"messages_per_session"`
	Errors               int           `yaml:"errors"`
	UnknownCommands      int           `yaml:"unknown_commands"`
	IdleCommands         int           `yaml:"idle_commands"`
	CommandLine          Size          `yaml:"command_line"`
	TextLine             Size          `yaml:"text_line"`
	GreetDelay           time.Duration `yaml:"greet_delay"`
	CommandTimeout       time.Duration `yaml:"command_timeout"`
	StressTimeout        time.Duration `yaml:"stress_timeout"`
	HandshakeTimeout     time.Duration `yaml:"handshake_timeout"`
	DataTimeout          time.Duration `yaml:"data_timeout"`
	DataTime             time.Duration `yaml:"data_time"`
	DataRate             Size          `yaml:"data_rate"`
	SessionTime          time.Duration `yaml:"session_time"`
}

// Local is delivery to mailboxes of this machine.
type Local struct {
	Maildir   string   `yaml:"maildir"`
	Mailboxes []string `yaml:"mailboxes"`
	Delimiter string   `yaml:"delimiter"`
}

// Route sends the recipients of a domain somewhere.
type Route struct {
	Match     string `yaml:"match"`
	Transport string `yaml:"transport"`
	NextHop   string `yaml:"next_hop"`
}

// Filter is one scanner that messages are judged by.
type Filter struct {
	Kind        string `yaml:"kind"`
	Address     string `yaml:"address"` // not for KindPull
	Concurrency int    `yaml:"concurrency"`
	// Timeout is 0 when the file does not say: each kind has its own default.
	Timeout    time.Duration `yaml:"timeout"`
	Lease      time.Duration `yaml:"lease"`
	MaxLease   time.Duration `yaml:"max_lease"`
	MaxBatch   int           `yaml:"max_batch"`
	MaxClaims  int           `yaml:"max_claims"`
	RetryDelay time.Duration `yaml:"retry_delay"`
	MaxSize    Size          `yaml:"max_size"`
	OnFailure  OnFailure     `yaml:"on"`

	Quarantine FilterQuarantine `yaml:"quarantine"`

	Clamd    Clamd      `yaml:"clamd"`
	Spamd    Spamd      `yaml:"spamd"`
	Rspamd   Rspamd     `yaml:"rspamd"`
	Milter   Milter     `yaml:"milter"`
	Exec     Exec       `yaml:"exec"`
	SMTP     SMTPFilter `yaml:"smtp"`
	Webhook  Webhook    `yaml:"webhook"`
	MTAHooks MTAHooks   `yaml:"mtahooks"`
	DMARC    DMARC      `yaml:"dmarc"`
	DKIM     DKIM       `yaml:"dkim"`
}

// OnFailure is the failure matrix: what becomes of a message whose filter
// failed in one of these ways.
type OnFailure struct {
	Unreachable string `yaml:"unreachable"`
	Timeout     string `yaml:"timeout"`
	Protocol    string `yaml:"protocol"`
	Crash       string `yaml:"crash"`
	OverSize    string `yaml:"over_size"`
}

// Chain is an ordered list of filters.
type Chain struct {
	Filters []string      `yaml:"filters"`
	Timing  string        `yaml:"timing"`
	Wait    time.Duration `yaml:"wait"`
}

// The timings of a chain.
const (
	TimingAfter      = "after"
	TimingInline     = "inline"
	TimingInlinePark = "inline-then-park"
)

// Queue is the bounds of the queue.
type Queue struct {
	Active          int           `yaml:"active"`
	MaxClaims       int           `yaml:"max_claims"`
	Lease           time.Duration `yaml:"lease"`
	History         time.Duration `yaml:"history"`
	UnfilteredCount int           `yaml:"unfiltered_messages"`
	UnfilteredBytes Size          `yaml:"unfiltered_bytes"`
	UnfilteredAge   time.Duration `yaml:"unfiltered_age"`
}

// Delivery is how mail goes out.
type Delivery struct {
	Concurrency        int           `yaml:"concurrency"`
	DestinationInitial int           `yaml:"destination_initial"`
	DestinationMax     int           `yaml:"destination_max"`
	MinBackoff         time.Duration `yaml:"min_backoff"`
	MaxBackoff         time.Duration `yaml:"max_backoff"`
	Lifetime           time.Duration `yaml:"lifetime"`
	BounceLifetime     time.Duration `yaml:"bounce_lifetime"`
	DelayWarning       time.Duration `yaml:"delay_warning"`
	TLS                string        `yaml:"tls"`
	Addresses          string        `yaml:"addresses"`
	Port               int           `yaml:"port"`
	DNSServers         []string      `yaml:"dns_servers"`
	ReportSigner       string        `yaml:"report_signer"`
	ConnectTimeout     time.Duration `yaml:"connect_timeout"`
	CommandTimeout     time.Duration `yaml:"command_timeout"`
	DataTimeout        time.Duration `yaml:"data_timeout"`
}

// The policies of Delivery.TLS.
const (
	TLSNone          = "none"
	TLSOpportunistic = "opportunistic"
	TLSRequired      = "required"
	TLSVerified      = "verified"
)

// API is the HTTP interface.
type API struct {
	Listen         []string         `yaml:"listen"`
	Unix           string           `yaml:"unix"`
	AllowPlaintext bool             `yaml:"allow_plaintext"`
	Tokens         map[string]Token `yaml:"tokens"`
	Peers          []Peer           `yaml:"peers"`
	TLS            TLS              `yaml:"tls"`
}

// Token is a bearer token, known by its hash.
type Token struct {
	SHA256  string   `yaml:"sha256"`
	Scopes  []string `yaml:"scopes"`
	Expires string   `yaml:"expires"`
	// Submit bounds what the bearer of the scope submit hands in.
	Submit TokenSubmit `yaml:"submit"`
}

// Peer is a user or group of this machine that may use the unix socket.
type Peer struct {
	UID    *int     `yaml:"uid"`
	GID    *int     `yaml:"gid"`
	Scopes []string `yaml:"scopes"`
}

// Log is what mtad writes about its work.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Shutdown bounds a stop.
type Shutdown struct {
	Grace time.Duration `yaml:"grace"`
}

// Position is where key stands in the file, or the nearest section around it;
// the zero Position when it is not there.
func (c *Config) Position(key string) Position {
	for {
		if p, ok := c.positions[key]; ok || key == "" {
			return p
		}
		key = parentKey(key)
	}
}
