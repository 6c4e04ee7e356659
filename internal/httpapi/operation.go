package httpapi

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"mtad/api"
	"mtad/filterproto"
)

// operation is an operation of openapi.yaml with what the guard needs.
type operation struct {
	api.Operation
	body        reflect.Type // of a JSON body
	filterParam bool         // the path names the filter
}

// bodies are the types of JSON bodies by operation.
var bodies = map[string]reflect.Type{
	"createClaims":   reflect.TypeFor[api.CreateClaimsJSONRequestBody](),
	"renewClaims":    reflect.TypeFor[api.RenewClaimsJSONRequestBody](),
	"releaseClaims":  reflect.TypeFor[api.ReleaseClaimsJSONRequestBody](),
	"createVerdicts": reflect.TypeFor[api.CreateVerdictsJSONRequestBody](),
	"actOnMessage":   reflect.TypeFor[api.ActOnMessageJSONRequestBody](),
	"replayWebhook":  reflect.TypeFor[api.ReplayWebhookJSONRequestBody](),
	"createToken":    reflect.TypeFor[api.CreateTokenJSONRequestBody](),
	"createJob":      reflect.TypeFor[api.CreateJobJSONRequestBody](),
}

// repeatable are the query parameters that may come more than once.
var repeatable = map[string]bool{"state": true, "age": true, "type": true, "to": true}

func newOperations() map[string]*operation {
	m := make(map[string]*operation)
	for _, o := range api.Operations() {
		m[o.Method+" "+o.Path] = &operation{
			Operation:   o,
			body:        bodies[o.ID],
			filterParam: strings.Contains(o.Path, "{filter}"),
		}
	}
	return m
}

// request is what the layers around a handler know of a request.
type request struct {
	op     *operation
	accept string // the media type of the answer
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	q, _ := ctx.Value(requestKey{}).(*request)
	if q == nil {
		q = &request{}
	}
	if q.op == nil {
		return &request{op: &operation{}, accept: q.accept}
	}
	return q
}

func operationOf(r *http.Request) *operation { return requestOf(r.Context()).op }

func pathParam(r *http.Request, name string) string { return chi.URLParam(r, name) }

// checkQuery refuses what the operation does not know, and single parameters that
// come twice. net/http would drop malformed pairs in silence.
func (op *operation) checkQuery(raw string) *filterproto.Error {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return fail(filterproto.CodeInvalidParameter, "malformed query")
	}
	for name, values := range q {
		if !slices.Contains(op.Query, name) {
			return failField(filterproto.CodeUnknownField, (&place{name: name}).String(), "unknown query parameter")
		}
		if len(values) > 1 && !repeatable[name] {
			return failField(filterproto.CodeInvalidParameter, name, "given twice")
		}
	}
	return nil
}

// negotiate picks the media type of the answer: the first of Produces unless
// Accept prefers another one (RFC 9110 §12.5.1).
func (op *operation) negotiate(accept []string) (string, bool) {
	if len(op.Produces) == 0 {
		return "", true // it answers without a body
	}
	best, weight := "", 0.0
	if len(accept) == 0 {
		return op.Produces[0], true
	}
	for _, r := range strings.Split(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(r))
		if err != nil {
			continue
		}
		q := 1.0
		if v, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		if t, ok := op.produces(media); ok && q > weight {
			best, weight = t, q
		}
	}
	return best, best != ""
}

func (op *operation) produces(media string) (string, bool) {
	for _, p := range op.Produces {
		kind, _, _ := strings.Cut(p, "/")
		if media == p || media == "*/*" || media == kind+"/*" {
			return p, true
		}
	}
	return "", false
}

// consumes reports whether a body of this Content-Type is taken.
func (op *operation) consumes(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(op.Consumes, media) {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}
