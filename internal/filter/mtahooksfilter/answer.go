package mtahooksfilter

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"mtad/internal/filter/hookclient"
	"mtad/internal/filter/scanner"
)

// patchType is the media type of a JSON Patch.
const patchType = "application/json-patch+json"

// maxOps bounds the operations of an answer.
const maxOps = 1000

// verb is what an operation does.
type verb uint8

const (
	setValue verb = iota
	addValue
	deleteValue
)

// op is one operation on the request.
type op struct {
	verb  verb
	path  string
	at    []string // path in its parts
	value json.RawMessage
	index int // of addValue to a list; -1: at its end
}

// answer is what a scanner wants to be done, in order.
type answer []op

// operations is the form of -01: sets, then additions, then deletions.
type operations struct {
	Set []struct {
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	} `json:"set"`
	Add []struct {
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
		Index *int            `json:"index"`
	} `json:"add"`
	Delete []struct {
		Path string `json:"path"`
	} `json:"delete"`
}

// parseAnswer reads an answer in either form. Nothing in it is ignored.
func parseAnswer(b []byte) (answer, error) {
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	if len(trimmed) > 0 && trimmed[0] == '[' {
		return parsePatch(b)
	}
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, scanner.Protocol("%s answers neither an object nor a list", who)
	}
	var o operations
	if err := hookclient.Strict(b, &o, false); err != nil {
		return nil, scanner.Protocol("%s: %v", who, err)
	}
	var a answer
	for _, s := range o.Set {
		a = append(a, op{verb: setValue, path: s.Path, value: s.Value})
	}
	for _, d := range o.Add {
		index := -1
		if d.Index != nil {
			if index = *d.Index; index < 0 {
				return nil, scanner.Protocol("%s: index %d", who, index)
			}
		}
		a = append(a, op{verb: addValue, path: d.Path, value: d.Value, index: index})
	}
	for _, d := range o.Delete {
		a = append(a, op{verb: deleteValue, path: d.Path})
	}
	return a, a.split()
}

// split cuts the paths into their parts (RFC 6901 §4).
func (a answer) split() error {
	if len(a) > maxOps {
		return scanner.Protocol("%s asks for %d changes", who, len(a))
	}
	for i := range a {
		if !strings.HasPrefix(a[i].path, "/") || len(a[i].path) > 200 {
			return scanner.Protocol("%s: %.60q is no path", who, a[i].path)
		}
		for _, part := range strings.Split(a[i].path[1:], "/") {
			a[i].at = append(a[i].at, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
		if a[i].verb != deleteValue && len(a[i].value) == 0 {
			return scanner.Protocol("%s: a change of %s without a value", who, a[i].path)
		}
	}
	return nil
}

// parsePatch reads a JSON Patch (RFC 6902): add, replace and remove. One with other
// operations is refused as a whole, as its §5 asks.
func parsePatch(b []byte) (answer, error) {
	var list []struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		From  string          `json:"from"`
		Value json.RawMessage `json:"value"`
	}
	if err := hookclient.Strict(b, &list, true); err != nil {
		return nil, scanner.Protocol("%s: %v", who, err)
	}
	var a answer
	for _, p := range list {
		switch o := (op{path: p.Path, value: p.Value, index: -1}); p.Op {
		case "add":
			a = append(a, o.inserted())
		case "replace":
			a = append(a, o)
		case "remove":
			o.verb = deleteValue
			a = append(a, o)
		default:
			return nil, scanner.Protocol("%s: operation %.20q", who, p.Op)
		}
	}
	return a, a.split()
}

// inserted makes an addition of JSON Patch one of -01: it names the place in a
// list by the last part of the path, and a member of an object is set.
func (o op) inserted() op {
	list, last := o.path, ""
	if i := strings.LastIndexByte(o.path, '/'); i >= 0 {
		list, last = o.path[:i], o.path[i+1:]
	}
	if list != "/message/headers" && list != "/envelope/to" {
		return o
	}
	o.verb, o.path = addValue, list
	if last != "-" {
		n, ok := position(last)
		if !ok {
			n = maxOps * maxOps // no list is so long
		}
		o.index = n
	}
	return o
}

// position reads a place in a list (RFC 6901 §4).
func position(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 20)
	return int(n), err == nil && strconv.FormatUint(n, 10) == s
}

// bodies reports whether the answer gives the message back.
func (a answer) bodies() bool {
	for _, o := range a {
		if o.path == rawMessage && o.verb == setValue {
			return true
		}
	}
	return false
}

// decodeRaw writes the message that the answer gives back to w, when it was short.
func (a answer) decodeRaw(w io.Writer) error {
	for _, o := range a {
		if o.path != rawMessage || o.verb != setValue {
			continue
		}
		var text string
		if json.Unmarshal(o.value, &text) != nil {
			return scanner.Protocol("%s: a message that is no string", who)
		}
		d := &decoder{w: w}
		for i := range len(text) {
			if err := d.put(text[i]); err != nil {
				return err
			}
		}
		return d.end()
	}
	return nil
}
