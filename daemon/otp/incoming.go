package otp

import (
	"fmt"

	"pinward/daemon/consent"
	"pinward/store"
)

// Incoming takes a text that holds nothing but a code as a check of what is
// pending for the number it came from, where the service allows that. Of
// several pending ones the last started is meant: a code must not be tried
// against each in turn.
func Incoming(tx *store.Tx, in consent.In) (handled bool, err error) {
	code := typed(in.Body)
	if in.From.IsZero() || !isCode(code) {
		return false, nil
	}
	pending, err := PendingOf(tx, in.From)
	if err != nil {
		return false, err
	}
	var meant Verification
	for _, v := range pending {
		s, err := FindService(tx, v.Service)
		if err != nil {
			return false, fmt.Errorf("service of verification: %w", err)
		}
		if s.TextBack && s.CodeLength == len(code) && v.Updated.After(meant.Updated) {
			meant = v
		}
	}
	if meant.ID == "" {
		return false, nil
	}
	_, _, err = Check(tx, CheckRequest{ID: meant.ID, Reference: meant.Reference, Code: code})
	if Refusal(err) {
		err = nil // recorded; there is nobody to tell
	}
	return true, err
}
