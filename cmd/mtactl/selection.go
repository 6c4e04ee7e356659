package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const expressionHelp = `An expression is terms with spaces between them, all of which have to match:

  state=deferred,incoming   unfiltered, incoming, active, deferred
  sender=*@example.org      reverse-path; sender=<> is the null reverse-path
  recipient=*@example.net   any recipient
  next-hop=mx.example.net   next hop of any pending recipient
  age>2h30m  age<1d         s, m, h, d, w
  size>1M  size<=10K        octets; K, M, G
  held  held=no             hold-by=filter:*  reason=*virus*
  quarantined               held by a filter
  stage=NAME  chain=NAME    where in the filters
  origin=smtp               smtp, submit, http, dsn, forward
  parent=ID  id=ID,ID

* stands for any run of characters; a value with spaces is put in double quotes.
Several arguments are one expression. Put it in quotes where the shell would read
< > or *: mtactl queue list 'state=deferred age>2h'`

// selection is what a verb is about: messages by ID, or all that match one
// expression.
type selection struct {
	ids  []string
	expr string
	// everything: --all was given, and there are no terms.
	everything bool
}

func (s selection) byID() bool { return s.ids != nil }

// selectFlags adds shorthands for common terms.
func selectFlags(c *cobra.Command) {
	f := c.Flags()
	f.String("state", "", "same as state=… in the expression")
	f.String("sender", "", "same as sender=…")
	f.String("recipient", "", "same as recipient=…")
	f.String("next-hop", "", "same as next-hop=…")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"unfiltered", "incoming", "active", "deferred"}, cobra.ShellCompDirectiveNoFileComp))
}

// selected reads arguments and shorthands. Arguments that all look like queue IDs
// are IDs.
func selected(c *cobra.Command, args []string) (selection, error) {
	var terms []string
	ids := 0
	for _, a := range args {
		if isID(a) {
			ids++
		}
		terms = append(terms, a)
	}
	for _, flag := range []string{"state", "sender", "recipient", "next-hop"} {
		if v, err := c.Flags().GetString(flag); err == nil && c.Flags().Changed(flag) {
			terms = append(terms, flag+"="+quoteTerm(v))
		}
	}
	all, _ := c.Flags().GetBool("all")
	switch {
	case ids > 0 && ids == len(terms) && !all:
		return selection{ids: args}, nil
	case ids > 0:
		return selection{}, usage("name messages by ID or by an expression, not both")
	}
	s := selection{expr: strings.Join(terms, " "), everything: all}
	if all && strings.TrimSpace(s.expr) != "" {
		return selection{}, usage("--all and an expression exclude each other")
	}
	return s, nil
}

// quoteTerm quotes a value where the grammar of expressions wants it.
func quoteTerm(v string) string {
	if v != "" && !strings.ContainsAny(v, " \t\r\n\"\\") {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// isID recognises a queue ID: 13 characters of Crockford's base32, and for a part
// a dot and a number. Whether there is such a message is for mtad to say.
func isID(s string) bool {
	base, part, split := strings.Cut(s, ".")
	if len(base) != 13 || split && (part == "" || strings.Trim(part, "0123456789") != "") {
		return false
	}
	for i := range len(base) {
		c := base[i] | 0x20
		if c != 'u' && ('0' <= base[i] && base[i] <= '9' || 'a' <= c && c <= 'z') {
			continue
		}
		return false
	}
	return true
}

// idArgs checks the arguments of a verb that takes IDs alone.
func idArgs(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || most > 0 && len(args) > most {
			return usage("usage: %s", c.UseLine())
		}
		for _, a := range args {
			if !isID(a) {
				return usage("%q is not a queue ID", a)
			}
		}
		return nil
	}
}
