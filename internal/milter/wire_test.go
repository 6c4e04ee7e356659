package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// FuzzReadPacket: whatever comes, no more memory is taken than a packet may have,
// and a packet that is read can be written again octet for octet.
func FuzzReadPacket(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01c"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xffc"))
	f.Add([]byte("\x00\x00\x00\x05hA\x00b\x00\x00\x00\x00\x01c"))
	f.Add([]byte("\x00\x10"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		var buf, out []byte
		for {
			command, data, next, err := readPacket(r, buf)
			if cap(next) > MaxPacket {
				t.Fatalf("%d octets taken", cap(next))
			}
			if err != nil {
				break
			}
			buf = next
			out = appendPacket(out, command, data)
			_, _ = parseAnswer("test", command, data)
			if isModification(command) {
				if m, err := parseModification(command, data); err == nil && m.Kind != ReplaceBody && bytes.Count(data, []byte{0}) == 0 {
					t.Fatalf("a string without its NUL was taken: %q", data)
				}
			}
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("read %q, wrote %q", in, out)
		}
	})
}

// FuzzAgree: no answer to an offer makes us believe in more than was offered.
func FuzzAgree(f *testing.F) {
	f.Add(newest.packet())
	f.Add(append(newest.packet(), "\x00\x00\x00\x02i {mail_addr}\x00"...))
	f.Add(oldest.packet())
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := newest.agree(in)
		if err != nil {
			return
		}
		if got.version < 2 || got.version > 6 || got.actions&^newest.actions != 0 || got.protocol&^newest.protocol != 0 {
			t.Fatalf("agreed on %+v", got)
		}
		for stage := range got.macros {
			if stage >= stages {
				t.Fatalf("stage %d", stage)
			}
		}
	})
}

func TestLengthIsRefusedBeforeMemoryIsTaken(t *testing.T) {
	for _, n := range []uint32{0, MaxPacket + 1, 1 << 31, 1<<32 - 1} {
		in := bufio.NewReader(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)))
		_, _, buf, err := readPacket(in, nil)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Protocol || cap(buf) != 0 {
			t.Errorf("length %d: %v, %d octets taken", n, err, cap(buf))
		}
	}
}

func TestPacketCutShortIsNoEnd(t *testing.T) {
	for _, in := range []string{"\x00", "\x00\x00\x00\x02", "\x00\x00\x00\x03hX"} {
		if _, _, _, err := readPacket(bufio.NewReader(bytes.NewReader([]byte(in))), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
