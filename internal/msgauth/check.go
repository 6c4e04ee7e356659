package msgauth

import (
	"context"
	"io"
	"math/rand/v2"
)

// Results are those of one message.
type Results struct {
	SPF        SPF
	Signatures []Signature
	// More is how many signatures there are beyond MaxSignatures.
	More  int
	DMARC DMARC
}

// Checker checks messages. It is safe for concurrent use.
type Checker struct {
	// Resolver is required.
	Resolver Resolver
	// Sample picks a number below n, for pct=. Default: at random.
	Sample func(n int) int
}

// Check checks a message: header is its header section as received, without the
// separator, and body what follows. When ctx ends, what was not known by then is
// a temperror. An error means that body could not be read.
func (c *Checker) Check(ctx context.Context, s Session, header []byte, body io.Reader) (Results, error) {
	sample := c.Sample
	if sample == nil {
		sample = rand.IntN
	}
	policy := aside(func() SPF { return checkSPF(ctx, c.Resolver, s) })
	fields := fieldsOf(header)
	signatures, more, err := verify(ctx, c.Resolver, header, fields, body)
	r := Results{SPF: policy(), Signatures: signatures, More: more}
	if err != nil {
		return Results{}, err
	}
	for _, value := range s.Hidden {
		fields = append(fields, field{"From", value})
	}
	r.DMARC = checkDMARC(ctx, c.Resolver, fields, r.SPF, signatures, sample)
	return r, nil
}

// aside runs f at once; the function it returns waits for it. A panic of f is one
// of the waiting goroutine, which may have somebody to catch it.
func aside[T any](f func() T) (wait func() T) {
	var value T
	var trouble any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { trouble = recover() }()
		value = f()
	}()
	return func() T {
		<-done
		if trouble != nil {
			panic(trouble)
		}
		return value
	}
}
