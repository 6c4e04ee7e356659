package config

func queueKeys() []Key {
	return []Key{
		{Path: "queue.active", Default: "20000", Min: "1", Max: "1000000", Doc: "Messages in `active` at a time; it bounds memory."},
		{Path: "queue.max_claims", Default: "5", Min: "1", Max: "1000", Doc: "Claims that ran out after which a message is held with the reason `poison`."},
		{Path: "queue.lease", Default: "5m", Min: "10s", Max: "1h", Doc: "Lease of the queue manager on what it delivers; renewed while it does."},
		{Path: "queue.history", Default: "72h", Min: "0", Max: "365d", Doc: "How long finished messages can be traced."},
		{Path: "queue.unfiltered_messages", Default: "0", Min: "0", Max: "100000000", Doc: "High-water mark: with more messages in `unfiltered` new mail is refused for the time being. What is held there does not count. 0: none."},
		{Path: "queue.unfiltered_bytes", Default: "0", Min: "0", Max: "64T", Doc: "High-water mark of the octets in `unfiltered`. 0: none."},
		{Path: "queue.unfiltered_age", Default: "0", Min: "0", Max: "365d", Doc: "High-water mark of the age of the oldest message in `unfiltered`. 0: none."},
	}
}

func deliveryKeys() []Key {
	return []Key{
		{Path: "delivery.concurrency", Default: "200", Min: "1", Max: "20000", Doc: "Deliveries at a time."},
		{Path: "delivery.destination_initial", Default: "5", Min: "1", Max: "1000", Doc: "Connections to one next hop at the start; success adds to it, failure takes away."},
		{Path: "delivery.destination_max", Default: "20", Min: "1", Max: "1000", Doc: "Connections to one next hop at most."},
		{Path: "delivery.min_backoff", Default: "5m", Min: "1s", Max: "24h", Doc: "Wait after the first failed attempt; it doubles with each further one."},
		{Path: "delivery.max_backoff", Default: "4h", Min: "1s", Max: "7d", Doc: "The longest wait between attempts."},
		{Path: "delivery.lifetime", Default: "5d", Min: "1m", Max: "100d", Doc: "A message that could not be delivered for this long, from its acceptance or from the end of its last hold, goes back to its sender."},
		{Path: "delivery.bounce_lifetime", Default: "5d", Min: "1m", Max: "100d", Doc: "The same for messages with the null reverse-path."},
		{Path: "delivery.delay_warning", Default: "4h", Min: "0", Max: "100d", Doc: "Age at which the sender is told of a delay, once. 0: never, unless NOTIFY=DELAY asks for it."},
		{Path: "delivery.tls", Default: TLSOpportunistic, Enum: []string{TLSNone, TLSOpportunistic, TLSRequired, TLSVerified}, Doc: "STARTTLS towards next hops: never; when offered; `required`, with any certificate; or `verified`, with a valid one for the name of the next hop."},
		{Path: "delivery.addresses", Default: "ipv6-first", Enum: []string{"ipv6-first", "ipv4-first", "ipv4", "ipv6"}, Doc: "Which addresses of next hops are used, and which of them first."},
		{Path: "delivery.port", Default: "25", Min: "1", Max: "65535", Doc: "Port of next hops found by MX."},
		{Path: "delivery.dns_servers", Is: "address", Doc: "DNS servers, as address and port; they are also asked for the names of clients and by filters of kind `dmarc`. Default: those of `/etc/resolv.conf`."},
		{Path: "delivery.report_signer", Is: "name", Doc: "Name of a filter of kind `dkim` whose keys sign delivery reports, which go through no chain. Default: they are not signed."},
		{Path: "delivery.connect_timeout", Default: "30s", Min: "1s", Max: "10m", Doc: "How long a connection to a next hop may take."},
		{Path: "delivery.command_timeout", Default: "5m", Min: "1s", Max: "1h", Doc: "How long a next hop may take for a reply (RFC 5321 §4.5.3.2)."},
		{Path: "delivery.data_timeout", Default: "10m", Min: "1s", Max: "1h", Doc: "How long it may take for the reply after the final dot."},
	}
}

func apiKeys() []Key {
	return []Key{
		{Path: "api.listen", Default: "127.0.0.1:8025", Is: "address", Doc: "IP addresses and ports of the HTTP API; an empty list turns it off. Beyond loopback it wants `api.tls`. Requests other than `/healthz` and `/readyz` need a token."},
		{Path: "api.unix", Is: "path", Doc: "Unix socket of the HTTP API; `none` turns it off. The user who runs mtad may do everything there, others what `api.peers` says. Default: `api.sock` in the spool directory."},
		{Path: "api.allow_plaintext", Default: "false", Doc: "Listen beyond loopback without TLS; something in front of mtad has to encrypt."},
		{Path: "api.tokens.*.sha256", Required: true, Is: "sha256", Live: true, Doc: "SHA-256 of the token, in hexadecimal. The token itself is in no file of mtad."},
		{Path: "api.tokens.*.scopes", Required: true, Is: "scope", Live: true, Doc: "What the bearer may do: `queue:read`, `queue:write`, `submit`, `metrics`, `events`, `tokens` (makes tokens of no more scopes than its own), `filter:NAME` for a filter, `filter:*` for all of them."},
		{Path: "api.tokens.*.expires", Is: "time", Live: true, Doc: "When the token ends, as in `2027-01-31` or `2027-01-31T12:00:00Z`. Default: never."},
		{Path: "api.peers[].uid", Min: "0", Max: "4294967294", Live: true, Doc: "A user ID of this machine. Exactly one of `uid` and `gid` is given."},
		{Path: "api.peers[].gid", Min: "0", Max: "4294967294", Live: true, Doc: "A group ID of this machine. Exactly one of `uid` and `gid` is given."},
		{Path: "api.peers[].scopes", Required: true, Is: "scope", Live: true, Doc: "What they may do; as for tokens."},
		{Path: "api.tls.certificate", Is: "path", Doc: "As `tls.certificate`, for the API; it has no other default."},
		{Path: "api.tls.key", Is: "path", Doc: "As `tls.key`, for the API."},
		{Path: "api.tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"}, Doc: "As `tls.min_version`, for the API."},
	}
}
