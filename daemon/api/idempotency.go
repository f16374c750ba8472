package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
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
	Status  int       `json:"status"`
	Type    string    `json:"type"`
	Body    []byte    `json:"body"`
}

var answers = store.NewTable[kept]("api.answers", store.Bookkeeping("answers by idempotency key; the effect has its own entry"))

// reply is an answer that is ready to be written, and to be kept.
type reply struct {
	status   int
	kind     string
	body     []byte
	replayed bool
	fault    fault // of a refusal: its headers are not kept
}

func (p reply) write(w http.ResponseWriter) {
	p.fault.headers(w)
	if p.replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if len(p.body) > 0 {
		w.Header().Set("Content-Type", p.kind)
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body) // the caller is gone: there is nobody to tell
}

// once runs an effect, and keeps its answer in the same transaction, so that a request which is sent
// again after a lost answer has one effect. A refusal is kept too, unless it only says "later".
func (a *api) once(r *http.Request, body []byte, p access.Principal, goesOn bool, do effect) (out reply, err error) {
	key := r.Header.Get("Idempotency-Key")
	if !validKey(key) {
		return out, bad("Idempotency-Key", "1 to 255 visible ASCII characters")
	}
	request := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", r.Method, r.URL.Path, body))
	err = a.decide(r, p, goesOn, func(tx *store.Tx) error {
		if key == "" {
			out, err = run(tx, p, do)
			return err
		}
		at := tx.Blind("api.idempotency", p.Actor.ID+"\x00"+key)
		old, found, err := answers.Get(tx, at)
		if err != nil {
			return err
		}
		if found && tx.Now().Sub(old.At) < keyLife {
			if string(old.Request) != string(request[:]) {
				return errIdempotency
			}
			out = reply{status: old.Status, kind: old.Type, body: old.Body, replayed: true}
			return nil
		}
		out, err = run(tx, p, do)
		if err != nil && (!refusal(err) || later(faultOf(err))) {
			return err
		}
		if err != nil {
			f := faultOf(err)
			if out, err = encode(f.status, "application/problem+json", f.problem()); err != nil {
				return err
			}
			out.fault = f
		}
		return answers.Put(tx, at, kept{At: tx.Now(), Request: request[:], Status: out.status, Type: out.kind, Body: out.body})
	})
	return out, err
}

// later tells a refusal that the same request may not meet again.
func later(f fault) bool { return f.retry > 0 || f.status >= 500 }

func run(tx *store.Tx, p access.Principal, do effect) (reply, error) {
	status, answer, err := do(tx, p)
	if err != nil {
		return reply{}, err
	}
	if answer == nil {
		return reply{status: status}, nil
	}
	return encode(status, "application/json", answer)
}

func encode(status int, kind string, v any) (reply, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return reply{}, fmt.Errorf("encode answer: %w", err)
	}
	return reply{status: status, kind: kind, body: append(b, '\n')}, nil
}

func validKey(key string) bool {
	for _, c := range []byte(key) {
		if c < '!' || c > '~' {
			return false
		}
	}
	return len(key) <= 255
}

// Sweep forgets kept answers whose time is over, a few at a time.
func Sweep(tx *store.Tx) error {
	left := 256
	return answers.Each(tx, store.Range{}, func(key []byte, k kept) error {
		if tx.Now().Sub(k.At) < keyLife {
			return nil
		}
		if left--; left < 0 {
			return store.Stop
		}
		return answers.Delete(tx, key)
	})
}

// raw is an answer that is encoded already.
type raw []byte

// MarshalJSON implements json.Marshaler.
func (b raw) MarshalJSON() ([]byte, error) { return b, nil }

// keptFault is a refusal found again under its idempotency key, for the shape that shows errors its
// own way.
type keptFault struct{ fault }

func (e *keptFault) Error() string { return e.title }

func replayedFault(p reply) error {
	f := p.fault
	if f.status == 0 {
		var b problemBody
		if err := json.Unmarshal(p.body, &b); err != nil {
			return fmt.Errorf("decode kept answer: %w", err)
		}
		f = fault{status: b.Status, code: 60200, title: b.Title, detail: b.Detail, field: b.Field, kind: strings.TrimPrefix(b.Type, problemType)}
		for _, known := range faults {
			if known.kind == f.kind {
				f.code = known.code
			}
		}
	}
	return &keptFault{f}
}
