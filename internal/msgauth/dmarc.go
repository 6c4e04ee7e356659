package msgauth

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-msgauth/dmarc"
)

// DMARC is what came of comparing the author's domain with what was
// authenticated (RFC 7489).
type DMARC struct {
	Result Result
	Reason string // in a few words; no octet of it is the sender's
	// Domain is the author's, as A-labels; "" without one.
	Domain string
	// Policy is what the domain's owner asks for (p=, or sp=): "none", "quarantine"
	// or "reject"; "" without a record.
	Policy string
	// Disposition is what is asked for this message: Policy for one that fails,
	// lessened where pct= leaves it out; "none" otherwise.
	Disposition string
}

// published is a policy record and where it was found.
type published struct {
	record *dmarc.Record
	parent bool // at the organisational domain of another
}

// checkDMARC evaluates each domain of the From field. More than one, or a field
// that cannot be read, is a failure under the strictest of their policies
// (RFC 7489 §6.6.1); too many to be looked up are one under reject.
func checkDMARC(ctx context.Context, r Resolver, fields []field, s SPF, signatures []Signature, sample func(int) int) DMARC {
	domains, clear := authors(fields)
	switch {
	case len(domains) == 0:
		return DMARC{Result: PermError, Reason: "no author", Disposition: "none"}
	case clear && len(domains) == 1:
		return evaluate(ctx, r, domains[0], s, signatures, sample)
	}
	out := DMARC{Result: Fail, Reason: "the author is not clear", Domain: domains[0], Disposition: "none"}
	if len(domains) > maxAuthors { // the one whose policy counts may be behind them
		out.Disposition = "reject"
		return out
	}
	for _, d := range domains {
		one := evaluate(ctx, r, d, SPF{}, nil, sample)
		if one.Result == TempError {
			one.Domain = d
			return one
		}
		if strictness(one.Disposition) > strictness(out.Disposition) {
			out.Domain, out.Policy, out.Disposition = d, one.Policy, one.Disposition
		}
	}
	return out
}

func strictness(disposition string) int {
	return slices.Index([]string{"none", "quarantine", "reject"}, disposition)
}

func evaluate(ctx context.Context, r Resolver, domain string, s SPF, signatures []Signature, sample func(int) int) DMARC {
	out := DMARC{Result: None, Domain: domain, Disposition: "none"}
	p, err := policyOf(ctx, r, domain)
	var e *net.DNSError
	switch {
	case errors.As(err, &e) && e.IsTemporary:
		out.Result, out.Reason = TempError, "the policy cannot be looked up now"
		return out
	case err != nil:
		out.Result, out.Reason = PermError, "the policy cannot be looked up"
		return out
	case p.record == nil:
		return out
	}
	out.Policy = string(p.record.Policy)
	if p.parent && p.record.SubdomainPolicy != "" {
		out.Policy = string(p.record.SubdomainPolicy)
	}
	out.Result, out.Reason = align(domain, p.record, s, signatures)
	if out.Result == Fail {
		out.Disposition = sampled(out.Policy, p.record.Percent, sample)
	}
	return out
}

// align looks for an authenticated identifier of the author's domain (§3.1).
// One whose check met trouble with the DNS leaves the result open.
func align(domain string, rec *dmarc.Record, s SPF, signatures []Signature) (Result, string) {
	open := false
	see := func(result Result, identifier string, strict bool) bool {
		if identifier == "" || !aligned(domain, identifier, strict) {
			return false
		}
		open = open || result == TempError
		return result == Pass
	}
	if see(s.Result, s.Domain, rec.SPFAlignment == dmarc.AlignmentStrict) {
		return Pass, ""
	}
	for _, sig := range signatures {
		if see(sig.Result, sig.Domain, rec.DKIMAlignment == dmarc.AlignmentStrict) {
			return Pass, ""
		}
	}
	if open {
		return TempError, "a check could not be made now"
	}
	return Fail, ""
}

func aligned(author, identifier string, strict bool) bool {
	return author == identifier || !strict && organisational(author) == organisational(identifier)
}

// sampled lessens a policy for the messages that pct= leaves out (§6.6.4).
func sampled(policy string, percent *int, sample func(int) int) string {
	if percent == nil || *percent >= 100 || sample(100) < *percent {
		return policy
	}
	if policy == "reject" {
		return "quarantine"
	}
	return "none"
}

// policyOf finds the record for a domain: its own, or that of its
// organisational domain (§6.6.3). A nil record: there is none.
func policyOf(ctx context.Context, r Resolver, domain string) (published, error) {
	rec, err := recordOf(ctx, r, domain)
	if rec != nil || err != nil {
		return published{record: rec}, err
	}
	org := organisational(domain)
	if org == domain {
		return published{}, nil
	}
	rec, err = recordOf(ctx, r, org)
	return published{record: rec, parent: true}, err
}

func recordOf(ctx context.Context, r Resolver, domain string) (*dmarc.Record, error) {
	list, err := r.LookupTXT(ctx, "_dmarc."+domain)
	var e *net.DNSError
	if errors.As(err, &e) && e.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !isPolicy(s) })
	if len(list) != 1 {
		return nil, nil // also more than one: §6.6.3
	}
	return parsePolicy(list[0]), nil
}

// isPolicy: the version comes first (§6.3).
func isPolicy(s string) bool {
	first, _, _ := strings.Cut(s, ";")
	name, value, _ := strings.Cut(first, "=")
	return strings.TrimSpace(name) == "v" && strings.TrimSpace(value) == "DMARC1"
}

// parsePolicy reads what counts here. Tags that make no sense count as absent;
// without a policy the record is one only if it asks for reports (§6.6.3).
func parsePolicy(s string) *dmarc.Record {
	tags := tagsOf(s)
	clean := "v=DMARC1"
	take := func(name string, words ...string) bool {
		v := strings.ToLower(tags[name])
		if !slices.Contains(words, v) {
			return false
		}
		clean += ";" + name + "=" + v
		return true
	}
	policies := []string{"none", "quarantine", "reject"}
	sound := take("p", policies...)
	if _, given := tags["sp"]; given && !take("sp", policies...) {
		sound = false
	}
	if !sound {
		if tags["rua"] == "" {
			return nil
		}
		clean = "v=DMARC1;p=none"
	}
	take("adkim", "r", "s")
	take("aspf", "r", "s")
	if n, err := strconv.ParseUint(tags["pct"], 10, 8); err == nil && n <= 100 {
		clean += ";pct=" + strconv.FormatUint(n, 10)
	}
	rec, err := dmarc.Parse(clean)
	if err != nil {
		return nil
	}
	return rec
}
