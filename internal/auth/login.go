package auth

import "github.com/emersion/go-sasl"

// loginServer is the server side of LOGIN, which no RFC describes: the client is
// asked for its name and then for its password. A name that came with the
// command is taken.
type loginServer struct {
	named        bool
	name         string
	authenticate func(name, password string) error
}

var _ sasl.Server = (*loginServer)(nil)

// Next takes the name or the password.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case !l.named:
		l.name, l.named = string(response), true
		return []byte("Password:"), false, nil
	}
	return nil, true, l.authenticate(l.name, string(response))
}
