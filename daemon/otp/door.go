package otp

import (
	"fmt"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/store"
)

// This file holds what doors ask of this room besides its verbs.

// ChecksLeft is how many codes can still be compared for v, whatever they are.
func ChecksLeft(tx *store.Tx, v Verification) (int, error) {
	if !v.going(tx.Now()) {
		return 0, nil
	}
	s, err := FindService(tx, v.Service)
	if err != nil {
		return 0, fmt.Errorf("service of verification: %w", err)
	}
	l, err := limit.Of(tx)
	if err != nil {
		return 0, err
	}
	return max(s.checks(l)-v.Checks, 0), nil
}

// Going reports whether v still takes starts and checks: it is pending, or its
// checks are used up, and its life has not ended.
func Going(tx *store.Tx, v Verification) bool { return v.going(tx.Now()) }

// RefuseNumber records a start that came to nothing because the site's plan
// refuses the number. A door that gets this error reading the number calls it
// and commits; a row of such starts is what toll fraud looks like.
func RefuseNumber(tx *store.Tx, service string, err *contact.NumberError) error {
	return tx.Record(store.Entry{Action: ActionStart, Outcome: store.Refused, Attrs: []store.Attr{
		attr("service", clip(service)), attr("cause", "number "+string(err.Reason)),
	}})
}
