package dmarcfilter

import (
	"strings"

	"mtad/filterproto"
	"mtad/internal/msgauth"
)

// verdict records the results in v, and does what the options say.
func (f *Filter) verdict(v filterproto.Verdict, r msgauth.Results) filterproto.Verdict {
	v.Edits = append(v.Edits, filterproto.Edit{Op: filterproto.HeaderInsert, Name: resultsField, Value: r.Field(f.o.ID)})
	v.Symbols = r.Symbols()
	v.Reason = strings.ToLower(strings.ReplaceAll(strings.Join(v.Symbols, " "), "_", "="))
	if f.o.Defer && (r.SPF.Result == msgauth.TempError || r.DMARC.Result == msgauth.TempError) {
		v.Disposition, v.Edits = filterproto.Defer, nil
		v.Reply = &filterproto.Reply{Code: 451, Enhanced: "4.4.3", Text: "the sender cannot be checked now, try again later"}
		return v
	}
	switch f.action(r.DMARC) {
	case Reject:
		v.Disposition, v.Edits = filterproto.Reject, nil
		v.Reply = &filterproto.Reply{Code: 550, Enhanced: "5.7.1", Text: "refused under the DMARC policy of " + r.DMARC.Domain}
	case Quarantine:
		v.Quarantine = &filterproto.Quarantine{Reason: "DMARC policy of " + r.DMARC.Domain}
	}
	return v
}

// action is what the disposition that a domain's owner asks for comes to here.
func (f *Filter) action(d msgauth.DMARC) Policy {
	switch {
	case d.Disposition == "reject" && f.o.OnReject != "":
		return f.o.OnReject
	case d.Disposition == "quarantine" && f.o.OnQuarantine != "":
		return f.o.OnQuarantine
	}
	return Record
}
