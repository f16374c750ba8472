package otp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"pinward/daemon/outbox"
	"pinward/store"
)

// sweepAtOnce bounds one transaction of Sweep; what is left is taken by the
// next.
const sweepAtOnce = 200

// Sweep ends verifications whose life is over and deletes those that nobody
// looks up any more. The daemon calls it about each second; without it nothing
// is accepted late, it only stays on the books. held tells that a hold covers
// some of a time: what is of then is deleted no sooner than a day later.
func Sweep(tx *store.Tx, held func(from, to time.Time) bool) error {
	var ids, seen [][]byte
	err := due.Each(tx, store.Range{}, func(key []byte, _ struct{}) error {
		if len(key) < 8 || len(ids) >= sweepAtOnce {
			return store.Stop
		}
		at := time.Unix(0, int64(binary.BigEndian.Uint64(key)))
		if at.After(tx.Now()) {
			return store.Stop
		}
		seen = append(seen, slices.Clone(key))
		ids = append(ids, slices.Clone(key[8:]))
		return nil
	})
	if err != nil {
		return fmt.Errorf("sweep verifications: %w", err)
	}
	purged := 0
	for i, id := range ids {
		if err := due.Delete(tx, seen[i]); err != nil {
			return fmt.Errorf("sweep verifications: %w", err)
		}
		gone, err := sweepOne(tx, id, held)
		if err != nil {
			return err
		}
		if gone {
			purged++
		}
	}
	if purged == 0 {
		return nil
	}
	return tx.Record(store.Entry{Action: ActionPurge, Outcome: store.OK, Attrs: []store.Attr{attr("count", fmt.Sprint(purged))}})
}

// sweepOne does what is due about one verification; gone says that it was
// deleted.
func sweepOne(tx *store.Tx, id []byte, held func(from, to time.Time) bool) (gone bool, err error) {
	v, ok, err := verifications.Get(tx, id)
	if err != nil || !ok {
		return false, err
	}
	until := v.Expires.Add(keep)
	if !tx.Now().Before(until) && held(v.Created, v.Expires) {
		until = tx.Now().Add(24 * time.Hour)
	}
	if !tx.Now().Before(until) {
		if err := release(tx, v); err != nil {
			return false, err
		}
		if err := ofNumber.Delete(tx, ofNumberKey(tx, v, id)); err != nil {
			return false, err
		}
		for _, request := range v.requestIDs() {
			key := requestKey(tx, v.Service, request)
			if latest, _, err := byRequest.Get(tx, key); err != nil {
				return false, err
			} else if latest != v.ID {
				continue
			}
			if err := byRequest.Delete(tx, key); err != nil {
				return false, err
			}
		}
		return true, verifications.Delete(tx, id)
	}
	if v.State == Pending {
		if err := expire(tx, v); err != nil {
			return false, err
		}
	}
	return false, due.Put(tx, dueKey(until, id), struct{}{})
}

// expire ends a pending verification whose life is over, or whose rest is of
// no use.
func expire(tx *store.Tx, v Verification) error {
	state, err := wentOut(tx, v)
	if err != nil {
		return err
	}
	if v, err = end(tx, v, state); err != nil {
		return err
	}
	return record(tx, v, ActionEnd, store.OK, attr("sends", fmt.Sprint(len(v.Sends))), attr("checks", fmt.Sprint(v.Checks)))
}

// wentOut tells a verification that nobody answered (Expired) from one whose
// every message was refused before it left (Failed).
func wentOut(tx *store.Tx, v Verification) (State, error) {
	sent, err := outbox.ByRef(tx, v.ID)
	if err != nil {
		return "", fmt.Errorf("read messages of code: %w", err)
	}
	for _, m := range sent {
		if m.State != outbox.Refused {
			return Expired, nil
		}
	}
	if len(sent) == 0 {
		return Expired, nil
	}
	return Failed, nil
}
