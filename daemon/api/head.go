package api

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"

	"pinward/daemon/access"
	"pinward/daemon/record"
	"pinward/store"
)

// headAnswer is the latest signed head, for a witness that pulls.
type headAnswer struct {
	Note   string   `json:"note"`   // C2SP checkpoint; empty if none was signed yet
	Proof  []string `json:"proof"`  // RFC 6962 consistency proof from the head asked from, base64
	Signer string   `json:"signer"` // SubjectPublicKeyInfo of who signs now, DER, base64
}

// headFrom is the number of entries under the head that the witness has.
func headFrom(r *http.Request) (uint64, error) {
	s := r.URL.Query().Get("from")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 62)
	if err != nil {
		return 0, bad("from", "a number of entries")
	}
	return n, nil
}

// viewedHead notes which head the witness says that it has: it asks for what comes after.
func viewedHead(r *http.Request, tx *store.Tx) error {
	from, err := headFrom(r)
	if err != nil || from == 0 || tx.Actor().Kind != store.KindClient {
		return err
	}
	if _, _, err := tx.HeadSince(from); err != nil {
		return tellHead(err)
	}
	c, err := access.FindClient(tx, tx.Actor().ID)
	if err != nil {
		return err
	}
	return record.Received(tx, c.Name, true, from)
}

// getHead gives the latest head and the proof that it only appends to what the witness knows.
func getHead(a *api, r *http.Request, tx *store.Tx, _ access.Principal) (any, error) {
	from, err := headFrom(r)
	if err != nil {
		return nil, err
	}
	note, proof, err := tx.HeadSince(from)
	if err != nil {
		return nil, tellHead(err)
	}
	signer, err := a.Store.Signer()
	if err != nil {
		return nil, err
	}
	out := headAnswer{Note: string(note), Proof: []string{}, Signer: base64.StdEncoding.EncodeToString(signer)}
	for _, h := range proof {
		out.Proof = append(out.Proof, base64.StdEncoding.EncodeToString(h[:]))
	}
	return out, nil
}

func tellHead(err error) error {
	if errors.Is(err, store.ErrNoHead) {
		return bad("from", "at most the entries under the latest head: this log is shorter than yours")
	}
	return err
}
