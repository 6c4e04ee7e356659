package rspamdfilter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"

	"mtad/internal/filter/scanner"
)

// maxAnswer bounds the JSON, in octets.
const maxAnswer = 4 << 20

// answer is what rspamd says of a message. Fields of later versions are ignored.
type answer struct {
	Action   *string
	Score    *float64
	Required float64
	Symbols  ordered[symbol]
	Messages map[string]any
	Subject  *string
	Milter   milterBlock
	DKIM     oneOrMany[string]
}

// fields are the answer's parts by their names, which are compared exactly.
func (a *answer) fields() map[string]any {
	return map[string]any{
		"action": &a.Action, "score": &a.Score, "required_score": &a.Required, "symbols": &a.Symbols, "messages": &a.Messages,
		"subject": &a.Subject, "milter": &a.Milter, "dkim-signature": &a.DKIM,
	}
}

type symbol struct {
	Score float64 `json:"score"`
}

// milterBlock are the changes that rspamd asks for.
type milterBlock struct {
	Remove     ordered[oneOrMany[int]]      `json:"remove_headers"`
	Add        ordered[oneOrMany[addition]] `json:"add_headers"`
	ChangeFrom *string                      `json:"change_from"`
	AddRcpt    []string                     `json:"add_rcpt"`
	DelRcpt    []string                     `json:"del_rcpt"`
	Reject     string                       `json:"reject"`
	NoAction   bool                         `json:"no_action"`
	SpamHeader spamHeader                   `json:"spam_header"`
}

// parseAnswer reads the JSON, all of it.
func parseAnswer(b []byte) (answer, error) {
	var a answer
	var all ordered[json.RawMessage]
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&all); err != nil {
		return a, scanner.Protocol("rspamd's answer: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return a, scanner.Protocol("rspamd's answer goes on behind its end")
	}
	fields := a.fields()
	for _, f := range all {
		to, known := fields[f.Name]
		if !known {
			continue
		}
		if to == nil {
			return a, scanner.Protocol("rspamd's answer has %s twice", f.Name)
		}
		if err := json.Unmarshal(f.Value, to); err != nil {
			return a, scanner.Protocol("rspamd's answer: %s: %v", f.Name, err)
		}
		fields[f.Name] = nil
	}
	if a.Action == nil {
		return a, scanner.Protocol("rspamd's answer names no action")
	}
	if a.Score == nil || math.Abs(*a.Score) > 1e9 {
		return a, scanner.Protocol("rspamd's answer has no score")
	}
	return a, nil
}

// entry is a name with its value.
type entry[T any] struct {
	Name  string
	Value T
}

// ordered is a JSON object in the order in which it was written. A null or an
// empty list (how Lua writes an empty table) is an empty one.
type ordered[T any] []entry[T]

// UnmarshalJSON implements json.Unmarshaler.
func (o *ordered[T]) UnmarshalJSON(b []byte) error {
	if s := string(bytes.TrimSpace(b)); s == "null" || s == "[]" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("want an object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		var e entry[T]
		e.Name, _ = t.(string)
		if err := dec.Decode(&e.Value); err != nil {
			return err
		}
		*o = append(*o, e)
	}
	return nil
}

// oneOrMany is a value, or a list of them.
type oneOrMany[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(o))
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*o = oneOrMany[T]{one}
	return nil
}

// addition is a header field: a value, or a value with its place.
type addition struct {
	Value string
	Order *int
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *addition) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &a.Value)
	}
	var long struct {
		Value *string `json:"value"`
		Order *int    `json:"order"`
		Index *int    `json:"index"`
	}
	if err := json.Unmarshal(b, &long); err != nil {
		return err
	}
	if long.Value == nil {
		return errors.New("a header field without a value")
	}
	a.Value, a.Order = *long.Value, long.Order
	if a.Order == nil {
		a.Order = long.Index
	}
	return nil
}

// spamHeader is a value for the usual field, or an object of fields.
type spamHeader struct {
	Value  string
	Fields ordered[string]
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *spamHeader) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &s.Value)
	}
	return json.Unmarshal(b, &s.Fields)
}
