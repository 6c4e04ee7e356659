package httpapi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"mtad/api"
	"mtad/filterproto"
	"mtad/internal/admission"
	"mtad/internal/intake"
	"mtad/internal/smtp"
	"mtad/internal/submission"
	"mtad/queue"
)

// createMessage takes a message. It is not among the generated handlers: the body
// is a stream in one of several forms.
func (s *Server) createMessage(w http.ResponseWriter, r *http.Request) {
	res, err := s.takeMessage(r)
	if err != nil {
		s.refuse(w, r, submitError(err))
		return
	}
	body := api.Submitted{ID: string(res.ID), Duplicate: res.Duplicate, Recipients: []api.SubmittedRecipient{}}
	for _, p := range res.Recipients {
		body.Recipients = append(body.Recipients, api.SubmittedRecipient{ID: p.ID, Path: p.Path})
	}
	if res.Duplicate {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", "/v1/messages/"+string(res.ID))
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(body) // the peer may be gone; the message is taken
}

// takeMessage reads the form that the body has and submits it.
func (s *Server) takeMessage(r *http.Request) (admission.Result, error) {
	if err := s.bound(r); err != nil {
		return admission.Result{}, err
	}
	req, err := keyed(r)
	if err != nil {
		return admission.Result{}, err
	}
	var env *submission.Envelope
	content := io.Reader(r.Body)
	size := r.ContentLength
	switch mediaOf(r) {
	case "application/json":
		return s.takeJSON(r, req)
	case submission.MediaType:
		if r.URL.RawQuery != "" {
			return admission.Result{}, failField(filterproto.CodeInvalidParameter, "", "the envelope is in the body: no query parameters")
		}
		br := bufio.NewReaderSize(r.Body, 16<<10)
		if env, err = submission.Read(br, s.door.Limits()); err != nil {
			return admission.Result{}, readError(err)
		}
		content = br
	default:
		if env, err = envelopeOf(r.URL.Query()); err != nil {
			return admission.Result{}, err
		}
	}
	if v := r.URL.Query().Get("send_at"); v != "" {
		at, err := time.Parse(time.RFC3339, v)
		if err != nil {
			return admission.Result{}, wrong("send_at", "want a time as in 2027-01-31T12:00:00Z")
		}
		if req.NextAt, err = s.schedule(at); err != nil {
			return admission.Result{}, err
		}
	}
	req.Envelope, req.Content, req.Size = env, content, size
	return s.submit(r, req)
}

// bound refuses a body that cannot become a message the caller may hand in, before
// any of it is read where its length is said. JSON may have six octets for one.
func (s *Server) bound(r *http.Request) error {
	most := callerOf(r.Context()).grant.MaxSize
	if most <= 0 {
		most = s.door.Settings().MaxSize
	}
	if most <= 0 {
		return nil
	}
	switch mediaOf(r) {
	case "application/json":
		most = 6*most + maxSkeleton
	case submission.MediaType:
		most += int64(s.door.Limits().Block)
	}
	if r.ContentLength > most {
		return fail(filterproto.CodeMessageTooLarge, "the message is too large")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, most+1)
	return nil
}

// submit hands a request in for its caller. Every form of body comes here.
func (s *Server) submit(r *http.Request, req admission.Request) (admission.Result, error) {
	who := callerOf(r.Context())
	req.Origin = queue.OriginHTTP
	if who.local {
		req.Origin = queue.OriginSubmit
	}
	return s.door.Submit(r.Context(), who.submitter(r), req)
}

func mediaOf(r *http.Request) string {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // the guard has read it
	return media
}

// maxKey is how long an Idempotency-Key may be, in octets.
const maxKey = 255

// keyed is the beginning of a request to the door. With a key, what the request is
// goes into its digest while the body is read.
func keyed(r *http.Request) (admission.Request, error) {
	key, err := idempotencyKey(r)
	if err != nil || key == "" {
		return admission.Request{}, err
	}
	h := sha256.New()
	for _, s := range []string{r.URL.Path, r.URL.Query().Encode(), mediaOf(r)} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, h), r.Body}
	return admission.Request{Key: key, Digest: func() string { return hex.EncodeToString(h.Sum(nil)) }}, nil
}

// idempotencyKey is the request's key, "" if it has none.
func idempotencyKey(r *http.Request) (string, error) {
	const name = "Idempotency-Key"
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || values[0] == "" || len(values[0]) > maxKey {
		return "", failField(filterproto.CodeInvalidParameter, name, "want one key of 1 to 255 octets")
	}
	return values[0], nil
}

// envelopeOf reads an envelope from the query. That names are known and given once
// is the guard's.
func envelopeOf(q url.Values) (*submission.Envelope, error) {
	env := &submission.Envelope{}
	wrong := func(field, reason string) error { return failField(filterproto.CodeInvalidSubmission, field, reason) }
	if q.Get("from") == "" {
		return nil, wrong("from", "is missing; <> is the null reverse-path")
	}
	var err error
	if env.Sender, err = submission.ParseAddress(q.Get("from")); err != nil {
		return nil, wrong("from", err.Error())
	}
	if len(q["to"]) == 0 {
		return nil, wrong("to", "is missing")
	}
	var notify smtp.Notify
	if v := q.Get("notify"); v != "" {
		if notify, err = submission.ParseNotify(v); err != nil {
			return nil, wrong("notify", err.Error())
		}
	}
	for i, v := range q["to"] {
		path, err := submission.ParseAddress(v)
		switch field := "to[" + strconv.Itoa(i) + "]"; {
		case err != nil:
			return nil, wrong(field, err.Error())
		case path == "":
			return nil, wrong(field, "a recipient cannot be <>")
		}
		env.Recipients = append(env.Recipients, submission.Recipient{Path: path, Notify: notify})
	}
	if err := env.SetDSN(q.Get("envid"), q.Get("ret")); err != nil {
		var e *submission.Error
		errors.As(err, &e)
		return nil, wrong(map[string]string{"dsn-envelope-id": "envid", "dsn-return-option": "ret"}[e.Attribute], e.Reason)
	}
	if v := q.Get("orcpt"); v != "" {
		if len(env.Recipients) > 1 {
			return nil, wrong("orcpt", "there is more than one recipient")
		}
		if env.Recipients[0].ORCPT, err = submission.ParseORCPT(v); err != nil {
			return nil, wrong("orcpt", err.Error())
		}
	}
	return env, nil
}

