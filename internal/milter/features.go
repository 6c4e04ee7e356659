package milter

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Actions a filter may ask for.
const (
	actAddHeaders    uint32 = 1 << iota
	actChangeBody           // replace the body
	actAddRcpt              // add recipients
	actDeleteRcpt           // remove them
	actChangeHeaders        // change, delete and insert headers
	actQuarantine
	actChangeFrom
	actAddRcptParams // add recipients with parameters
	actSetMacros     // say which macros it wants
)

// Steps a filter does not want to see (no…), or does not answer (quiet…).
const (
	noConnect      uint32 = 1 << 0
	noHelo         uint32 = 1 << 1
	noMail         uint32 = 1 << 2
	noRcpt         uint32 = 1 << 3
	noBody         uint32 = 1 << 4
	noHeaders      uint32 = 1 << 5
	noEndOfHeaders uint32 = 1 << 6
	quietHeaders   uint32 = 1 << 7
	noUnknown      uint32 = 1 << 8
	noData         uint32 = 1 << 9
	canSkip        uint32 = 1 << 10
	quietConnect   uint32 = 1 << 12
	quietHelo      uint32 = 1 << 13
	quietMail      uint32 = 1 << 14
	quietRcpt      uint32 = 1 << 15
	quietData      uint32 = 1 << 16
	quietUnknown   uint32 = 1 << 17
	quietEOH       uint32 = 1 << 18
	quietBody      uint32 = 1 << 19
	leadingSpace   uint32 = 1 << 20
)

// features are what two sides agree on.
type features struct {
	version           uint32
	actions, protocol uint32
	macros            map[Stage][]string // asked for by the filter
}

// What is offered. A filter hangs up when it misses something, so everything is
// offered; one that cannot read version 6 gets what version 2 had.
var (
	newest = features{version: 6, actions: 0x1ff, protocol: 0x1ff7ff}
	oldest = features{version: 2, actions: 0x3f, protocol: 0x7f}
)

func (f features) packet() []byte {
	var b []byte
	for _, v := range []uint32{f.version, f.actions, f.protocol} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// agree reads a filter's answer to an offer.
func (f features) agree(data []byte) (features, error) {
	if len(data) < 12 {
		return features{}, protocolError("negotiate", fmt.Sprintf("%d octets", len(data)))
	}
	got := features{
		version: binary.BigEndian.Uint32(data), actions: binary.BigEndian.Uint32(data[4:]), protocol: binary.BigEndian.Uint32(data[8:]),
	}
	switch {
	case got.version < oldest.version || got.version > f.version:
		return features{}, protocolError("negotiate", fmt.Sprintf("version %d to an offer of %d", got.version, f.version))
	case got.actions&^f.actions != 0:
		return features{}, protocolError("negotiate", fmt.Sprintf("actions %#x that were not offered", got.actions&^f.actions))
	case got.protocol&^f.protocol != 0:
		return features{}, protocolError("negotiate", fmt.Sprintf("steps %#x that were not offered", got.protocol&^f.protocol))
	}
	var err error
	got.macros, err = parseMacroLists(data[12:])
	return got, err
}

func (f features) has(bit uint32) bool { return f.protocol&bit != 0 }

// maxMacroList bounds the names that a filter asks for at one stage.
const maxMacroList = 8 << 10

// parseMacroLists reads what follows the three numbers: stage and names, as often
// as the filter likes.
func parseMacroLists(data []byte) (map[Stage][]string, error) {
	var lists map[Stage][]string
	for len(data) > 0 {
		if len(data) < 5 {
			return nil, protocolError("negotiate", "a macro list is cut short")
		}
		stage := binary.BigEndian.Uint32(data)
		text, rest, ok := strings.Cut(string(data[4:]), "\x00")
		if _, twice := lists[Stage(stage)]; twice || !ok || len(text) > maxMacroList || stage >= uint32(stages) {
			return nil, protocolError("negotiate", "bad macro list")
		}
		if lists == nil {
			lists = map[Stage][]string{}
		}
		names := []string{}
		for _, n := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
			names = append(names, canonical(n))
		}
		lists[Stage(stage)] = names
		data = []byte(rest)
	}
	return lists, nil
}
