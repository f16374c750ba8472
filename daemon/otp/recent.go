package otp

import (
	"fmt"

	"pinward/store"
)

// MaxRecent bounds what one call of Recent returns.
const MaxRecent = 1000

// Recent lists the verifications that were started last, newest first, for reports. Ids rise with
// time, so this reads no more than it returns.
func Recent(tx *store.Tx, n int) ([]Verification, error) {
	list := []Verification{}
	if n = min(n, MaxRecent); n < 1 {
		return list, nil
	}
	err := verifications.Each(tx, store.Range{Reverse: true}, func(_ []byte, v Verification) error {
		list = append(list, v.at(tx.Now()))
		if len(list) == n {
			return store.Stop
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list verifications: %w", err)
	}
	return list, nil
}
