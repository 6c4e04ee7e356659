package auth

// refusal is ErrRefused with its reason, which is for the log: in words of ours,
// nothing that a client sent.
type refusal struct {
	reason string
	scope  bool // the token is good, and not for this
}

func (r *refusal) Error() string { return ErrRefused.Error() + ": " + r.reason }

// Unwrap makes it an ErrRefused.
func (r *refusal) Unwrap() error { return ErrRefused }
