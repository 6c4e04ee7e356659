package engine

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"
	"time"

	"mtad/queue"
)

// key names an item: the message's 64 bits and the part.
type key struct {
	msg  uint64
	part uint32
}

func keyOf(id queue.ID) key {
	m, p := id.Bits()
	return key{m, p}
}

// parseKey is keyOf for an ID from outside.
func parseKey(id queue.ID) (key, bool) {
	id, err := queue.ParseID(string(id))
	if err != nil {
		return key{}, false
	}
	return keyOf(id), true
}

func (k key) id() queue.ID { return queue.IDFromBits(k.msg, k.part) }

func (k key) less(o key) bool { return k.msg < o.msg || k.msg == o.msg && k.part < o.part }

// blob is a run of stored octets of a message.
type blob struct {
	id   queue.BlobID
	size int64
}

// rec is an item as it is stored. A rec that others can see is never changed:
// a change works on a copy, and on copies of the slices it touches.
//
// The stored State is never Active: that is a lease on Incoming or Deferred.
type rec struct {
	queue.Item
	rev     uint64
	dedupe  string
	nonce   string // of the last Txn that had one
	nonceAt time.Time
	blobs   []blob
	// grouped: the message was split; its group record counts the live parts.
	grouped bool
}

func (r *rec) key() key { return keyOf(r.ID) }

func (r *rec) held() bool { return r.Hold != nil }

