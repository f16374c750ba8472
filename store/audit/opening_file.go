package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// An opening is kept as a file in the form of c2sp.org/tlog-proof: who has any tool for that form can
// check the inclusion of the leaf. Its extra line holds, each preceded by a length of four bytes, the
// leaf, the blind, the body and the signer's key.
const (
	openingForm  = "c2sp.org/tlog-proof@v1"
	openingParts = 4
	maxOpening   = 2 << 20
)

// MarshalText is the opening as a file.
func (o *Opening) MarshalText() ([]byte, error) {
	_, h, rest, err := CutLeaf(o.Leaf)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: opening", ErrEncoding)
	}
	var extra []byte
	for _, part := range [openingParts][]byte{o.Leaf, o.Blind, o.Body, o.Signer} {
		extra = append(binary.BigEndian.AppendUint32(extra, uint32(len(part))), part...)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", openingForm, base64.StdEncoding.EncodeToString(extra), h.Sequence)
	for _, n := range o.Proof {
		fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(n[:]))
	}
	b.WriteByte('\n')
	b.Write(o.Note)
	return b.Bytes(), nil
}

// UnmarshalText reads what MarshalText wrote and nothing else. It checks no proof: that takes
// [VerifyOpening].
func (o *Opening) UnmarshalText(text []byte) error {
	bad := fmt.Errorf("%w: opening", ErrEncoding)
	if len(text) > maxOpening {
		return bad
	}
	head, note, ok := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || len(lines) < 3 || lines[0] != openingForm {
		return bad
	}
	encoded, ok := strings.CutPrefix(lines[1], "extra ")
	extra, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return bad
	}
	var parts [openingParts][]byte
	for i := range parts {
		if len(extra) < 4 || uint64(len(extra)-4) < uint64(binary.BigEndian.Uint32(extra)) {
			return bad
		}
		end := 4 + int(binary.BigEndian.Uint32(extra))
		parts[i], extra = extra[4:end], extra[end:]
	}
	n := Opening{Leaf: parts[0], Blind: parts[1], Body: parts[2], Signer: parts[3], Note: note}
	for _, l := range lines[3:] {
		h, err := base64.StdEncoding.DecodeString(l)
		if err != nil || len(h) != tlog.HashSize {
			return bad
		}
		n.Proof = append(n.Proof, tlog.Hash(h))
	}
	if _, err := strconv.ParseUint(strings.TrimPrefix(lines[2], "index "), 10, 64); err != nil {
		return bad
	}
	again, err := n.MarshalText()
	if err != nil || !bytes.Equal(again, text) {
		return bad
	}
	*o = n
	return nil
}
