package auth

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

// The mechanisms for access tokens: RFC 7628, and the older one that Google and
// Microsoft have described.
const (
	OAuthBearer = "OAUTHBEARER"
	XOAuth2     = "XOAUTH2"
)

// tokenMessage is what a client says: who it wants to be, "" being whoever the
// token says, and the token, "" being a question of where to get one.
type tokenMessage struct {
	identity string
	token    string
}

// maxToken is more than any token has that fits into a line of the dialogue.
const maxToken = MaxLine

// parseBearer reads a message of OAUTHBEARER (RFC 7628 §3.1): the GS2 header,
// and pairs between octets 1. Pairs that nobody knows are passed over.
func parseBearer(msg []byte) (m tokenMessage, err error) {
	header, rest, ok := strings.Cut(string(msg), "\x01")
	if !ok {
		return m, ErrSyntax
	}
	f := strings.Split(header, ",")
	// There is no form with channel binding, so "y" is as good as "n".
	if len(f) != 3 || f[0] != "n" && f[0] != "y" || f[2] != "" {
		return m, ErrSyntax
	}
	if f[1] != "" {
		name, ok := strings.CutPrefix(f[1], "a=")
		if m.identity, err = saslName(name); !ok || err != nil || m.identity == "" {
			return m, ErrSyntax
		}
	}
	pairs, err := kvPairs(rest)
	if err != nil {
		return m, err
	}
	m.token, err = bearer(pairs["auth"])
	return m, err
}

// parseXOAuth2 reads "user=ann^Aauth=Bearer token^A^A".
func parseXOAuth2(msg []byte) (m tokenMessage, err error) {
	pairs, err := kvPairs(string(msg))
	if err != nil {
		return m, err
	}
	if m.identity = pairs["user"]; m.identity == "" {
		return m, ErrSyntax
	}
	m.token, err = bearer(pairs["auth"])
	return m, err
}

// kvPairs reads "key=value" with an octet 1 behind each, and one more at the
// end. No key may come twice: two readers would not take the same one.
func kvPairs(s string) (map[string]string, error) {
	s, ok := strings.CutSuffix(s, "\x01")
	if !ok {
		return nil, ErrSyntax
	}
	pairs := map[string]string{}
	for s != "" {
		pair, rest, ok := strings.Cut(s, "\x01")
		key, value, isPair := strings.Cut(pair, "=")
		_, twice := pairs[key]
		if !ok || !isPair || twice || !kvKey(key) || !kvValue(value) {
			return nil, ErrSyntax
		}
		pairs[key], s = value, rest
	}
	return pairs, nil
}

func kvKey(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
}

func kvValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f })
}

// saslName undoes =2C and =3D, the only escapes there are (RFC 5801 §4).
func saslName(s string) (string, error) {
	plain := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	if strings.Count(s, "=") != strings.Count(s, "=2C")+strings.Count(s, "=3D") || !kvValue(plain) {
		return "", ErrSyntax
	}
	return plain, nil
}

// bearer is the token of "Bearer token" (RFC 6750 §2.1).
func bearer(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	body := strings.TrimRight(token, "=")
	if !strings.EqualFold(scheme, "Bearer") || body == "" || len(token) > maxToken || strings.ContainsFunc(body, notTokenOctet) {
		return "", ErrSyntax
	}
	return token, nil
}

func notTokenOctet(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._~+/", r)
}

// tokenExchange is one run of a mechanism for tokens.
type tokenExchange struct {
	oauth     *OAuth
	mechanism string
	login     string
	failed    error // the client was told why; its answer does not matter
}

func (x *tokenExchange) Login() string { return x.login }

func (x *tokenExchange) Close() {}

// Next takes the message; a client that fails is told why, and its answer, which
// says nothing (RFC 7628 §3.2.3), waited for.
func (x *tokenExchange) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	switch {
	case x.failed != nil:
		return nil, false, x.failed
	case response == nil:
		return []byte{}, false, nil
	}
	parse := parseBearer
	if x.mechanism == XOAuth2 {
		parse = parseXOAuth2
	}
	m, err := parse(response)
	if err != nil {
		return nil, false, err
	}
	login, err := x.judge(ctx, m)
	var no *refusal
	if errors.As(err, &no) {
		x.failed = err
		return x.failure(no), false, nil
	}
	if err != nil {
		return nil, false, err
	}
	x.login = login
	return nil, true, nil
}

// judge finds whose the token is.
func (x *tokenExchange) judge(ctx context.Context, m tokenMessage) (string, error) {
	if m.token == "" {
		return "", &refusal{reason: "no token"}
	}
	login, err := x.oauth.Login(ctx, m.token)
	switch {
	case err != nil:
		return "", err
	case m.identity != "" && x.oauth.name(m.identity) != login:
		return "", &refusal{reason: "the token is of another login"}
	}
	return login, nil
}

// failure is what the client is told (RFC 7628 §3.2.2; for XOAUTH2 as its
// authors do).
func (x *tokenExchange) failure(no *refusal) []byte {
	told := struct {
		Status    string `json:"status"`
		Schemes   string `json:"schemes,omitempty"`
		Scope     string `json:"scope,omitempty"`
		Discovery string `json:"openid-configuration,omitempty"`
	}{Status: "invalid_token", Scope: strings.Join(x.oauth.o.Scopes, " "), Discovery: x.oauth.o.Discovery}
	if no.scope {
		told.Status = "insufficient_scope"
	}
	if x.mechanism == XOAuth2 {
		told.Status, told.Schemes, told.Discovery = "401", "bearer", ""
	}
	b, err := json.Marshal(told)
	if err != nil {
		return []byte("{}")
	}
	return b
}
