package msa

import (
	"io"
	"mime"
	"net/mail"
	"strings"
)

// authors are the addresses in From. readable is false when there is none, or
// something in it that is no address.
func (c *Completer) authors() (addresses []string, readable bool) {
	if c.froms == 0 || len(c.from) >= maxFrom {
		return nil, false
	}
	value := strings.NewReplacer("\r\n", "", "\n", "").Replace(string(c.from))
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: nothing}}
	list, err := parser.ParseList(strings.TrimRight(value, ", \t"))
	if err != nil || len(list) == 0 {
		return nil, false
	}
	for _, a := range list {
		addresses = append(addresses, a.Address)
	}
	return addresses, true
}

// nothing reads a display name in any charset as "x": names are not
// looked at.
func nothing(string, io.Reader) (io.Reader, error) { return strings.NewReader("x"), nil }
