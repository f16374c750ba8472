package daemon

import (
	"bytes"
	"context"
	"fmt"

	"pinward/modem"
	"pinward/store"
)

// actPINRefused says that a SIM refused a PIN; whose it was, an entry before it tells, or none where it
// was the one in the credential.
const actPINRefused store.Action = "sim.pin_refused"

// pinRecord is what is known of the PINs of one SIM. A PIN stands in it as its HMAC under the index key:
// four digits have no other cover.
type pinRecord struct {
	// Refused are PINs that the SIM has refused, the last ones.
	Refused [][]byte
	// Given counts what was given since the SIM last took one: refused, or cut off by a crash before it
	// was answered.
	Given int
	// Open is the one that was given last and not answered, nil if none.
	Open []byte
}

const (
	// pinsGiven is how many PINs may be given in a row where the modem does not tell the tries left. A SIM
	// has three tries: the last belongs to a person.
	pinsGiven = 2
	// pinsKept bounds the refused ones that are remembered.
	pinsKept = 16
)

var pins = store.NewTable[pinRecord]("modem.pins", store.Blinded(0), // by SIM
	store.Bookkeeping("how often a SIM was given a PIN; each refusal is an entry"))

func pinsKey(tx *store.Tx, sim string) []byte { return tx.Blind("modem.pins", sim) }

func pinHash(tx *store.Tx, sim, pin string) []byte { return tx.Blind("modem.pin", sim+" "+pin) }

func (r pinRecord) refused(hash []byte) bool {
	for _, h := range r.Refused {
		if bytes.Equal(h, hash) {
			return true
		}
	}
	return false
}

// beginPIN says whether the PIN of the credential may be given to a SIM, and counts it before it is: if
// we crash before the answer, it counts as given without success.
func beginPIN(tx *store.Tx, sim, pin string, left int) (bool, error) {
	r, _, err := pins.Get(tx, pinsKey(tx, sim))
	if err != nil {
		return false, fmt.Errorf("read refused PINs: %w", err)
	}
	hash := pinHash(tx, sim, pin)
	if r.refused(hash) || left < 0 && r.Given >= pinsGiven {
		return false, nil
	}
	r.Given, r.Open = r.Given+1, hash
	return true, pins.Put(tx, pinsKey(tx, sim), r)
}

// endPIN keeps what a SIM said to a PIN, of the credential or of an operator.
func endPIN(tx *store.Tx, name, sim, pin string, taken bool) error {
	key, hash := pinsKey(tx, sim), pinHash(tx, sim, pin)
	r, _, err := pins.Get(tx, key)
	if err != nil {
		return fmt.Errorf("read refused PINs: %w", err)
	}
	var others [][]byte
	for _, h := range r.Refused {
		if !bytes.Equal(h, hash) {
			others = append(others, h)
		}
	}
	counted := bytes.Equal(r.Open, hash) // an operator's is not
	r.Refused, r.Open = others, nil
	if taken {
		r.Given = 0 // and the SIM counts anew as well
		return pins.Put(tx, key, r)
	}
	r.Refused = append(r.Refused, hash)
	r.Refused = r.Refused[max(0, len(r.Refused)-pinsKept):]
	if !counted {
		r.Given++
	}
	if err := pins.Put(tx, key, r); err != nil {
		return fmt.Errorf("keep refused PIN: %w", err)
	}
	return tx.Record(store.Entry{Action: actPINRefused, Outcome: store.Failed, Object: "modem:" + name, Attrs: []store.Attr{{Key: "sim", Value: sim}}})
}

// pinLog is the modem's way to these records.
func (h *house) pinLog(name string) modem.PINLog {
	return modem.PINLog{
		Begin: func(ctx context.Context, sim, pin string, left int) (may bool, err error) {
			err = h.store.Update(ctx, self, func(tx *store.Tx) (err error) {
				may, err = beginPIN(tx, sim, pin, left)
				return err
			})
			return may && err == nil, err
		},
		End: func(ctx context.Context, sim, pin string, taken bool) error {
			return h.store.Update(ctx, self, func(tx *store.Tx) error { return endPIN(tx, name, sim, pin, taken) })
		},
	}
}
