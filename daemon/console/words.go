package console

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/alarm"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store"
)

// refusal is an error whose words are for the person at the desk.
type refusal struct{ words string }

func (e *refusal) Error() string { return e.words }

// recorded tells a decision from trouble, for every verb that this door calls.
func recorded(err error) bool {
	if _, ok := errors.AsType[*contact.NumberError](err); ok {
		return true
	}
	return err != nil && (otp.Refusal(err) || notice.Refusal(err) || consent.Refused(err) || access.Refusal(err))
}

// words say what happened and what to do next, for the person at the desk.
var words = []struct {
	err    error
	status int
	words  string
}{
	{otp.ErrNotFound, 422, "This verification is over, or there is none at this address. Send a new code."},
	{otp.ErrUnknownService, 422, "This service does not exist any more. Load the page again."},
	{otp.ErrChannel, 422, "The code cannot go that way: the service does not offer it, or no modem here can do it. Choose another."},
	{otp.ErrNoCalls, 422, "This number is not to be called: whoever has it wants no calls, or it is a telephone of this hospital. Send a text."},
	{otp.ErrLandline, 422, "This is a landline: it takes no texts. Choose to call, or ask for a mobile number."},
	{otp.ErrLocale, 422, "There is no text in this language."},
	{otp.ErrMaxSends, 429, "The code has been sent as often as is allowed. Wait until it has expired, then send a new one."},
	{otp.ErrMaxChecks, 429, "Too many wrong codes. Wait until this verification has expired, then send a new code."},
	{otp.ErrReference, 422, "The reference is another than the one the code was sent for, or it is too long."},
	{otp.ErrReferenceNeeded, 422, "This service binds each code to a reference. Type it in."},
	{otp.ErrAmount, 422, "This service names an amount. It cannot be used here."},
	{otp.ErrSubjectNeeded, 422, "This service needs a known patient. Type the record number."},
	{otp.ErrNumberNotBound, 422, "This number has not been the patient's for long enough. Identify the person in another way."},
	{otp.ErrStaffOnly, 422, "This service is for staff."},
	{limit.ErrBlocked, 422, "Blocked after too many wrong codes in a row. An operator can lift this."},
	{consent.ErrOptedOut, 422, "This number has opted out of texts."},
	{consent.ErrOptedOutOfCodes, 422, "This number has answered a code with STOP. Offer a call."},
	{consent.ErrWrongNumber, 422, "Whoever holds this number said that it is the wrong one. Ask for the right one."},
	{consent.ErrDead, 422, "Nothing is sent about this patient."},
	{consent.ErrNoTexts, 422, "This patient wants no texts."},
	{consent.ErrNoItem, 422, "Somebody has settled this already."},
	{alarm.ErrNotFound, 422, "There is no alarm of this number."},
	{alarm.ErrOver, 422, "This alarm is over already."},
	{outbox.ErrNoStep, 422, "There is no other way to send it right now."},
	{outbox.ErrOver, 422, "It is over; nothing can be changed."},
	{store.ErrFull, 503, "The box's disk is full: nothing new can be sent. Please call the IT desk."},
	{store.ErrClosed, 503, "The box is just stopping. Try again in a minute."},
	{access.ErrDenied, 401, "User or password is wrong."},
	{access.ErrDirectory, 503, "The hospital's directory does not answer. Use a local account, or try again in a minute."},
	{access.ErrPasswordDue, 401, "Your password has to be changed first. Change it at your own workstation, then log in here."},
	{access.ErrBarred, 401, "The hospital's directory does not let you log in. Please call the service desk."},
	{access.ErrNoRole, 403, "The password is right, but you are in no group that may use Pinward. Please call the service desk."},
	{access.ErrTooMany, 503, "Many people are logging in. Try again in a moment."},
}

var numberWords = map[contact.Reason]string{
	contact.Foreign: "Foreign numbers are not allowed here.",
	contact.Premium: "Premium numbers are not allowed.",
}

// wordsFor finds status and words of an error; false is trouble of ours.
func wordsFor(err error) (status int, w string, ok bool) {
	if e, ok := errors.AsType[*refusal](err); ok {
		return http.StatusUnprocessableEntity, e.words, true
	}
	if e, ok := errors.AsType[*limit.Exceeded](err); ok {
		return http.StatusTooManyRequests, "Too many tries for now. Try again in " + wait(e.RetryAfter) + ".", true
	}
	if e, ok := errors.AsType[*outbox.Busy](err); ok {
		return http.StatusServiceUnavailable, fmt.Sprintf("No modem could take a code within 10 seconds (%s). Try again in %s, or identify the patient in another way.", e.Reason, wait(e.RetryAfter)), true
	}
	if e, ok := errors.AsType[*contact.NumberError](err); ok {
		if w, ok := numberWords[e.Reason]; ok {
			return http.StatusUnprocessableEntity, w, true
		}
		return http.StatusUnprocessableEntity, "This is no phone number that can be texted. Check the digits, with area code.", true
	}
	if _, ok := errors.AsType[*text.SlotError](err); ok {
		return 0, "", false // the site's own wording is at fault
	}
	for _, w := range words {
		if errors.Is(err, w.err) {
			return w.status, w.words, true
		}
	}
	return 0, "", false
}

func wait(d time.Duration) string {
	if d < 2*time.Minute {
		return plural(int(math.Ceil(d.Seconds())), "second")
	}
	return plural(int(math.Ceil(d.Minutes())), "minute")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
