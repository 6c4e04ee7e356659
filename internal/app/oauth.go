package app

import (
	"fmt"
	"strings"

	"mtad/internal/auth"
	"mtad/internal/config"
)

// oauth is who is asked about the access tokens of a section.
func oauth(section config.Auth, p private) (*auth.OAuth, error) {
	o := section.OAuth
	client, secret, ok := strings.Cut(p.credentials, ":")
	if p.credentials != "" && (!ok || client == "") {
		return nil, fmt.Errorf("%s: not client_id:client_secret", o.CredentialsFile)
	}
	return auth.NewOAuth(auth.OAuthOptions{
		Introspection: o.Introspection, Client: client, Secret: secret, Authorities: p.authorities,
		Claim: o.Login, Scopes: o.Scopes, Audience: o.Audience, Discovery: o.Discovery,
		Realm: section.Realm, Timeout: o.Timeout,
	})
}
