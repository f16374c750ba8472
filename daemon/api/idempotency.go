package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/store"
)

// keyLife is how long an answer is kept under its Idempotency-Key.
const keyLife = 24 * time.Hour

// kept is the answer to a request that bore an Idempotency-Key.
type kept struct {
	At      time.Time `json:"at"`
	Request []byte    `json:"request"` // SHA-256 of method, path and body
	Status  int       `json:"status,omitempty"`
	Body    []byte    `json:"body,omitempty"`
	Fault   *fault    `json:"fault,omitempty"` // instead of status and body
}

const whyKept = "answers by idempotency key; the effect has its own entry"

var (
	answers = store.NewTable[kept]("api.answers", store.Blinded(0), store.Queue(), store.Bookkeeping(whyKept)) // key: blinded caller and key
	// written orders the answers by when they were kept, for Sweep: key = instant, then the key of the
	// answer.
	written = store.NewTable[struct{}]("api.answers.written", store.Blinded(8), store.Bookkeeping(whyKept))
)

// once makes a decision, and keeps its answer in the same transaction, so that a request which is
// sent again after a lost answer has one effect. Requests of one key that come at once meet one after
// the other in the store, and the later ones get the answer of the first. A refusal is kept too,
// unless it says "later".
func (a *api) once(r *http.Request, body []byte, p access.Principal, goesOn bool, d decision) (out reply, err error) {
	key := r.Header.Get("Idempotency-Key")
	if !validKey(key) {
		return out, bad("Idempotency-Key", "1 to 255 visible ASCII characters")
	}
	if key == "" {
		return a.unkept(r, p, goesOn, d)
	}
	request := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", r.Method, r.URL.Path, body))
	err = a.decide(r, p, goesOn, d.onBehalfOf, func(tx *store.Tx) error {
		at := tx.Blind("api.idempotency", string(p.Actor.Kind)+"\x00"+p.Actor.ID+"\x00"+key)
		old, found, err := answers.Get(tx, at)
		if err != nil {
			return err
		}
		if found && tx.Now().Sub(old.At) < keyLife {
			if !bytes.Equal(old.Request, request[:]) {
				return errIdempotency
			}
			out = reply{status: old.Status, body: old.Body, fault: old.Fault, replayed: true}
			return nil
		}
		out, err = d.run(tx, p)
		if err != nil {
			f := faultOf(err)
			if !refusal(err) || !f.lasts() {
				return err
			}
			out = reply{fault: &f}
		}
		return keep(tx, at, kept{Request: request[:], Status: out.status, Body: out.body, Fault: out.fault})
	})
	return out, err
}

// unkept makes a decision whose answer need not be kept: it is encoded when the next transaction runs
// already.
func (a *api) unkept(r *http.Request, p access.Principal, goesOn bool, d decision) (reply, error) {
	var status int
	var answer any
	err := a.decide(r, p, goesOn, d.onBehalfOf, func(tx *store.Tx) (err error) {
		status, answer, err = d.do(tx, p)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	return encode(status, answer)
}

// decide runs a decision. A refusal is a decision too: it is recorded in the transaction, which
// commits, and comes back as the error. Only what belongs to something accepted goes on while the
// disk is nearly full.
func (a *api) decide(r *http.Request, p access.Principal, goesOn bool, onBehalfOf string, fn func(*store.Tx) error) error {
	open := a.Store.Accept
	if goesOn {
		open = a.Store.Update
	}
	by := p.Actor
	if named := onBehalf(p, onBehalfOf); named != "" {
		by.OnBehalfOf = named
	}
	var refused error
	err := open(r.Context(), by, func(tx *store.Tx) error {
		err := fn(tx)
		if refusal(err) {
			refused = err
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

func (d decision) run(tx *store.Tx, p access.Principal) (reply, error) {
	status, answer, err := d.do(tx, p)
	if err != nil {
		return reply{}, err
	}
	return encode(status, answer)
}

func validKey(key string) bool {
	for _, c := range []byte(key) {
		if c < '!' || c > '~' {
			return false
		}
	}
	return len(key) <= 255
}

func keep(tx *store.Tx, at []byte, k kept) error {
	k.At = tx.Now()
	if err := answers.Put(tx, at, k); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	if err := written.Put(tx, append(instantKey(k.At), at...), struct{}{}); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

func instantKey(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())) }

// sweptAtOnce bounds one Sweep; what is left is taken by the next.
const sweptAtOnce = 500

// Sweep forgets kept answers whose time is over. The daemon calls it about each minute; without it
// nothing is answered from too old an answer, it only stays on the books.
func Sweep(tx *store.Tx) error {
	over := instantKey(tx.Now().Add(-keyLife))
	left := sweptAtOnce
	err := written.Each(tx, store.Range{}, func(key []byte, _ struct{}) error {
		if left--; left < 0 || len(key) < len(over) || bytes.Compare(key[:len(over)], over) > 0 {
			return store.Stop
		}
		if err := written.Delete(tx, key); err != nil {
			return err
		}
		at := key[len(over):]
		k, ok, err := answers.Get(tx, at)
		if err != nil || !ok || !bytes.Equal(instantKey(k.At), key[:len(over)]) {
			return err // the key has been used again since
		}
		return answers.Delete(tx, at)
	})
	if err != nil {
		return fmt.Errorf("sweep kept answers: %w", err)
	}
	return nil
}
