package config

// Key describes one setting. Keys is the only place where defaults, bounds and
// descriptions are written down.
type Key struct {
	// Path names the setting: sections joined by dots, "*" for a name the user
	// chooses, "[]" for the items of a list.
	Path string
	// Default is the value, as it would be written, when the key is absent. A list
	// is written with commas.
	Default string
	// Min and Max bound a number, size or duration; "" is no bound.
	Min, Max string
	// Enum lists the words that are allowed.
	Enum []string
	// Required: the section cannot be without it.
	Required bool
	// Live: a reload applies it. The others want a restart, and a reload that
	// changes one says so.
	Live bool
	// Is says how the value of a string is checked: "domain", "address", "path",
	// "name" … (see checks); "" takes any text.
	Is  string
	Doc string
}

// Keys returns the table, in the order of the document.
func Keys() []Key {
	var all []Key
	for _, section := range [][]Key{
		generalKeys(), spoolKeys(), listenerKeys(), authKeys(), certificateKeys(), relayKeys(), filterKeys(), quarantineKeys(),
		queueKeys(), deliveryKeys(), apiKeys(), webhookKeys(), submissionKeys(), processKeys(),
	} {
		all = append(all, section...)
	}
	return all
}

func generalKeys() []Key {
	return []Key{
		{Path: "hostname", Is: "domain", Doc: "The name mtad gives itself: in the greeting, in EHLO, in Received fields and as origin of delivery reports. Default: the machine's host name when that is a domain name, otherwise `localhost`."},
		{Path: "postmaster", Is: "mailbox", Doc: "Who receives reports that nobody else can receive (double bounces). Default: `postmaster` at the host name."},
		{Path: "received_fields", Default: "50", Min: "10", Max: "1000", Doc: "Received fields in a message from which on it is taken for a mail loop and refused (RFC 5321 §6.3)."},
	}
}

func spoolKeys() []Key {
	return []Key{
		{Path: "spool.directory", Is: "path", Doc: "Where the queue is kept. It belongs to one mtad at a time. Default: systemd's state directory, for root `/var/spool/mtad`, otherwise `mtad` in the user's state directory (`$XDG_STATE_HOME` or `~/.local/state`)."},
		{Path: "spool.allow_volatile", Default: "false", Doc: "Start even on a file system that forgets everything at a restart (tmpfs, or the writable layer of a container). Accepted mail will be lost with it. Shown in `mtactl status`."},
		{Path: "spool.allow_unsynced", Default: "false", Doc: "Do not wait for the disk before a message is acknowledged. A power cut will lose accepted mail. For tests; shown in `mtactl status`."},
		{Path: "spool.allow_old_clock", Default: "false", Doc: "Start even if the clock shows a time before the newest record in the queue. Queue IDs are then not in the order of acceptance. Shown in `mtactl status`."},
		{Path: "spool.cache", Default: "16M", Min: "1M", Max: "16G", Doc: "Memory for cached parts of the queue."},
		{Path: "spool.free_floor", Default: "256M", Min: "1M", Max: "1T", Doc: "New mail is refused for the time being (452 4.3.1) while less than this is free on the spool's file system."},
		{Path: "spool.ballast", Default: "64M", Min: "0", Max: "16G", Doc: "Size of the files that are kept so that they can be given up, one at a time, when the disk is full; deliveries then go on. 0: none."},
	}
}

func relayKeys() []Key {
	return []Key{
		{Path: "mynetworks", Default: "loopback", Live: true, Doc: "Clients that may send to anywhere. Networks wider than /8 (IPv4) or /16 (IPv6) are refused unless `allow_open_relay` is true."},
		{Path: "allow_open_relay", Default: "false", Live: true, Doc: "Accept networks in `mynetworks` that are so wide that strangers will relay through this machine."},
		{Path: "relay_domains", Is: "pattern", Live: true, Doc: "Domains that mail is accepted for from anybody, to be handed on. `.example.org` stands for all domains below example.org."},
		{Path: "local_domains", Is: "domain", Live: true, Doc: "Domains whose mailboxes are on this machine. Default: the host name and `localhost`."},
		{Path: "local.maildir", Is: "path", Doc: "Directory with one maildir for each local mailbox, named after its local part. Default: `mail` in the spool directory."},
		{Path: "local.mailboxes", Is: "localpart", Live: true, Doc: "The local mailboxes there are; mail for others is refused with 550 5.1.1. Default: any name is a mailbox."},
		{Path: "local.delimiter", Is: "octet", Live: true, Doc: "The character that begins the extension of a local part: with `+`, mail for alice+list goes to alice. Default: none."},
		{Path: "routes[].match", Required: true, Is: "match", Live: true, Doc: "A domain, `.domain` for all domains below it, `user@domain`, or `*` for everything. The most specific match wins."},
		{Path: "routes[].transport", Default: "smtp", Enum: []string{"smtp", "lmtp", "maildir", "discard", "error"}, Live: true, Doc: "How mail goes there. `error` refuses it; the next hop is then the text of the reply."},
		{Path: "routes[].next_hop", Live: true, Doc: "Where it goes: for smtp and lmtp a domain (looked up by MX), or `[host]`, `[host]:port` as it is; for maildir the mailbox; for error the text. Default: the recipient's domain."},
		{Path: "smarthost", Is: "nexthop", Live: true, Doc: "Where mail for all domains without a route goes, `[host]:port` or a domain. Default: none; each domain's own mail exchangers."},
	}
}

func processKeys() []Key {
	return []Key{
		{Path: "log.level", Default: "info", Enum: []string{"debug", "info", "warn", "error"}, Live: true, Doc: "The least important lines that are written."},
		{Path: "log.format", Default: "text", Enum: []string{"text", "json"}, Doc: "How a line is written, to standard error."},
		{Path: "shutdown.grace", Default: "25s", Min: "1s", Max: "10m", Live: true, Doc: "How long a stop waits for sessions and deliveries to come to their end. What is not finished then goes on after the next start."},
	}
}
