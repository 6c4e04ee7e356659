package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"mtad/filterproto"
	"mtad/internal/admission"
)

type callerKey struct{}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	if c == nil {
		return &caller{}
	}
	return c
}

// authenticate finds out who calls, before anything is routed or parsed.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromWebPage(r) {
			writeError(w, fail(filterproto.CodeCrossSite, "requests from web pages are refused"))
			return
		}
		if open(r) {
			next.ServeHTTP(w, r)
			return
		}
		who, err := s.identify(r)
		if err != nil {
			s.deny(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// open reports whether a request is one of the two probes that tell nothing.
func open(r *http.Request) bool {
	return r.URL.RawPath == "" && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz")
}

// fromWebPage recognises what a browser sends on behalf of a page. A person may
// type an address (Sec-Fetch-Site: none); nothing here is for pages, of any site.
func fromWebPage(r *http.Request) bool {
	if _, ok := r.Header["Origin"]; ok {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "none"
}

// identify joins what the connection and the token say. A token that is given has
// to be good, also where the connection would do.
func (s *Server) identify(r *http.Request) (*caller, *filterproto.Error) {
	a := s.access.Load()
	who := &caller{}
	known := false
	if c, ok := credentialsOf(r.Context()); ok {
		p, _ := a.peer(c)
		s.mayHandIn(&p, c)
		who, known = &p, true // the kernel says who it is; what it may do is for authorize
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		if !known {
			return nil, fail(filterproto.CodeUnauthorized, "a bearer token is needed")
		}
		return who, nil
	}
	scheme, plain, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, fail(filterproto.CodeUnauthorized, "want one Authorization: Bearer")
	}
	t, ok := s.token(a, strings.TrimSpace(plain))
	if !ok {
		return nil, fail(filterproto.CodeUnauthorized, "the token is unknown or has expired")
	}
	if t.Name != "" {
		who.name = t.Name
	} else if !known {
		who.name = "token"
	}
	if !who.has(ScopeTokens) {
		who.until = t.Expires
	}
	who.scopes = append(who.scopes, t.Scopes...)
	if slices.Contains(t.Scopes, ScopeSubmit) {
		who.grant, who.as, who.since = t.Submit, "token:"+t.Name, t.Created
	}
	return who, nil
}

// mayHandIn gives a local user what submission.allow says.
func (s *Server) mayHandIn(who *caller, c credentials) {
	who.local, who.login, who.as = true, loginOf(c.uid), "uid:"+strconv.Itoa(c.uid)
	own := c.uid == 0 || c.uid == os.Geteuid() // its scopes are those of Options.Peers
	grant, ok := s.door.GrantOf(c.uid, c.groups)
	switch {
	case ok:
		who.grant = grant
		if !own {
			who.scopes = append(slices.Clip(who.scopes), ScopeSubmit)
		}
	case who.has(ScopeSubmit): // by api.peers
		who.grant = admission.Grant{Chain: s.door.Settings().Chain}
	}
}

// loginOf finds the name of a user when it is asked for.
func loginOf(uid int) func() string {
	return func() string {
		u, err := user.LookupId(strconv.Itoa(uid))
		if err != nil {
			return ""
		}
		return u.Username
	}
}

// deny answers a failed authentication: 401, or 429 to an address that does it
// over and over. A good token is never refused for its neighbours' failures: a
// secret of 256 bits is not guessed, and what is bounded here is noise and logs.
func (s *Server) deny(w http.ResponseWriter, r *http.Request, e *filterproto.Error) {
	writeError(w, s.denial(addressOf(r), r, e))
}

func (s *Server) denial(addr string, r *http.Request, e *filterproto.Error) *filterproto.Error {
	wait, ok := s.failures.allow(addr, s.now())
	if !ok {
		e = fail(filterproto.CodeRateLimited, "too many failed authentications")
		e.RetryAfter = seconds(wait)
	} else {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "authentication failed",
			slog.String("client_address", addr), slog.String("reason", e.Message))
	}
	s.metrics.denied(e.Code)
	return e
}

// authorize checks the scope of the operation that was routed to.
func (s *Server) authorize(op *operation, r *http.Request) *filterproto.Error {
	who := callerOf(r.Context())
	ok := false
	switch {
	case op.Scope == "":
		ok = true
	case op.filterParam:
		ok = who.mayFilter(pathParam(r, "filter"))
	case strings.HasPrefix(op.Scope, ScopeFilter):
		ok = who.anyFilter() // which one is decided by the claim's token
	case op.ID == "getSubmission":
		ok = who.has(op.Scope) || who.has(ScopeQueueRead)
	case op.ID == "cancelMessage":
		ok = who.has(op.Scope) || who.has(ScopeQueueWrite)
	default:
		ok = who.has(op.Scope)
	}
	if ok {
		return nil
	}
	if who.local && r.Header.Get("Authorization") == "" {
		switch {
		case op.Scope == ScopeSubmit:
			return s.denySubmission(who, r)
		case len(who.scopes) == 0:
			return s.denial(who.name, r, fail(filterproto.CodeUnauthorized, "a bearer token is needed"))
		}
	}
	s.metrics.denied(filterproto.CodeForbidden)
	return fail(filterproto.CodeForbidden, "the scope "+strings.ReplaceAll(op.Scope, "{filter}", "NAME")+" is needed")
}

// denySubmission answers a local user whom no rule names, with one line in the log;
// a user who goes on trying does not fill it.
func (s *Server) denySubmission(who *caller, r *http.Request) *filterproto.Error {
	if _, ok := s.failures.allow(who.name, s.now()); ok {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "submission refused",
			slog.String("by", who.name), slog.String("reason", "not in submission.allow"))
	}
	s.metrics.denied(filterproto.CodeSubmissionForbidden)
	return fail(filterproto.CodeSubmissionForbidden, "this user may not hand in mail")
}
