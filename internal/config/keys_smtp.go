package config

func listenerKeys() []Key {
	return append([]Key{
		{Path: "listeners.*.kind", Default: KindSMTP, Enum: []string{KindSMTP, KindSubmission, KindSubmissions}, Doc: "`smtp` for mail from other servers; `submission` for mail from `mynetworks` only; `submissions` the same with TLS from the first octet."},
		{Path: "listeners.*.address", Is: "address", Doc: "IP address and port to listen on, as in `0.0.0.0:25` or `[::]:25`; port 0 takes a free one. Exactly one of `address`, `unix` and `systemd` is given. Without any listener in the file there is one, `smtp`, on `127.0.0.1:2525`."},
		{Path: "listeners.*.unix", Is: "path", Doc: "Path of a unix socket to listen on."},
		{Path: "listeners.*.systemd", Is: "name", Doc: "Name of a socket passed by systemd (`FileDescriptorName=`)."},
		{Path: "listeners.*.chain", Is: "name", Live: true, Doc: "The filter chain for what comes in here. Default: none."},
		{Path: "listeners.*.proxy_protocol", Doc: "Clients that speak the PROXY protocol (v1 or v2) first: load balancers. From them it is required, from others refused."},
		{Path: "listeners.*.xclient", Doc: "Clients that may use XCLIENT to stand for another."},
		{Path: "listeners.*.xforward", Doc: "Clients that may use XFORWARD to say where a message came from."},
		{Path: "listeners.*.line_ends", Default: "reject", Enum: []string{"reject", "normalize"}, Doc: "What becomes of a message with a bare CR or LF: refused, or its line ends made CRLF. Neither ends the data in any case."},
		{Path: "tls.certificate", Is: "path", Doc: "PEM file with the certificate chain for all listeners that have none of their own. Default: none; STARTTLS is not offered. Read again on reload."},
		{Path: "tls.key", Is: "path", Doc: "PEM file with the private key. Others must not be able to read it."},
		{Path: "tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"}, Doc: "The oldest version of TLS that is spoken."},
		{Path: "listeners.*.tls.certificate", Is: "path", Doc: "As `tls.certificate`, for this listener."},
		{Path: "listeners.*.tls.key", Is: "path", Doc: "As `tls.key`, for this listener."},
		{Path: "listeners.*.tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"}, Doc: "As `tls.min_version`, for this listener."},
	}, limitKeys()...)
}

func limitKeys() []Key {
	const p = "listeners.*.limits."
	return []Key{
		{Path: p + "connections", Default: "10000", Min: "1", Max: "1000000", Doc: "Connections at a time; further ones are told 421."},
		{Path: p + "connections_per_client", Default: "100", Min: "0", Max: "1000000", Doc: "Connections of one client address (IPv6: one /64) at a time. Clients in `mynetworks` are not counted. 0: no bound."},
		{Path: p + "connects_per_minute", Default: "0", Min: "0", Max: "1000000", Doc: "New connections of one client in a minute. 0: no bound."},
		{Path: p + "messages_per_minute", Default: "0", Min: "0", Max: "10000000", Doc: "Messages of one client in a minute. 0: no bound."},
		{Path: p + "message_size", Default: "50M", Min: "1K", Max: "1G", Doc: "Octets of a message; announced as SIZE."},
		{Path: p + "recipients", Default: "1000", Min: "100", Max: "50000", Doc: "Recipients of a message (RFC 5321 §4.5.3.1.8 wants at least 100)."},
		{Path: p + "messages_per_session", Default: "10000", Min: "1", Max: "10000000", Doc: "Messages of one connection."},
		{Path: p + "errors", Default: "20", Min: "1", Max: "10000", Doc: "Wrong commands after which the client is told 421."},
		{Path: p + "received_fields", Default: "50", Min: "10", Max: "1000", Doc: "Received fields in a message that are taken for a mail loop."},
		{Path: p + "command_timeout", Default: "5m", Min: "1s", Max: "1h", Doc: "How long a client may be silent between commands."},
		{Path: p + "data_timeout", Default: "3m", Min: "1s", Max: "1h", Doc: "How long a client may be silent within a message."},
		{Path: p + "session_time", Default: "1h", Min: "1s", Max: "24h", Doc: "How long a connection may last."},
		{Path: p + "greet_delay", Default: "0", Min: "0", Max: "30s", Doc: "How long the greeting is held back to see who talks first. Clients in `mynetworks` are greeted at once."},
	}
}

func filterKeys() []Key {
	actions := []string{"park", "tempfail", "quarantine", "accept-marked", "reject"}
	return []Key{
		{Path: "filters.*.kind", Default: "pull", Enum: []string{"pull"}, Live: true, Doc: "`pull`: scanners fetch messages over the HTTP API."},
		{Path: "filters.*.timeout", Default: "10m", Min: "1s", Max: "24h", Live: true, Doc: "How long a message may wait for this filter's verdict before that counts as the failure `timeout`, or, if no scanner asked for messages meanwhile, as `unreachable`."},
		{Path: "filters.*.lease", Default: "5m", Min: "1s", Max: "1h", Live: true, Doc: "How long a claim lasts when the scanner does not say."},
		{Path: "filters.*.max_lease", Default: "1h", Min: "1s", Max: "1h", Live: true, Doc: "The longest lease a scanner may ask for."},
		{Path: "filters.*.max_in_flight", Default: "1000", Min: "1", Max: "100000", Live: true, Doc: "Messages claimed for this filter at a time."},
		{Path: "filters.*.max_size", Default: "0", Min: "0", Max: "1G", Live: true, Doc: "Larger messages are not given to the filter; they count as the failure `oversize`. 0: no bound."},
		{Path: "filters.*.on.unreachable", Default: "park", Enum: actions, Live: true, Doc: "What becomes of a message when no scanner asks for it: `park` lets it wait; `tempfail` answers 451 to a client that still waits, and lets it wait otherwise; `quarantine` holds it; `accept-marked` lets it go on with a header field that says so; `reject` refuses it."},
		{Path: "filters.*.on.timeout", Default: "park", Enum: actions, Live: true, Doc: "The same, when no verdict came in time."},
		{Path: "filters.*.on.protocol", Default: "park", Enum: actions, Live: true, Doc: "The same, when the answer could not be understood."},
		{Path: "filters.*.on.crash", Default: "park", Enum: actions, Live: true, Doc: "The same, when the scanner went away with the message."},
		{Path: "filters.*.on.oversize", Default: "park", Enum: actions, Live: true, Doc: "The same, when the message is larger than `max_size`."},
		{Path: "chains.*.filters", Required: true, Is: "name", Live: true, Doc: "The filters, in order; none twice."},
		{Path: "chains.*.timing", Default: TimingAfter, Enum: []string{TimingAfter, TimingInline, TimingInlinePark}, Live: true, Doc: "When the client gets its reply: `after`: at once, the filters work later. `inline`: with the verdict. `inline-then-park`: with the verdict if it comes within `wait`, otherwise 250 then."},
		{Path: "chains.*.wait", Default: "30s", Min: "1s", Max: "9m", Live: true, Doc: "How long a client is kept waiting for a verdict."},
	}
}
