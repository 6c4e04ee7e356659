package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"mtad/filterproto"
	"mtad/queue"
)

// damaged reads contents that end with ErrCorrupt after some good octets.
type damaged struct {
	Filters
	good int
}

func (d damaged) Open(ctx context.Context, name string, t queue.Token, generation int, trace bool, offset int64) (queue.Content, error) {
	c, err := d.Filters.Open(ctx, name, t, generation, trace, offset)
	if err != nil || c.Size() <= int64(d.good) {
		return c, err
	}
	return breaking{Content: c, r: io.LimitReader(c, int64(d.good))}, nil
}

type breaking struct {
	queue.Content
	r io.Reader
}

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = queue.ErrCorrupt
	}
	return n, err
}

// A message that cannot be read spoils neither the stream nor its neighbours, and
// is never taken for a shorter one.
func TestDamagedContentIsAFailFrame(t *testing.T) {
	r := newRig(t, rigOptions{filters: func(f Filters) Filters { return damaged{f, 100} }})
	short := "Subject: short\r\n\r\n"
	r.accept(short, theFilter)
	bad := r.accept(short+strings.Repeat("x", 200<<10), theFilter)
	r.accept(short, theFilter)
	w := r.call("virus", "POST", "/v1/filters/virus/claims", filterproto.ClaimRequest{Max: 3, Content: filterproto.ContentInline}, "Accept", filterproto.MediaFrames)
	cr := filterproto.NewClaimReader(w.Body, 1<<20)
	for range 3 {
		c, failed, err := cr.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Message.ID == string(bad.ID) {
			if failed == nil || failed.Code != filterproto.CodeCorrupt || failed.QueueID != c.Message.ID || c.Content != nil {
				t.Errorf("damaged: %+v, %d octets", failed, len(c.Content))
			}
		} else if failed != nil || string(c.Content) != short {
			t.Errorf("%s: %v %q", c.Message.ID, failed, c.Content)
		}
	}
	if _, _, err := cr.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}

func TestDamagedContentBreaksTheConnectionOff(t *testing.T) {
	r := newRig(t, rigOptions{filters: func(f Filters) Filters { return damaged{f, 100 << 10} }})
	r.accept(letter+strings.Repeat("x", 200<<10), theFilter)
	c := r.claim("virus", "virus")
	addr, _, _, _ := r.run()
	client, err := filterproto.NewClient(filterproto.ClientOptions{URL: "http://" + addr, Token: r.tokens["virus"]})
	if err != nil {
		t.Fatal(err)
	}
	body, err := client.Content(t.Context(), c.Token, false, 0)
	if err != nil {
		return // broken off before anything was sent
	}
	defer body.Close()
	if b, err := io.ReadAll(body); err == nil {
		t.Errorf("%d octets pass for the whole message", len(b))
	}
}

func TestDamagedContentIsLeftToBeFetchedInJSON(t *testing.T) {
	r := newRig(t, rigOptions{filters: func(f Filters) Filters { return damaged{f, 10} }})
	r.accept(letter, theFilter)
	b := good[filterproto.ClaimBatch](t, r.call("virus", "POST", "/v1/filters/virus/claims", `{"content":"inline"}`), http.StatusOK)
	if c := b.Claims[0]; c.Inline || c.Content != nil {
		t.Errorf("inline %v, %q", c.Inline, c.Content)
	}
}
