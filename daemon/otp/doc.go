// Package otp runs verifications: attempts to prove that a person holds a
// phone number by a one-time code. It is the only maker of codes.
//
// It knows services (named policies), verifications and their states, and how
// a code is derived; it does not know how a text reaches a handset (outbox),
// what a text says (text), nor who may call it (the doors).
//
// A code is stored nowhere: it is derived from the day's code key when a text
// is rendered and again when a check comes in (NIST SP 800-63B 3.1.3: valid at
// most 10 minutes, accepted once, a new code resets no failure count).
//
// Refusals: a verb that refuses has recorded that as an audit entry, so the
// door must let the transaction commit. Refusal tells such errors from
// trouble:
//
//	var refused error
//	err := s.Update(ctx, actor, func(tx *store.Tx) error {
//		v, err := otp.Start(tx, req)
//		if otp.Refusal(err) {
//			refused = err
//			return nil
//		}
//		...
//		return err
//	})
package otp
