package filterproto

// RenewRequest lets leases run for Lease seconds from now.
type RenewRequest struct {
	Tokens []string `json:"tokens"`
	Lease  float64  `json:"lease,omitempty"`
}

// ReleaseRequest gives messages back without a verdict; they are not offered
// again for Delay seconds. With Lost it counts as a lease that ran out.
type ReleaseRequest struct {
	Tokens []string `json:"tokens"`
	Delay  float64  `json:"delay,omitempty"`
	Lost   bool     `json:"lost,omitempty"`
}

// VerdictRequest judges messages. Each entry is a change of its own.
type VerdictRequest struct {
	Verdicts []VerdictEntry `json:"verdicts"`
}

// VerdictEntry judges one message. Repeated with the same Token and Nonce it
// answers what the first one answered.
type VerdictEntry struct {
	Token   string  `json:"token"`
	Nonce   string  `json:"nonce,omitempty"` // at most MaxNonce octets
	Verdict Verdict `json:"verdict"`
}

// Results answers a batch: Results[i] belongs to the i-th entry.
type Results struct {
	Results []Result `json:"results"`
}

// Result answers one entry of a batch.
type Result struct {
	Token string       `json:"token"`
	OK    bool         `json:"ok"`
	Error *Error       `json:"error,omitempty"`
	Items []ResultItem `json:"items,omitempty"` // what the message became
}

// ResultItem is a message, or a part of it, after a verdict.
type ResultItem struct {
	ID      string `json:"id"`
	State   string `json:"state,omitempty"` // "" when it is finished
	Stage   string `json:"stage,omitempty"`
	Held    bool   `json:"held,omitempty"`
	Outcome string `json:"outcome,omitempty"` // done, rejected, discarded
}

// Upload names octets that were sent for an edit.
type Upload struct {
	Upload string `json:"upload"`
	Size   int64  `json:"size"`
}

// Error is how the server says no. Code is stable and one of spec/errors.json.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	QueueID string `json:"queue_id,omitempty"`
	// Field is the path of the field that is wrong.
	Field string `json:"field,omitempty"`
	// RetryAfter is how many seconds to wait before trying again; 0: not said.
	RetryAfter int `json:"retry_after,omitempty"`
	// Status is the HTTP status; not part of the body.
	Status int `json:"-"`
}

func (e *Error) Error() string {
	s := e.Code + ": " + e.Message
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	return s
}

// Is matches another *Error by its code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}
