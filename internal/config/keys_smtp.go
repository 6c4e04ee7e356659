package config

import "slices"

func listenerKeys() []Key {
	return append([]Key{
		{Path: "listeners.*.kind", Default: KindSMTP, Enum: []string{KindSMTP, KindSubmission, KindSubmissions, KindReinjection}, Live: true, Doc: "`smtp` for mail from other servers; `submission` for mail from who logged in (with `auth`), otherwise from `mynetworks` only; `submissions` the same with TLS from the first octet; `reinjection` for what filters of kind `smtp` give back, from the clients in `xforward` only."},
		{Path: "listeners.*.address", Is: "address", Live: true, Doc: "IP address and port to listen on, as in `0.0.0.0:25` or `[::]:25`; port 0 takes a free one. Exactly one of `address`, `unix` and `systemd` is given. Without any listener in the file there is one, `smtp`, on `127.0.0.1:2525`."},
		{Path: "listeners.*.unix", Is: "path", Live: true, Doc: "Path of a unix socket to listen on."},
		{Path: "listeners.*.systemd", Is: "name", Live: true, Doc: "Name of a socket passed by systemd (`FileDescriptorName=`)."},
		{Path: "listeners.*.chain", Is: "name", Live: true, Doc: "The filter chain for what comes in here. Default: none."},
		{Path: "listeners.*.proxy_protocol", Live: true, Doc: "Clients that speak the PROXY protocol (v1 or v2) first: load balancers. From them it is required, from others refused."},
		{Path: "listeners.*.xclient", Live: true, Doc: "Clients that may use XCLIENT to stand for another."},
		{Path: "listeners.*.xforward", Live: true, Doc: "Clients that may use XFORWARD to say where a message came from. With `kind: reinjection` nobody else may connect, and without a list these are loopback."},
		{Path: "listeners.*.line_ends", Default: "reject", Enum: []string{"reject", "normalize"}, Live: true, Doc: "What becomes of a message with a bare CR or LF: refused, or its line ends made CRLF. Neither ends the data in any case."},
		{Path: "tls.certificate", Is: "path", Live: true, Doc: "PEM file with the certificate chain for all listeners that have none of their own. Default: none; STARTTLS is not offered."},
		{Path: "tls.key", Is: "path", Live: true, Doc: "PEM file with the private key. Others must not be able to read it."},
		{Path: "tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"}, Live: true, Doc: "The oldest version of TLS that is spoken."},
		{Path: "listeners.*.tls.certificate", Is: "path", Live: true, Doc: "As `tls.certificate`, for this listener."},
		{Path: "listeners.*.tls.key", Is: "path", Live: true, Doc: "As `tls.key`, for this listener."},
		{Path: "listeners.*.tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"}, Live: true, Doc: "As `tls.min_version`, for this listener."},
	}, limitKeys()...)
}

func limitKeys() []Key {
	const p = "listeners.*.limits."
	return []Key{
		{Path: p + "connections", Default: "40000", Min: "1", Max: "1000000", Live: true, Doc: "Connections at a time; further ones are told 421. All listeners together have no more than the limit of open files (`ulimit -n`) allows; half of it, at most 1024, is kept for the store, deliveries and the API."},
		{Path: p + "connections_per_client", Default: "50", Min: "0", Max: "1000000", Live: true, Doc: "Connections of one client (an IPv4 address, an IPv6 /64) at a time. Clients in `mynetworks` are not counted, here and below. 0: no bound."},
		{Path: p + "connects_per_minute", Default: "600", Min: "0", Max: "1000000", Live: true, Doc: "New connections of one client in a minute. 0: no bound."},
		{Path: p + "message_size", Default: "50M", Min: "1K", Max: "1G", Live: true, Doc: "Octets of a message; announced as SIZE."},
		{Path: p + "recipients", Default: "1000", Min: "100", Max: "50000", Live: true, Doc: "Recipients of a message (RFC 5321 §4.5.3.1.8 wants at least 100)."},
		{Path: p + "messages_per_session", Default: "10000", Min: "1", Max: "10000000", Live: true, Doc: "Messages of one connection."},
		{Path: p + "errors", Default: "20", Min: "1", Max: "10000", Live: true, Doc: "Negative replies after which a client that has handed in no message is told 421."},
		{Path: p + "unknown_commands", Default: "10", Min: "1", Max: "10000", Live: true, Doc: "Unknown commands in a session, likewise."},
		{Path: p + "idle_commands", Default: "100", Min: "1", Max: "100000", Live: true, Doc: "NOOP, RSET, VRFY, HELP and the like between two messages; each further one counts as an error."},
		{Path: p + "command_line", Default: "2K", Min: "512", Max: "64K", Live: true, Doc: "Octets of a command, with its line end."},
		{Path: p + "text_line", Default: "1M", Min: "1000", Max: "1G", Live: true, Doc: "Octets of a line of a message. RFC 5321 has 998; real mail has more."},
		{Path: p + "greet_delay", Default: "50ms", Min: "0", Max: "30s", Live: true, Doc: "How long a client has to keep silent before it is greeted; who talks first is refused. Clients in `mynetworks` are greeted at once. 0: only what is there already counts."},
		{Path: p + "command_timeout", Default: "5m", Min: "1s", Max: "1h", Live: true, Doc: "How long a client may take for a command line."},
		{Path: p + "stress_timeout", Default: "10s", Min: "1s", Max: "1h", Live: true, Doc: "The same when more than three quarters of `connections` are in use."},
		{Path: p + "handshake_timeout", Default: "30s", Min: "1s", Max: "10m", Live: true, Doc: "How long the TLS handshake and the PROXY header may take."},
		{Path: p + "data_timeout", Default: "3m", Min: "1s", Max: "1h", Live: true, Doc: "How long a client may be silent within a message."},
		{Path: p + "data_time", Default: "1h", Min: "1s", Max: "24h", Live: true, Doc: "How long the transfer of a message may take in all."},
		{Path: p + "data_rate", Default: "100", Min: "0", Max: "1G", Live: true, Doc: "Octets in a second that a client has to reach on average in a message that takes more than a minute. 0: no bound."},
		{Path: p + "session_time", Default: "4h", Min: "1s", Max: "7d", Live: true, Doc: "How long a connection may last."},
	}
}

