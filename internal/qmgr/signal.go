package qmgr

import (
	"strings"

	"mtad/internal/deliver"
	"mtad/internal/smtp"
	"mtad/queue"
)

// judge says what the results of an attempt mean for the destination. A
// recipient that got an answer of its own proves a session; without one, a
// session that did not come about or broke is one that all recipients share.
// Trouble of our own says nothing.
func judge(results []deliver.Result) news {
	var n news
	for _, r := range results {
		switch {
		case r.Status != queue.Pending:
			return news{signal: good}
		case r.Remote == "" && !unreachable(r.Reply):
		case sessionLost(r.Reply):
			n = news{signal: bad, reply: r.Reply.String(), remote: r.Remote}
		default:
			return news{signal: good}
		}
	}
	return n
}

// unreachable is the kind of reply that stands for a next hop from which none
// came: network and routing, protocol, TLS (RFC 3463 §3.5, §3.6, §3.8).
func unreachable(r smtp.Reply) bool {
	return strings.HasPrefix(r.Enhanced, "4.4.") || strings.HasPrefix(r.Enhanced, "4.5.") ||
		r.Enhanced == "4.7.4" || r.Enhanced == "4.7.5"
}

// sessionLost says that the reply of a transient result is about the session
// rather than a recipient: 421, "system not accepting messages", no reply, or a
// permanent one that does not count as such, as in a greeting of 554.
func sessionLost(r smtp.Reply) bool {
	return r.Code == 421 || r.Permanent() || r.Enhanced == "4.3.2" || unreachable(r)
}

// told says that a success is reported by somebody else, if at all.
func told(r deliver.Result) bool { return r.Status == queue.Relayed && r.DSN }