// readError is what is wrong with a block, or with the body that it comes in.
func readError(err error) error {
	var e *submission.Error
	if !errors.As(err, &e) {
		return &admission.ReadError{Err: err}
	}
	out := failField(filterproto.CodeInvalidSubmission, e.Attribute, e.Reason)
	if e.TooLarge {
		out.Code = filterproto.CodeMessageTooLarge
	}
	if e.Line > 0 {
		out.Message = "line " + strconv.Itoa(e.Line) + ": " + e.Text()
	}
	return out
}

// submitError turns what Submit refused into what the caller is told.
func submitError(err error) error {
	var refusal *admission.Refusal
	var read *admission.ReadError
	var reply smtp.Reply
	switch {
	case errors.As(err, &refusal):
		return &filterproto.Error{Code: refusal.Code, Field: refusal.Field, Message: refusal.Message, RetryAfter: refusal.RetryAfter}
	case errors.As(err, &read):
		return uploadError(read.Err)
	case errors.Is(err, intake.ErrLoop):
		return fail(filterproto.CodeMailLoop, "too many hops")
	case errors.Is(err, intake.ErrNoVerdict):
		return &filterproto.Error{Code: filterproto.CodeMessageDeferred, Message: "the message could not be checked in time", RetryAfter: 60}
	case errors.Is(err, queue.ErrInvalid):
		return fail(filterproto.CodeInvalidSubmission, "the message is not acceptable")
	case errors.As(err, &reply) && reply.Permanent():
		return failField(filterproto.CodeInvalidSubmission, "recipient", reply.Text)
	case errors.As(err, &reply):
		return &filterproto.Error{Code: filterproto.CodeUnavailable, Message: reply.Text, RetryAfter: 60}
	}
	return err
}

// GetSubmission tells what became of a message.
func (h handlers) GetSubmission(ctx context.Context, req api.GetSubmissionRequestObject) (api.GetSubmissionResponseObject, error) {
	id, err := parseID(req.ID)
	if err != nil {
		return nil, err
	}
	items, err := h.queue.History(ctx, id.Message())
	if err != nil {
		return nil, about(id, err)
	}
	if who := callerOf(ctx); !who.has(ScopeQueueRead) && !who.handedIn(items) {
		return nil, about(id, queue.ErrNotFound) // it tells nobody that there is such a message
	}
	return api.GetSubmission200JSONResponse(submitted(id.Message(), items)), nil
}

// submitted is a message as whoever handed it in sees it.
func submitted(id queue.ID, items []queue.Item) api.Submission {
	out := api.Submission{ID: string(id), Created: items[0].Created, Sandbox: items[0].Sandbox(), SendAt: items[0].SendAt(), Recipients: []api.SubmissionRecipient{}}
	least := len(progress)
	for i := range items {
		it := &items[i]
		stage := stageOf(it)
		for p, name := range progress {
			if name == stage && p < least {
				least, out.Status = p, stage
			}
		}
		for j := range it.Envelope.Recipients {
			out.Recipients = append(out.Recipients, submittedRecipient(id, it, &it.Envelope.Recipients[j], stage))
		}
	}
	return out
}

// progress are the states of a message, the one that is least far first.
var progress = []string{"filtering", "held", "queued", "done", "rejected", "discarded", "deleted"}

func stageOf(it *queue.Item) string {
	switch {
	case it.Outcome != nil:
		return it.Outcome.Disposition.String()
	case it.Hold != nil:
		return "held"
	case it.State == queue.Unfiltered:
		return "filtering"
	}
	return "queued"
}

func submittedRecipient(id queue.ID, it *queue.Item, r *queue.Recipient, stage string) api.SubmissionRecipient {
	status := r.Status.String()
	if r.Status == queue.Pending {
		status = stage
		if stage == "queued" && it.State == queue.Deferred {
			status = "deferred"
		}
	}
	if r.Status == queue.Delivered && it.Sandbox() {
		status = "sandbox"
	}
	return api.SubmissionRecipient{
		ID: admission.RecipientID(id, r.Path), Path: r.Path, Status: status, Attempts: r.Attempts,
		LastAttempt: r.LastAttempt, LastRemote: r.LastRemote, LastReply: r.LastReply,
	}
}

// submitter is the caller as the door knows it.
func (c *caller) submitter(r *http.Request) admission.Caller {
	out := admission.Caller{Name: c.as, Login: c.login, Grant: c.grant}
	out.Client.Listener = "api"
	out.Client.Protocol = "HTTP"
	if r.TLS != nil {
		out.Client.Protocol = "HTTPS"
	}
	if c.local {
		out.Client.Listener, out.Client.Protocol = "submit", "local"
		return out
	}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		out.Client.Address, out.Client.Port = a.Addr().Unmap().WithZone("").String(), a.Port()
	}
	return out
}
