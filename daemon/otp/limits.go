package otp

import (
	"errors"
	"fmt"

	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/store"
)

// triple is what wrong codes are counted by: a stranger's guesses on the
// portal do not hold back the desk.
func triple(s Service, to contact.Phone, staff bool) limit.Triple {
	class := limit.Public
	if staff {
		class = limit.Staff
	}
	return limit.Triple{Number: to, Service: s.Name, Class: class}
}

// notBlocked refuses a number with too many wrong codes in a row.
func notBlocked(tx *store.Tx, t limit.Triple) error {
	_, blocked, err := limit.Delay(tx, t)
	if err == nil && blocked {
		err = limit.ErrBlocked
	}
	return err
}

// mayTry holds a check back while the wait after the last wrong code runs.
func mayTry(tx *store.Tx, t limit.Triple) error {
	wait, blocked, err := limit.Delay(tx, t)
	switch {
	case err != nil:
		return err
	case blocked:
		return limit.ErrBlocked
	case wait > 0:
		return &limit.Exceeded{Budget: "failures", RetryAfter: wait}
	}
	return nil
}

// takeSend takes what one more text or call costs, and asks the outbox whether
// it would go in time. A refusal leaves every budget as it was. Starts of a
// number are counted for a first send only: resends have the bound of their
// verification.
func takeSend(tx *store.Tx, req StartRequest, l limit.Limits, m outbox.Message, resend bool) error {
	charges := []limit.Charge{
		{Budget: l.Client.For(req.Staff), Key: req.Client},
		{Budget: l.Prefix.For(req.Staff), Key: req.To.Prefix()},
	}
	if req.OnBehalfOf != "" {
		charges = append(charges, limit.Charge{Budget: l.Actor, Key: req.Client + "\x00" + req.OnBehalfOf})
	}
	if req.EndUserAddress != "" {
		charges = append(charges, limit.Charge{Budget: l.EndUser.For(req.Staff), Key: req.EndUserAddress})
	}
	if !resend {
		charges = append(charges,
			limit.Charge{Budget: l.NumberHour.For(req.Staff), Key: req.To.E164()},
			limit.Charge{Budget: l.NumberDay.For(req.Staff), Key: req.To.E164()})
	}
	if err := limit.TakeAll(tx, charges...); err != nil {
		return err
	}
	err := outbox.Admit(tx, m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, outbox.ErrNoStep):
		err = fmt.Errorf("%w: no modem of this box can take it", ErrChannel)
	}
	for _, c := range charges {
		if e := limit.Give(tx, c.Budget, c.Key); e != nil {
			return fmt.Errorf("give back: %w", e)
		}
	}
	return err
}
