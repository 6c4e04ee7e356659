// Package filterproto is for authors of scanners: the types of mtad's filter
// API, a client for it, and Run, which makes a scanner of a function:
//
//	client, err := filterproto.NewClient(filterproto.ClientOptions{URL: "unix:/run/mtad/api.sock"})
//	…
//	err = filterproto.Run(ctx, filterproto.Options{Client: client, Filter: "virus"},
//		func(ctx context.Context, m *filterproto.Message) (filterproto.Verdict, error) {
//			r, err := m.Open(ctx, false)
//			…
//			return filterproto.Verdict{Disposition: filterproto.Accept}, nil
//		})
//
// A whole one is in examples/wordscan. The protocol is described for
// implementers in any language in spec/filter.md; testdata/ has vectors.
//
// # Promises
//
// A scanner made by Run may die at any moment: what it had claimed is offered
// again. An error, a panic or a verdict that the server refuses never accepts a
// message. A verdict is sent, with the same nonce, until the server has taken it or
// the lease is gone. Memory is bounded by Options: batches, and the content that
// comes along with them.
//
// Within a major version types and fields are added, never changed. Readers ignore
// JSON fields and skip frames that they do not know.
package filterproto
