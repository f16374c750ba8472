package limit

import (
	"errors"
	"fmt"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Class tells apart who tried, so that a stranger's guesses do not lock out a nurse.
type Class string

// Classes of callers.
const (
	Public Class = "public"
	Staff  Class = "staff"
)

// Triple is what failures are counted by, across verifications: a new code resets nothing (NIST
// SP 800-63B section 3.1.3.2).
type Triple struct {
	Number  contact.Phone
	Service string
	Class   Class
}

func (t Triple) key(tx *store.Tx) []byte {
	return tx.Blind("limit.failures", t.Number.E164()+"\x00"+t.Service+"\x00"+string(t.Class))
}

// Failures in a row. The five checks of a first verification are never held back; from the sixth on
// each failure holds back the next try, twice as long as the one before.
const (
	FreeFailures = 5
	FirstDelay   = 30 * time.Second
	LongestDelay = time.Hour
	MaxFailures  = 100 // NIST SP 800-63B section 3.2.2: the authenticator is disabled
)

// ErrBlocked says that MaxFailures in a row were reached: only Clear, by somebody entitled, ends it.
var ErrBlocked = errors.New("blocked after too many failures in a row")

type streak struct {
	Count int
	Last  time.Time
}

var streaks = store.NewTable[streak]("limit.failures", store.Blinded(0),
	store.Bookkeeping("failures in a row; each failed check is an entry of its own"))

func load(tx *store.Tx, t Triple) (streak, error) {
	s, _, err := streaks.Get(tx, t.key(tx))
	if err != nil {
		return streak{}, fmt.Errorf("read failures: %w", err)
	}
	return s, nil
}

// delay is how long after a failure, the count-th in a row, the next try is held back.
func delay(count int) time.Duration {
	d := FirstDelay
	for range count - FreeFailures - 1 {
		if d *= 2; d >= LongestDelay {
			return LongestDelay
		}
	}
	if count <= FreeFailures {
		return 0
	}
	return d
}

// Delay returns how long the next try has to wait still, and whether the triple is blocked.
func Delay(tx *store.Tx, t Triple) (wait time.Duration, blocked bool, err error) {
	s, err := load(tx, t)
	if err != nil {
		return 0, false, err
	}
	if s.Count >= MaxFailures {
		return 0, true, nil
	}
	return max(s.Last.Add(delay(s.Count)).Sub(tx.Now()), 0), false, nil
}

// Fail counts one more failure in a row and returns how many there are.
func Fail(tx *store.Tx, t Triple) (count int, err error) {
	s, err := load(tx, t)
	if err != nil {
		return 0, err
	}
	s.Count, s.Last = s.Count+1, tx.Now()
	if err := streaks.Put(tx, t.key(tx), s); err != nil {
		return 0, fmt.Errorf("keep failures: %w", err)
	}
	return s.Count, nil
}

// Clear ends the row: a success, or somebody entitled who lifts a block and records that.
func Clear(tx *store.Tx, t Triple) error {
	s, err := load(tx, t)
	if err != nil || s.Count == 0 {
		return err
	}
	if err := streaks.Delete(tx, t.key(tx)); err != nil {
		return fmt.Errorf("clear failures: %w", err)
	}
	return nil
}
