package demo

import (
	"bytes"
	"context"

	"mtad/filterproto"
)

// scan runs a scanner until ctx ends: what anybody would write with filterproto.
func scan(ctx context.Context, p *printer, url, token string) error {
	client, err := filterproto.NewClient(filterproto.ClientOptions{URL: url, Token: token})
	if err != nil {
		return err
	}
	defer client.Close()
	return filterproto.Run(ctx, filterproto.Options{Client: client, Filter: "words", Holder: "demo-scanner", Concurrency: 1},
		func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
			content, err := m.Bytes(ctx, maxMessage)
			if err != nil {
				return filterproto.Verdict{}, err
			}
			v := judge(content)
			said := string(v.Disposition)
			if v.Quarantine != nil {
				said = "quarantine"
			}
			p.line("%s  claimed, %d octets read  →  %s", m.ID, len(content), said)
			return v, nil
		})
}

func judge(content []byte) filterproto.Verdict {
	switch {
	case bytes.Contains(content, []byte("virus")):
		return filterproto.Verdict{
			Disposition: filterproto.Reject, Symbols: []string{"VIRUS"},
			Reply: &filterproto.Reply{Code: 554, Enhanced: "5.7.1", Text: "there is a virus in it"},
		}
	case bytes.Contains(content, []byte("suspicious")):
		return filterproto.Verdict{
			Disposition: filterproto.Accept, Score: 4.2, Symbols: []string{"SUSPICIOUS"},
			Quarantine: &filterproto.Quarantine{Reason: "looks suspicious"},
		}
	}
	return filterproto.Verdict{
		Disposition: filterproto.Accept,
		Edits:       []filterproto.Edit{{Op: filterproto.HeaderAdd, Name: "X-Scanned", Value: "demo"}},
	}
}
