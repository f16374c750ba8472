package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Header is the part of an entry that stands in clear: enough to check completeness, order and who
// did how much, without a key.
type Header struct {
	Sequence uint64    // 0 is the first entry of the log
	Epoch    uint32    // which audit key seals the body
	Second   int64     // Unix time, whole seconds, never less than the entry before
	Actor    Pseudonym // keyed pseudonym of the actor's kind and id
	Outcome  Outcome
	Action   Action
}

// Pseudonym stands for an actor in a header. Only the box's index key leads back.
type Pseudonym [16]byte

// Leaf is the data of one leaf of the tree: an encoded header followed by the commitment to the
// sealed part, SHA-256(blind || body).
type Leaf []byte

// BlindSize is the size of the random value that hides a body in its commitment.
const BlindSize = 32

const (
	headerVersion  = 1
	bodyVersion    = 1
	headerFixed    = 1 + 8 + 4 + 8 + 16 + 1 + 1 // version, sequence, epoch, second, actor, outcome, length of action
	commitmentSize = sha256.Size
	// MaxLeaf is the size of the longest leaf.
	MaxLeaf = headerFixed + maxAction + commitmentSize
)

// ErrEncoding is wrapped by the error of every decoder here: the bytes are not the one canonical
// encoding of anything.
var ErrEncoding = errors.New("not a canonical audit encoding")

// AppendLeaf appends the leaf of a header and the commitment to blind and body.
// The header must hold a valid action and outcome; [Entry.Validate] sees to that.
func AppendLeaf(b []byte, h *Header, blind *[BlindSize]byte, body []byte) Leaf {
	b = append(b, headerVersion)
	b = binary.BigEndian.AppendUint64(b, h.Sequence)
	b = binary.BigEndian.AppendUint32(b, h.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Second))
	b = append(b, h.Actor[:]...)
	b = append(b, byte(h.Outcome), byte(len(h.Action)))
	b = append(b, h.Action...)
	c := commit(blind, body)
	return append(b, c[:]...)
}

func commit(blind *[BlindSize]byte, body []byte) [commitmentSize]byte {
	var stack [512]byte
	return sha256.Sum256(append(append(stack[:0], blind[:]...), body...))
}

// CutLeaf splits the first leaf off b and decodes its header.
func CutLeaf(b []byte) (leaf Leaf, h Header, rest []byte, err error) {
	leaf, action, rest, err := cutLeaf(b, &h)
	h.Action = Action(action)
	return leaf, h, rest, err
}

// cutLeaf is CutLeaf without a copy of the action, for the verifier's inner loop.
func cutLeaf(b []byte, h *Header) (leaf Leaf, action, rest []byte, err error) {
	if len(b) < headerFixed {
		return nil, nil, nil, fmt.Errorf("%w: leaf is cut", ErrEncoding)
	}
	n := headerFixed + int(b[headerFixed-1])
	if b[0] != headerVersion || len(b) < n+commitmentSize {
		return nil, nil, nil, fmt.Errorf("%w: leaf is cut or of another version", ErrEncoding)
	}
	h.Sequence = binary.BigEndian.Uint64(b[1:])
	h.Epoch = binary.BigEndian.Uint32(b[9:])
	h.Second = int64(binary.BigEndian.Uint64(b[13:]))
	copy(h.Actor[:], b[21:37])
	h.Outcome = Outcome(b[37])
	action = b[headerFixed:n]
	if !validOutcome(h.Outcome) || !validAction(action) {
		return nil, nil, nil, fmt.Errorf("%w: leaf has no valid action or outcome", ErrEncoding)
	}
	n += commitmentSize
	return Leaf(b[:n:n]), action, b[n:], nil
}

// Hash is the RFC 6962 leaf hash, SHA-256(0x00 || leaf).
func (l Leaf) Hash() tlog.Hash {
	var stack [1 + MaxLeaf]byte
	return sha256.Sum256(append(stack[:1], l...))
}

// AppendBody appends the sealed part of an entry: what the header does not say already.
// Canonical form: version, nanoseconds within the second, then length-prefixed texts.
func AppendBody(b []byte, at time.Time, a *Actor, e *Entry) []byte {
	b = append(b, bodyVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(at.Nanosecond()))
	for _, s := range [...]string{string(a.Kind), a.ID, a.OnBehalfOf, e.Object, e.Subject} {
		b = appendText(b, s)
	}
	b = append(b, byte(len(e.Attrs)))
	for _, at := range e.Attrs {
		b = appendText(appendText(b, at.Key), at.Value)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// Open checks that blind and body are what the leaf committed to, and decodes the entry. Whoever is
// given leaf, blind and body of one entry can read that entry and no other.
func Open(leaf Leaf, blind *[BlindSize]byte, body []byte) (Record, error) {
	l, h, rest, err := CutLeaf(leaf)
	if err != nil {
		return Record{}, err
	}
	if len(rest) != 0 {
		return Record{}, fmt.Errorf("%w: bytes after the leaf", ErrEncoding)
	}
	if commit(blind, body) != [commitmentSize]byte(l[len(l)-commitmentSize:]) {
		return Record{}, errors.New("open entry: the body is not the one that was recorded")
	}
	r := Record{Seq: h.Sequence, Header: h}
	r.Entry.Action, r.Entry.Outcome = h.Action, h.Outcome
	return r, decodeBody(body, &r)
}

// OpenHeader makes a record of an entry whose body is gone: its header says all that is left.
func OpenHeader(leaf Leaf) (Record, error) {
	_, h, rest, err := CutLeaf(leaf)
	if err != nil || len(rest) != 0 {
		return Record{}, fmt.Errorf("%w: leaf", ErrEncoding)
	}
	r := Record{Seq: h.Sequence, Time: time.Unix(h.Second, 0).UTC(), Header: h, Shredded: true}
	r.Entry.Action, r.Entry.Outcome = h.Action, h.Outcome
	return r, nil
}

func decodeBody(b []byte, r *Record) error {
	bad := fmt.Errorf("%w: body", ErrEncoding)
	if len(b) < 5 || b[0] != bodyVersion {
		return bad
	}
	nsec := binary.BigEndian.Uint32(b[1:])
	if nsec >= uint32(time.Second) {
		return bad
	}
	r.Time = time.Unix(r.Header.Second, int64(nsec)).UTC()
	b = b[5:]
	ok := true
	text := func() (s string) {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			ok = false
			return ""
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		s, b = string(b[2:n]), b[n:]
		return s
	}
	r.Actor.Kind = ActorKind(text())
	r.Actor.ID, r.Actor.OnBehalfOf = text(), text()
	r.Entry.Object, r.Entry.Subject = text(), text()
	if !ok || len(b) == 0 || int(b[0]) > MaxAttrs {
		return bad
	}
	n := int(b[0])
	b = b[1:]
	for range n {
		r.Entry.Attrs = append(r.Entry.Attrs, Attr{text(), text()})
	}
	if !ok || len(b) != 0 {
		return bad
	}
	return r.Entry.Validate(r.Actor)
}
