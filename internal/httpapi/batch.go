package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"html"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/admission"
)

// newBatch is one template for many (NewBatch of openapi.yaml).
type newBatch struct {
	Template newMessage   `json:"template"`
	Messages []batchEntry `json:"messages"`
}

type batchEntry struct {
	To   oneAddress        `json:"to"`
	Vars map[string]string `json:"vars"`
}

// Bounds of a batch.
const (
	maxBatch     = 1000
	batchAtOnce  = 16
	maxVars      = 100
	maxBatchText = 1 << 20 // octets of a text with its variables in place
)

// createBatch takes many messages. It is not among the generated handlers, as
// createMessage is not.
func (s *Server) createBatch(w http.ResponseWriter, r *http.Request) {
	results, replayed, err := s.takeBatch(r)
	if err != nil {
		s.refuse(w, r, submitError(err))
		return
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(api.BatchResults{Results: results}) // the peer may be gone; what was taken is taken
}

// takeBatch submits every message of a batch. Each has a key of its own, made from
// the batch's: a repetition makes what is missing and nothing else.
func (s *Server) takeBatch(r *http.Request) (results []api.BatchResult, replayed bool, err error) {
	if err := s.bound(r); err != nil {
		return nil, false, err
	}
	whole, err := keyed(r)
	if err != nil {
		return nil, false, err
	}
	if r.URL.RawQuery != "" {
		return nil, false, failField(filterproto.CodeInvalidParameter, "", "no query parameters here")
	}
	var b newBatch
	body, err := s.readMessage(r, &b)
	defer func() { _ = body.Close() }()
	if err != nil {
		return nil, false, err
	}
	if err := checkBatch(&b, body); err != nil {
		return nil, false, err
	}
	at, err := s.schedule(b.Template.SendAt)
	if err != nil {
		return nil, false, err
	}
	run := &batch{s: s, r: r, b: &b, body: body, digest: whole.Digest, key: whole.Key, base: admission.Request{NextAt: at}}
	end, err := run.begin()
	if err != nil {
		return nil, false, err
	}
	defer end()
	results, replayed = run.all()
	return results, replayed, nil
}

func checkBatch(b *newBatch, body *spilled) error {
	t := &b.Template
	for _, l := range []struct {
		name string
		list addressList
	}{{"to", t.To}, {"cc", t.Cc}, {"bcc", t.Bcc}} {
		if len(l.list.list) > 0 {
			return wrong("template."+l.name, "recipients stand in messages")
		}
	}
	for _, v := range []struct {
		name string
		text *string
	}{{"text", t.Text}, {"html", t.HTML}} {
		if v.text == nil {
			continue
		}
		var ok bool
		if *v.text, ok = body.text(*v.text); !ok {
			return wrong("template."+v.name, "is longer than 64 KiB")
		}
	}
	if len(b.Messages) == 0 || len(b.Messages) > maxBatch {
		return wrong("messages", "want 1 to "+strconv.Itoa(maxBatch))
	}
	return nil
}

// batch is one under way.
type batch struct {
	s      *Server
	r      *http.Request
	b      *newBatch
	body   *spilled
	key    string
	digest func() string
	base   admission.Request
}

// begin takes the batch's key, and refuses one that was another batch's.
func (b *batch) begin() (end func(), err error) {
	if b.key == "" {
		return func() {}, nil
	}
	who := callerOf(b.r.Context()).submitter(b.r)
	end, err = b.s.door.Begin(who, b.key)
	if err != nil {
		return nil, err
	}
	for i := range b.b.Messages {
		if err := b.s.door.Known(b.r.Context(), who, b.entryKey(i), b.entryDigest(i)); err != nil {
			end()
			return nil, err
		}
	}
	return end, nil
}

func (b *batch) entryKey(i int) string { return b.key + "\x00batch\x00" + strconv.Itoa(i) }

func (b *batch) entryDigest(i int) func() string {
	return func() string {
		sum := sha256.Sum256([]byte(b.digest() + ":" + strconv.Itoa(i)))
		return hex.EncodeToString(sum[:])
	}
}

// all submits the messages, a few at a time, and answers in their order.
func (b *batch) all() (results []api.BatchResult, replayed bool) {
	results = make([]api.BatchResult, len(b.b.Messages))
	again := make([]bool, len(results))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(batchAtOnce, len(results)) {
		wg.Go(func() {
			for i := range next {
				results[i], again[i] = b.one(i)
			}
		})
	}
	for i := range results {
		next <- i
	}
	close(next)
	wg.Wait()
	replayed = true
	for _, a := range again {
		replayed = replayed && a
	}
	return results, replayed
}

// one submits one message.
func (b *batch) one(i int) (out api.BatchResult, again bool) {
	res, err := b.submit(i)
	if err != nil {
		return api.BatchResult{Error: b.refused(b.r.Context(), i, err)}, false
	}
	out.ID, out.Duplicate = string(res.ID), res.Duplicate
	for _, p := range res.Recipients {
		out.Recipients = append(out.Recipients, api.SubmittedRecipient{ID: p.ID, Path: p.Path})
	}
	return out, res.Duplicate
}

func (b *batch) submit(i int) (admission.Result, error) {
	m := b.b.Template
	e := &b.b.Messages[i]
	m.To = addressList{list: []oneAddress{e.To}}
	if err := fill(&m, e.Vars); err != nil {
		return admission.Result{}, err
	}
	req := b.base
	if b.key != "" {
		req.Key, req.Digest = b.entryKey(i), b.entryDigest(i)
	}
	maker := builder{body: b.body, host: b.s.door.Hostname(), now: b.s.now()}
	letter, err := maker.request(&m, &req)
	if err != nil {
		return admission.Result{}, err
	}
	content, done := stream(letter)
	defer done()
	req.Content, req.Canonical = content, true
	return b.s.submit(b.r, req)
}

// refused is what the caller is told of one message.
func (b *batch) refused(ctx context.Context, i int, err error) api.Error {
	e, known := errorOf(submitError(err))
	if !known {
		b.s.log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("operation", "createBatch"), slog.Any("error", err))
	}
	out := api.Error{Code: e.Code, Message: e.Message, Field: e.Field, QueueID: e.QueueID, RetryAfter: e.RetryAfter}
	switch {
	case out.Field == "":
	case out.Field == "to" || strings.HasPrefix(out.Field, "vars"):
		out.Field = "messages[" + strconv.Itoa(i) + "]." + out.Field
	case e.Code == filterproto.CodeInvalidSubmission:
		out.Field = "template." + out.Field
	}
	return out
}

