package outbox

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on.
var (
	// ErrGone is a Source's answer for a message that is no longer wanted.
	ErrGone = errors.New("message is no longer wanted")
	// ErrNotFound says that there is no message of that id.
	ErrNotFound = errors.New("no such message")
	// ErrSettled says that the attempt has its outcome already, or never was.
	ErrSettled = errors.New("attempt is settled already")
	// ErrInHand says that the sender has not settled what it was given before.
	ErrInHand = errors.New("sender has a message in hand")
	// ErrAskNext says that a claim is not as simple as Claimed can take, and that Next sees to it.
	ErrAskNext = errors.New("claim needs a transaction")
	// ErrUnknownSender says that no Report of the sender came before.
	ErrUnknownSender = errors.New("sender has not reported")
	// ErrNoStep says that the route has no step, or no further one, that a sender could take.
	ErrNoStep = errors.New("no further step on the route")
	// ErrOver says that nothing can be changed about the message any more.
	ErrOver = errors.New("message is over")
)

// Busy refuses a code that would come too late to be of use: no sender could take it, or the line
// before it is longer than AdmitWait.
type Busy struct {
	RetryAfter time.Duration // at least a second, in whole seconds
	Reason     string        // in plain words, without values
}

func (e *Busy) Error() string {
	return fmt.Sprintf("cannot take the message now: %s (try again in %s)", e.Reason, e.RetryAfter)
}

// InvalidError says which field of a message, a sender or a SIM is not taken. It holds no value.
type InvalidError struct{ Of, Field, Reason string }

func (e *InvalidError) Error() string { return e.Of + " " + e.Field + ": " + e.Reason }
