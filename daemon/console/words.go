package console

import (
	"errors"
	"fmt"
	"math"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
)

// recorded tells a decision from trouble, for every verb that this door calls.
func recorded(err error) bool {
	return err != nil && (otp.Refusal(err) || notice.Refusal(err) || consent.Refused(err) || access.Refusal(err))
}

// words say what happened and what to do next, for the person at the desk.
var words = []struct {
	err   error
	words string
}{
	{otp.ErrNotFound, "This verification is over, or there is none of this name. Send a new code."},
	{otp.ErrUnknownService, "This service does not exist any more. Load the page again."},
	{otp.ErrChannel, "This service does not offer that way. Choose another."},
	{otp.ErrLocale, "There is no text in this language."},
	{otp.ErrMaxSends, "The code has been sent as often as is allowed. Wait until it has expired, then send a new one."},
	{otp.ErrMaxChecks, "Too many wrong codes. Wait until this verification has expired, then send a new code."},
	{otp.ErrReference, "The reference is another than the one the code was sent for."},
	{otp.ErrReferenceNeeded, "This service binds each code to a reference. Type it in."},
	{otp.ErrSubjectNeeded, "This service needs a known patient. Type the record number."},
	{otp.ErrNumberNotBound, "This number is not the patient's for long enough. Verify the person in another way."},
	{otp.ErrStaffOnly, "This service is for staff."},
	{limit.ErrBlocked, "Blocked after too many wrong codes in a row. An operator can lift this."},
	{consent.ErrOptedOut, "This number has opted out of texts."},
	{consent.ErrOptedOutOfCodes, "This number has answered a code with STOP. Offer a call."},
	{consent.ErrWrongNumber, "Whoever holds this number said that it is the wrong one. Ask for the right one."},
	{consent.ErrDead, "Nothing is sent about this patient."},
	{consent.ErrNoTexts, "This patient wants no texts."},
	{outbox.ErrNoStep, "There is no other way to send it right now."},
	{outbox.ErrOver, "It is over; nothing can be changed."},
	{store.ErrFull, "The box's disk is full: nothing new can be sent. Please call the IT desk."},
}

var numberWords = map[contact.Reason]string{
	contact.Foreign: "Foreign numbers are not allowed here.",
	contact.Premium: "Premium numbers are not allowed.",
}

// wordsFor finds them; false is trouble of ours.
func wordsFor(err error) (string, bool) {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.words, true
	}
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return "Too many tries for now. Try again in " + wait(e.RetryAfter) + ".", true
	}
	if e, ok := errors.AsType[*outbox.Busy](err); ok {
		return fmt.Sprintf("No modem could take a code within 10 seconds (%s). Try again in %s, or identify the patient in another way.", e.Reason, wait(e.RetryAfter)), true
	}
	if e, ok := errors.AsType[*contact.NumberError](err); ok {
		if w, ok := numberWords[e.Reason]; ok {
			return w, true
		}
		return "This is no phone number that can be texted. Check the digits, with area code.", true
	}
	for _, w := range words {
		if errors.Is(err, w.err) {
			return w.words, true
		}
	}
	return "", false
}

func wait(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%d seconds", int(math.Ceil(d.Seconds())))
	}
	return fmt.Sprintf("%d minutes", int(math.Ceil(d.Minutes())))
}
