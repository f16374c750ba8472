package audit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// Head is the root over all entries so far, as signed: a C2SP checkpoint (c2sp.org/tlog-checkpoint)
// with one extension line, "prev BASE64", the SHA-256 of the whole note before it. So the heads are
// a chain, and none can be left out of it.
type Head struct {
	Origin string // "pinward/" and the box's id
	Size   uint64 // entries
	Root   tlog.Hash
	Prev   [sha256.Size]byte // hash of the previous head's note; zero in the first head
}

// MaxNote is the size of the largest signed head accepted. TPM2_Hash signs at most 1,024 bytes.
const MaxNote = 1024

const maxOrigin = 128

// noteECDSA is the signature type of c2sp.org/signed-note for ECDSA with SHA-256. Its key id is the
// first four bytes of SHA-256(SubjectPublicKeyInfo).
const noteECDSA = 0x02

var sigLead = []byte("\u2014 ")

// Text is what gets signed: the note's text, with its last newline.
func (h *Head) Text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%d\n%s\n", h.Origin, h.Size, base64.StdEncoding.EncodeToString(h.Root[:]))
	if h.Prev != ([sha256.Size]byte{}) {
		fmt.Fprintf(&b, "prev %s\n", base64.StdEncoding.EncodeToString(h.Prev[:]))
	}
	return b.Bytes()
}

// ValidOrigin reports whether s can be the name of a log: 1 to 128 bytes without space or '+'.
func ValidOrigin(s string) bool {
	return s != "" && len(s) <= maxOrigin && utf8.ValidString(s) && !strings.Contains(s, "+") &&
		strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) < 0
}

// Note joins the head and the ASN.1 ECDSA signature of its text to a signed note
// (c2sp.org/signed-note). It checks the signature, so that a head that nobody could verify is never
// kept.
func (h *Head) Note(key *ecdsa.PublicKey, asn1sig []byte) ([]byte, error) {
	if !ValidOrigin(h.Origin) {
		return nil, errors.New("sign head: the origin is empty or holds a space or a plus")
	}
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	text := h.Text()
	sum := sha256.Sum256(text)
	if !ecdsa.VerifyASN1(key, sum[:], asn1sig) {
		return nil, errors.New("sign head: the signature does not fit the signer's public key")
	}
	asn1sig, err = canonicalSignature(asn1sig)
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	note := append(text, '\n')
	note = append(note, sigLead...)
	note = append(note, h.Origin...)
	note = append(note, ' ')
	note = base64.StdEncoding.AppendEncode(note, append(id[:], asn1sig...))
	note = append(note, '\n')
	if len(note) > MaxNote {
		return nil, errors.New("sign head: the note is too long")
	}
	return note, nil
}

// ParseNote decodes a signed head without checking its signature: that takes [VerifyNote]. Only the
// one canonical form is accepted, with exactly one signature.
func ParseNote(note []byte) (h Head, key [4]byte, asn1sig []byte, err error) {
	bad := func(what string) (Head, [4]byte, []byte, error) {
		return Head{}, key, nil, fmt.Errorf("%w: head: %s", ErrEncoding, what)
	}
	if len(note) > MaxNote {
		return bad("too long")
	}
	text, sig, ok := bytes.Cut(note, []byte("\n\n"))
	if !ok {
		return bad("no signature")
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 && len(lines) != 4 || !ValidOrigin(lines[0]) {
		return bad("wrong lines")
	}
	h.Origin = lines[0]
	if h.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return bad("size")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || copy(h.Root[:], root) != len(root) {
		return bad("root")
	}
	if len(lines) == 4 {
		s, _ := strings.CutPrefix(lines[3], "prev ")
		prev, err := base64.StdEncoding.DecodeString(s)
		if err != nil || copy(h.Prev[:], prev) != len(prev) {
			return bad("prev")
		}
	}
	s, ok := bytes.CutPrefix(sig, append(append(sigLead[:len(sigLead):len(sigLead)], h.Origin...), ' '))
	if !ok {
		return bad("signature")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(string(s), "\n"))
	if err != nil || len(raw) < 5 {
		return bad("signature")
	}
	copy(key[:], raw)
	asn1sig = raw[4:]

	// What decodes to the same head but is spelled otherwise is refused here.
	again := append(h.Text(), '\n')
	again = append(append(append(again, sigLead...), h.Origin...), ' ')
	again = append(base64.StdEncoding.AppendEncode(again, raw), '\n')
	if !bytes.Equal(again, note) {
		return bad("spelling")
	}
	return h, key, asn1sig, nil
}

// VerifyNote decodes a signed head and checks that key signed it.
func VerifyNote(note []byte, key *ecdsa.PublicKey) (Head, error) {
	h, id, sig, err := ParseNote(note)
	if err != nil {
		return Head{}, err
	}
	want, err := keyID(key)
	if err != nil {
		return Head{}, err
	}
	sum := sha256.Sum256(h.Text())
	if id != want || !ecdsa.VerifyASN1(key, sum[:], sig) {
		return Head{}, errors.New("verify head: not signed by this signer")
	}
	return h, nil
}

// NoteHash is what the next head's prev line and a counter's attestation bind: SHA-256 of the note.
func NoteHash(note []byte) [sha256.Size]byte { return sha256.Sum256(note) }

// Fingerprint names a signer on paper: lower-case hex SHA-256 of its SubjectPublicKeyInfo.
// It is empty for a key that is not on P-256.
func Fingerprint(key *ecdsa.PublicKey) string {
	spki, err := MarshalKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// MarshalKey is the SubjectPublicKeyInfo of a signer's key, DER.
func MarshalKey(key *ecdsa.PublicKey) ([]byte, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return nil, errors.New("read signer: not an ECDSA key on P-256")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("read signer: %w", err)
	}
	return spki, nil
}

// ParseKey is the inverse of MarshalKey; it accepts no other spelling.
func ParseKey(spki []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("read signer: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("read signer: not an ECDSA key on P-256")
	}
	again, err := MarshalKey(key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, spki) {
		return nil, fmt.Errorf("%w: signer", ErrEncoding)
	}
	return key, nil
}

func keyID(key *ecdsa.PublicKey) (id [4]byte, err error) {
	spki, err := MarshalKey(key)
	if err != nil {
		return id, err
	}
	sum := sha256.Sum256(spki)
	copy(id[:], sum[:])
	return id, nil
}