func filterKeys() []Key {
	return slices.Concat(commonFilterKeys(), scannerKeys(), execKeys(), smtpFilterKeys(), hookKeys(), senderKeys())
}

func commonFilterKeys() []Key {
	actions := []string{"park", "tempfail", "quarantine", "accept-marked", "reject"}
	return []Key{
		{Path: "filters.*.kind", Default: KindPull, Enum: filterKinds(), Live: true, Doc: "`pull`: scanners fetch messages over the HTTP API. The others are driven by mtad: `clamd`, `spamd`, `rspamd`, `milter`, `exec`, a program for each message, and `smtp`, a content filter that gives messages back at a listener of kind `reinjection`; `webhook`, a web handler that messages are posted to, and `mtahooks` (experimental), a scanner that speaks MTA Hooks. Two are part of mtad: `dmarc` checks SPF, DKIM and DMARC, `dkim` signs; see [authentication](authentication.md)."},
		{Path: "filters.*.address", Is: "peer", Live: true, Doc: "Where the scanner listens: `unix:/path` or `host:port` (or `inet:host:port`). Exactly one for every kind that mtad drives over a socket, and none for `pull`; `webhook` and `mtahooks` have a URL, and an address only to connect elsewhere."},
		{Path: "filters.*.concurrency", Default: "10", Min: "1", Max: "1000", Live: true, Doc: "Scans at a time, at most; not for `pull`. While the scanner fails or slows down there are fewer, and more again as it recovers. For `dmarc` the default is 100."},
		{Path: "filters.*.timeout", Min: "1s", Max: "24h", Live: true, Doc: "`pull`: when no scanner has asked for messages for so long, the filter is `unreachable`; default 5m. Other kinds: how long one scan may take, from the connection to the verdict; default 1m, for `milter` 10m."},
		{Path: "filters.*.lease", Default: "1m", Min: "1s", Max: "1h", Live: true, Doc: "How long a claim lasts when the scanner does not say. A lease that runs out is the failure `timeout`."},
		{Path: "filters.*.max_lease", Default: "1h", Min: "1s", Max: "1h", Live: true, Doc: "The longest lease a scanner may ask for."},
		{Path: "filters.*.max_batch", Default: "100", Min: "1", Max: "1000", Live: true, Doc: "Messages of one claim."},
		{Path: "filters.*.max_claims", Default: "3", Min: "1", Max: "1000", Live: true, Doc: "Leases that ran out after which the failure is `crash`. It has to be less than `queue.max_claims`."},
		{Path: "filters.*.retry_delay", Default: "30s", Min: "1s", Max: "24h", Live: true, Doc: "How long a message rests after a `defer` without a time of its own, and after a failure that parks it."},
		{Path: "filters.*.max_size", Default: "0", Min: "0", Max: "1G", Live: true, Doc: "Larger messages are not given to the filter; they count as the failure `over-size`. 0: no bound."},
		{Path: "filters.*.on.unreachable", Default: "park", Enum: actions, Live: true, Doc: "What becomes of a message when no scanner asks for it: `park` lets it wait; `tempfail` answers 451 to a client that still waits, and lets it wait otherwise; `quarantine` holds it; `accept-marked` lets it go on with a header field that says so; `reject` refuses it."},
		{Path: "filters.*.on.timeout", Default: "park", Enum: actions, Live: true, Doc: "The same, when no verdict came in time."},
		{Path: "filters.*.on.protocol", Default: "park", Enum: actions, Live: true, Doc: "The same, when the answer could not be understood."},
		{Path: "filters.*.on.crash", Default: "park", Enum: actions, Live: true, Doc: "The same, when the scanner went away with the message."},
		{Path: "filters.*.on.over_size", Default: "park", Enum: actions, Live: true, Doc: "The same, when the message is larger than `max_size`."},
		{Path: "chains.*.filters", Required: true, Is: "name", Live: true, Doc: "The filters, in order; none twice."},
		{Path: "chains.*.timing", Default: TimingAfter, Enum: []string{TimingAfter, TimingInline, TimingInlinePark}, Live: true, Doc: "When the client gets its reply: `after`: at once, the filters work later. `inline`: with the verdict. `inline-then-park`: with the verdict if it comes within `wait`, otherwise 250 then."},
		{Path: "chains.*.wait", Default: "30s", Min: "1s", Max: "9m", Live: true, Doc: "How long a client is kept waiting for a verdict."},
	}
}