// fill puts variables into a template's texts, subject and header fields. What a
// value says is never looked at again, and is escaped within HTML.
func fill(m *newMessage, vars map[string]string) error {
	if len(vars) > maxVars {
		return wrong("vars", "more than "+strconv.Itoa(maxVars))
	}
	for name := range vars {
		if !word(name, maxTag) {
			return wrong("vars", "want names of up to 64 letters, digits and ._-")
		}
	}
	plain := func(v string) string { return v }
	var err error
	if m.Subject, err = substitute(m.Subject, vars, plain); err != nil {
		return err
	}
	for _, t := range []struct {
		text   **string
		escape func(string) string
	}{{&m.Text, plain}, {&m.HTML, html.EscapeString}} {
		if *t.text == nil {
			continue
		}
		v, err := substitute(**t.text, vars, t.escape)
		if err != nil {
			return err
		}
		*t.text = &v
	}
	list := append([]newField(nil), m.Headers.list...)
	for i := range list {
		if list[i].Value, err = substitute(list[i].Value, vars, plain); err != nil {
			return err
		}
	}
	m.Headers.list = list
	return nil
}

// substitute replaces {{name}}. Braces around anything but a name stay.
func substitute(text string, vars map[string]string, escape func(string) string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{{")
		name, after, closed := strings.Cut(rest, "}}")
		name = strings.Trim(name, " ")
		if b.WriteString(before); !ok {
			return b.String(), nil
		}
		if !closed || !word(name, maxTag) {
			b.WriteString("{{")
			text = rest
			continue
		}
		v, known := vars[name]
		if !known {
			return "", wrong("vars."+name, "is missing")
		}
		b.WriteString(escape(v))
		if b.Len() > maxBatchText {
			return "", wrong("vars", "the text gets longer than 1 MiB")
		}
		text = after
	}
}