const (
	recordVersion = 1
	recordHeader  = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts version and checksum in front of what was encoded after five free
// octets.
func seal(b []byte) []byte {
	b[0] = recordVersion
	binary.BigEndian.PutUint32(b[1:], crc32.Checksum(b[recordHeader:], castagnoli))
	return b
}

// unseal checks version and checksum and returns what follows.
func unseal(b []byte) ([]byte, error) {
	if len(b) < recordHeader {
		return nil, errShort
	}
	if b[0] != recordVersion {
		return nil, fmt.Errorf("engine: record of unknown version %d", b[0])
	}
	if binary.BigEndian.Uint32(b[1:]) != crc32.Checksum(b[recordHeader:], castagnoli) {
		return nil, fmt.Errorf("engine: record fails its checksum")
	}
	return b[recordHeader:], nil
}

// encode appends the stored form of r to dst[:0].
func (r *rec) encode(dst []byte) []byte {
	e := encoder{b: append(dst[:0], 0, 0, 0, 0, 0)}
	k := r.key()
	e.uint(k.msg)
	e.uint(uint64(k.part))
	e.uint(r.rev)
	e.byte(byte(r.State))
	e.byte(byte(r.Origin))
	e.str(string(r.Parent))
	e.str(r.Chain)
	e.str(r.Stage)
	e.int(int64(r.Priority))
	e.time(r.Created)
	e.time(r.NextAt)
	e.time(r.Expires)
	e.uint(uint64(r.Attempts))
	e.uint(uint64(r.LostClaims))
	e.envelope(&r.Envelope)
	e.bytes(r.Trace)
	e.generations(r.Generations)
	e.verdicts(r.Verdicts)
	e.marks(&r.Item)
	e.str(r.dedupe)
	e.str(r.nonce)
	e.time(r.nonceAt)
	e.uint(uint64(len(r.blobs)))
	for _, b := range r.blobs {
		e.uint(uint64(b.id))
		e.uint(uint64(b.size))
	}
	e.bool(r.grouped)
	return seal(e.b)
}

// decodeRecord reads what encode wrote. It keeps no reference to b.
func decodeRecord(b []byte) (*rec, error) {
	body, err := unseal(b)
	if err != nil {
		return nil, err
	}
	d := decoder{b: body}
	r := &rec{}
	msg, part := d.uint(), d.uint()
	if part > queue.MaxPart {
		return nil, errShort
	}
	r.ID = queue.IDFromBits(msg, uint32(part))
	r.rev = d.uint()
	r.State = queue.State(d.byte())
	r.Origin = queue.Origin(d.byte())
	r.Parent = queue.ID(d.str())
	r.Chain = d.str()
	r.Stage = d.str()
	r.Priority = int8(d.int())
	r.Created = d.time()
	r.NextAt = d.time()
	r.Expires = d.time()
	r.Attempts = int(d.uint())
	r.LostClaims = int(d.uint())
	d.envelope(&r.Envelope)
	r.Trace = d.bytes()
	r.Generations = d.generations()
	r.Verdicts = d.verdicts()
	d.marks(&r.Item)
	r.dedupe = d.str()
	r.nonce = d.str()
	r.nonceAt = d.time()
	for range d.count(2) {
		r.blobs = append(r.blobs, blob{queue.BlobID(d.uint()), int64(d.uint())})
	}
	r.grouped = d.bool()
	if d.err == nil && len(d.b) != 0 || len(r.Generations) == 0 && d.err == nil {
		d.fail()
	}
	return r, d.err
}

func (e *encoder) envelope(v *queue.Envelope) {
	e.str(v.ReversePath)
	e.bool(v.SMTPUTF8)
	e.str(string(v.Body))
	e.str(v.Return)
	e.str(v.EnvID)
	e.bool(v.RequireTLS)
	e.client(&v.Client)
	e.uint(uint64(len(v.Recipients)))
	for i := range v.Recipients {
		p := &v.Recipients[i]
		e.str(p.Path)
		e.str(p.OrigPath)
		e.byte(byte(p.Notify))
		e.str(p.ORCPT)
		e.str(p.Transport)
		e.str(p.NextHop)
		e.byte(byte(p.Status))
		e.uint(uint64(p.Attempts))
		e.time(p.LastAttempt)
		e.str(p.LastRemote)
		e.str(p.LastReply)
		e.bool(p.DelaySent)
		e.bool(p.Reported)
	}
}

func (d *decoder) envelope(v *queue.Envelope) {
	v.ReversePath = d.str()
	v.SMTPUTF8 = d.bool()
	v.Body = queue.BodyType(d.str())
	v.Return = d.str()
	v.EnvID = d.str()
	v.RequireTLS = d.bool()
	d.client(&v.Client)
	n := d.count(13)
	if n > 0 {
		v.Recipients = make([]queue.Recipient, n)
	}
	for i := range v.Recipients {
		p := &v.Recipients[i]
		p.Path = d.str()
		p.OrigPath = d.str()
		p.Notify = queue.Notify(d.byte())
		p.ORCPT = d.str()
		p.Transport = d.str()
		p.NextHop = d.str()
		p.Status = queue.RecipientStatus(d.byte())
		p.Attempts = int(d.uint())
		p.LastAttempt = d.time()
		p.LastRemote = d.str()
		p.LastReply = d.str()
		p.DelaySent = d.bool()
		p.Reported = d.bool()
	}
}

func (e *encoder) client(c *queue.Client) {
	for _, s := range [...]string{c.Protocol, c.Helo, c.Name, c.Address, c.SASLMethod, c.SASLUser, c.SASLSender,
		c.CertSubject, c.CertIssuer, c.CertFinger, c.TLSProtocol, c.TLSCipher, c.Listener} {
		e.str(s)
	}
	e.uint(uint64(c.Port))
	e.int(c.SizeHint)
	e.int(int64(c.TLSKeySize))
}

func (d *decoder) client(c *queue.Client) {
	for _, s := range [...]*string{&c.Protocol, &c.Helo, &c.Name, &c.Address, &c.SASLMethod, &c.SASLUser, &c.SASLSender,
		&c.CertSubject, &c.CertIssuer, &c.CertFinger, &c.TLSProtocol, &c.TLSCipher, &c.Listener} {
		*s = d.str()
	}
	c.Port = uint16(d.uint())
	c.SizeHint = d.int()
	c.TLSKeySize = int(d.int())
}

func (e *encoder) generations(gs []queue.Generation) {
	e.uint(uint64(len(gs)))
	for _, g := range gs {
		e.uint(uint64(g.N))
		e.str(g.By)
		e.uint(uint64(g.Size))
		e.uint(uint64(len(g.Segments)))
		for _, s := range g.Segments {
			e.uint(uint64(s.Blob))
			e.uint(uint64(s.Offset))
			e.uint(uint64(s.Length))
		}
	}
}

func (d *decoder) generations() []queue.Generation {
	gs := make([]queue.Generation, d.count(4))
	for i := range gs {
		gs[i] = queue.Generation{N: int(d.uint()), By: d.str(), Size: int64(d.uint())}
		if n := d.count(3); n > 0 {
			gs[i].Segments = make([]queue.Segment, n)
		}
		for j := range gs[i].Segments {
			gs[i].Segments[j] = queue.Segment{Blob: queue.BlobID(d.uint()), Offset: int64(d.uint()), Length: int64(d.uint())}
		}
	}
	return gs
}

func (e *encoder) verdicts(vs []queue.Verdict) {
	e.uint(uint64(len(vs)))
	for _, v := range vs {
		e.str(v.Filter)
		e.str(v.Disposition)
		e.int(int64(v.Generation))
		e.float(v.Score)
		e.uint(uint64(len(v.Symbols)))
		for _, s := range v.Symbols {
			e.str(s)
		}
		e.str(v.Reply)
		e.str(v.Reason)
		e.time(v.At)
	}
}

func (d *decoder) verdicts() []queue.Verdict {
	n := d.count(14)
	if n == 0 {
		return nil
	}
	vs := make([]queue.Verdict, n)
	for i := range vs {
		v := &vs[i]
		v.Filter, v.Disposition, v.Generation, v.Score = d.str(), d.str(), int(d.int()), d.float()
		if n := d.count(1); n > 0 {
			v.Symbols = make([]string, n)
		}
		for j := range v.Symbols {
			v.Symbols[j] = d.str()
		}
		v.Reply, v.Reason, v.At = d.str(), d.str(), d.time()
	}
	return vs
}

// marks are hold, trail, meta and outcome.
func (e *encoder) marks(it *queue.Item) {
	e.hold(it.Hold)
	e.uint(uint64(len(it.Trail)))
	for _, s := range it.Trail {
		e.time(s.At)
		e.str(string(s.Kind))
		e.str(s.Text)
	}
	names := make([]string, 0, len(it.Meta))
	for n := range it.Meta {
		names = append(names, n)
	}
	sort.Strings(names)
	e.uint(uint64(len(names)))
	for _, n := range names {
		e.str(n)
		e.str(it.Meta[n])
	}
	e.bool(it.Outcome != nil)
	if o := it.Outcome; o != nil {
		e.byte(byte(o.Disposition))
		e.str(o.Reply)
		e.time(o.At)
	}
}

func (d *decoder) marks(it *queue.Item) {
	it.Hold = d.hold()
	if n := d.count(3); n > 0 {
		it.Trail = make([]queue.Step, n)
	}
	for i := range it.Trail {
		it.Trail[i] = queue.Step{At: d.time(), Kind: queue.EventKind(d.str()), Text: d.str()}
	}
	if n := d.count(2); n > 0 {
		it.Meta = make(map[string]string, n)
		for range n {
			name := d.str()
			it.Meta[name] = d.str()
		}
	}
	if d.bool() {
		it.Outcome = &queue.Outcome{Disposition: queue.Disposition(d.byte()), Reply: d.str(), At: d.time()}
	}
}
