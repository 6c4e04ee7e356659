package main

import (
	"fmt"
	"strings"
)

const pageHead = `# Error codes

<!-- Generated from spec/errors.json by ` + "`go generate ./api`" + `. -->

Every error of the HTTP API has a body like this:

` + "```" + `
{"code":"lease_lost","message":"the lease is lost","queue_id":"0SADCGS0G0000"}
` + "```" + `

` + "`code`" + ` is stable, ` + "`message`" + ` is for people and may change. ` + "`field`" + ` names the field or parameter that is wrong, ` + "`queue_id`" + ` the message, ` + "`retry_after`" + ` (seconds, also in
the ` + "`Retry-After`" + ` header) says when to come again; each may be absent. Codes with 408, 429 or 5yz may mend by themselves, the others want another request.
Where an SMTP client meets the same error it is told the reply in the last column.

| code | HTTP | meaning | SMTP |
|---|---|---|---|
`

// errorPage is docs/errors.md.
func errorPage(list []entry) string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, e := range list {
		reply := "–"
		if e.SMTP != nil {
			reply = fmt.Sprintf("%d %s %s", e.SMTP.Code, e.SMTP.Enhanced, e.SMTP.Text)
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", e.Code, e.HTTP, strings.ReplaceAll(e.Meaning, "|", `\|`), reply)
	}
	return b.String()
}
