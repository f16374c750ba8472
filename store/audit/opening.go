package audit

import (
	"crypto/ecdsa"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Opening reveals one entry, and proves its place under a signed head, to somebody who has no key. It
// tells nothing of any other entry but hashes.
type Opening struct {
	Leaf  Leaf
	Blind []byte
	Body  []byte
	Proof []tlog.Hash // RFC 6962 inclusion proof
	Note  []byte      // the signed head
	// Signer is the SubjectPublicKeyInfo of who signed the head. It is given along for whoever has the
	// fingerprint on paper only, and proves nothing by itself.
	Signer []byte
}

// VerifyOpening checks an opening against the signer's key and returns the entry.
func VerifyOpening(o *Opening, signer *ecdsa.PublicKey) (Record, error) {
	head, err := VerifyNote(o.Note, signer)
	if err != nil {
		return Record{}, err
	}
	if len(o.Blind) != BlindSize {
		return Record{}, errors.New("verify opening: blind has the wrong length")
	}
	rec, err := Open(o.Leaf, (*[BlindSize]byte)(o.Blind), o.Body)
	if err != nil {
		return Record{}, err
	}
	if head.Size > 1<<62 || rec.Seq >= head.Size {
		return Record{}, errors.New("verify opening: the entry is not under this head")
	}
	if err := tlog.CheckRecord(o.Proof, int64(head.Size), head.Root, int64(rec.Seq), o.Leaf.Hash()); err != nil {
		return Record{}, fmt.Errorf("verify opening: %w", err)
	}
	return rec, nil
}
