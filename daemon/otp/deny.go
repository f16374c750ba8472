package otp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"pinward/store"
)

// denials counts, by hour, how often somebody said so; key: hours since 1970.
var denials = store.NewTable[int]("otp.denials",
	store.Bookkeeping("how many codes were denied of late, for health; each denial is an entry"))

// DenialsFor is how far back Denials can look.
const DenialsFor = 24 * time.Hour

// Deny ends a verification because the person who was called said that they had not asked for it: somebody
// else tries to be them, or mistyped a number. The entry is the sign of fraud that an auditor looks for; it
// is left also where the verification was over by then.
func Deny(tx *store.Tx, id string) error {
	v, err := load(tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if v.going(tx.Now()) {
		if v, err = end(tx, v, Canceled); err != nil {
			return err
		}
	}
	if err := countDenial(tx); err != nil {
		return err
	}
	return record(tx, v, ActionDeny, store.Refused, attr("cause", "the person called had not asked for it"))
}

func denialKey(at time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/int64(time.Hour/time.Second)))
}

func countDenial(tx *store.Tx) error {
	now := denialKey(tx.Now())
	n, _, err := denials.Get(tx, now)
	if err != nil {
		return fmt.Errorf("count denial: %w", err)
	}
	if err := denials.Put(tx, now, n+1); err != nil {
		return fmt.Errorf("count denial: %w", err)
	}
	oldest := string(denialKey(tx.Now().Add(-2 * DenialsFor)))
	return denials.Each(tx, store.Range{}, func(key []byte, _ int) error {
		if string(key) >= oldest {
			return store.Stop
		}
		return denials.Delete(tx, key)
	})
}

// Denials is how many codes were denied within DenialsFor, to the hour.
func Denials(tx *store.Tx) (n int, err error) {
	oldest := string(denialKey(tx.Now().Add(-DenialsFor)))
	err = denials.Each(tx, store.Range{Reverse: true}, func(key []byte, count int) error {
		if string(key) < oldest {
			return store.Stop
		}
		n += count
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count denials: %w", err)
	}
	return n, nil
}
