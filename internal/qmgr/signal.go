package qmgr

import (
	"strings"

	"mtad/internal/deliver"
	"mtad/internal/smtp"
	"mtad/queue"
)

// judge says what the results of an attempt mean for the destination. Any
// recipient that got an answer of its own proves a session; a failure of the
// connection is one that all recipients share.
func judge(results []deliver.Result) news {
	if len(results) == 0 {
		return news{}
	}
	for _, r := range results {
		if r.Status != queue.Pending || !sessionLost(r.Reply) {
			return news{signal: good}
		}
	}
	r := results[0]
	return news{signal: bad, reply: r.Reply.String(), remote: r.Remote}
}

// sessionLost says that a transient reply stands for a session that did not come
// about or broke: 421, or an enhanced status code of network and routing
// (RFC 3463 §3.5), or one of the system (§3.4) rather than of the mailbox.
func sessionLost(r smtp.Reply) bool {
	return r.Code == 421 || strings.HasPrefix(r.Enhanced, "4.4.") && r.Enhanced != "4.4.7"
}

// told says that a success is reported by somebody else, if at all.
func told(r deliver.Result) bool { return r.Status == queue.Relayed && r.DSN }
